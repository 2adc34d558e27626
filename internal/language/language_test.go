package language

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// allowed is text with a banned phrase that stays, by the end of its file's
// path and a part of its line. Each has a reason.
var allowed = []struct{ file, line, reason string }{
	{"internal/language/", "", "the phrases themselves"},
}

// TestPhrases searches comments and strings of Go files, and every line of
// documents, configuration and scripts.
func TestPhrases(t *testing.T) {
	searched := 0
	counts := map[string]int{}
	used := map[int]bool{}
	walk(t, func(path string) {
		content, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		searched++
		lines := strings.Split(string(content), "\n")
		for _, f := range search(path, content) {
			line := lines[min(f.line, len(lines))-1]
			if i := allowance(path, line); i >= 0 {
				used[i] = true
				continue
			}
			counts[area(path)]++
			t.Errorf("%s:%d: %q: better %s", path, f.line, f.found, f.better)
		}
	})
	if searched < 300 {
		t.Errorf("searched only %d files", searched)
	}
	for i, a := range allowed {
		if !used[i] {
			t.Errorf("nothing in %s needs to be allowed any more: %q", a.file, a.line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%5d in %s", counts[name], name)
	}
}

// TestPhrasesAreFound guards the patterns themselves.
func TestPhrasesAreFound(t *testing.T) {
	bad := map[string]string{
		"a.md": "It is no JSON value.\nlost, doubled or reordered\nstarts anew\nfor ever\na text or a list\nThe house\nWhat came of it\n",
		"a.go": "package a\n\n// f tells\n// everything that is\n// wrong.\nfunc f() { log.Error(\"gone for\" + \" good\", \"err\", err); _ = \"by itself\" }\n",
	}
	want := map[string][]int{"a.md": {1, 2, 3, 4, 5, 6, 7}, "a.go": {3, 4, 6, 6}}
	for path, content := range bad {
		var got []int
		for _, f := range search(path, []byte(content)) {
			got = append(got, f.line)
		}
		if !slices.Equal(got, want[path]) {
			t.Errorf("%s: found on lines %v, want %v", path, got, want[path])
		}
	}
	good := "package a\n\n// f: there is no broker; it is no longer there; the context of a text file.\nfunc f(a text, texts int) {}\n"
	if found := search("a.go", []byte(good)); len(found) > 0 {
		t.Errorf("false alarm: %+v", found)
	}
}

func allowance(path, line string) int {
	return slices.IndexFunc(allowed, func(a struct{ file, line, reason string }) bool {
		return strings.Contains(path, a.file) && strings.Contains(line, a.line)
	})
}

// TestNames guards the search for names.
func TestNames(t *testing.T) {
	found := search("a.go", []byte("package a\n\nfunc hearAnswer(text string) {}\n"))
	if len(found) != 1 || found[0].line != 3 {
		t.Errorf("found %+v, want the name on line 3", found)
	}
}

// area is the part of the repository that a path belongs to.
func area(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) > 2 && (parts[0] == "deploy" || parts[0] == "cmd" || parts[0] == "internal") {
		return strings.Join(parts[:2], "/")
	}
	return parts[0]
}

// walk visits the files that people read, by their paths from the root.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	skipped := []string{".git", "bin", ".devstack", ".servers", "node_modules", "histories"}
	kinds := []string{".go", ".md", ".yaml", ".yml", ".sh", ".tpl", ".service", ".conf", ".example", ".txt",
		".js", ".script", ".golden", ".c", ".h", "Makefile", "Dockerfile", "values.schema.json", "openapi.json", "model.schema.json"}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(skipped, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if slices.ContainsFunc(kinds, func(k string) bool { return strings.HasSuffix(path, k) }) {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			visit(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// finding is a phrase at a line, from 1.
type finding struct {
	line   int
	found  string
	better string
}

func search(path string, content []byte) []finding {
	if strings.HasSuffix(path, ".go") {
		return searchGo(content)
	}
	return searchText(string(content), 1)
}

// searchGo looks at comments, string literals and the names that have a better
// one; other names are free.
func searchGo(content []byte) []finding {
	var all []finding
	var s scanner.Scanner
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(content))
	s.Init(file, content, nil, scanner.ScanComments)
	block, blockLine, last := "", 0, 0 // a block of line comments is one text
	flush := func() {
		all = append(all, searchText(block, blockLine)...)
		block = ""
	}
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		line := file.Line(pos)
		switch {
		case tok == token.COMMENT && block != "" && line == last+1:
			block += "\n" + lit
			last = line
			continue
		case tok == token.COMMENT:
			flush()
			block, blockLine, last = lit, line, line+strings.Count(lit, "\n")
			continue
		case tok == token.IDENT && names[lit] != "":
			flush()
			all = append(all, finding{line, lit, names[lit]})
		case tok == token.STRING && lit == `"err"`:
			flush()
			all = append(all, finding{line, lit, `the log key "error"`})
		case tok == token.STRING:
			flush()
			all = append(all, searchText(lit, line)...)
		}
	}
	flush()
	slices.SortStableFunc(all, func(a, b finding) int { return a.line - b.line })
	return all
}

// searchText finds phrases also where they go over the end of a line.
func searchText(text string, line int) []finding {
	var all []finding
	for _, p := range phrases {
		for _, at := range p.bad.FindAllStringIndex(text, -1) {
			if p.unless != nil && overlaps(p.unless.FindAllStringIndex(text, -1), at) {
				continue
			}
			all = append(all, finding{line + strings.Count(text[:at[0]], "\n"), strings.Join(strings.Fields(text[at[0]:at[1]]), " "), p.better})
		}
	}
	slices.SortStableFunc(all, func(a, b finding) int { return a.line - b.line })
	return all
}

func overlaps(all [][]int, at []int) bool {
	return slices.ContainsFunc(all, func(a []int) bool { return a[0] < at[1] && at[0] < a[1] })
}
