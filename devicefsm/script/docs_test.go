package script

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"devicetwin/devicefsm"
	"devicetwin/source"
)

const docsFile = "../../docs/models.md"

// fence is a fenced block of a Markdown file.
type fence struct {
	info        string
	line        int // of its first line of text, from 0
	text        string
	replacement string
}

func fences(lines []string) []*fence {
	var all []*fence
	var open *fence
	for i, text := range lines {
		switch {
		case open == nil && strings.HasPrefix(text, "```"):
			open = &fence{info: strings.TrimPrefix(text, "```"), line: i + 1}
		case open != nil && text == "```":
			all = append(all, open)
			open = nil
		case open != nil:
			open.text += text + "\n"
		}
	}
	return all
}

// TestDocs runs every example of the reference: each model with the script
// below it.
func TestDocs(t *testing.T) {
	lines := strings.Split(string(readFile(t, docsFile)), "\n")
	blocks := fences(lines)
	if len(blocks) < 40 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for i, b := range blocks {
		next := &fence{}
		if i+1 < len(blocks) {
			next = blocks[i+1]
		}
		switch b.info {
		case "yaml":
			if next.info != "script" && next.info != "json in" {
				t.Errorf("line %d: a model without a script below it", b.line)
				continue
			}
			m, err := devicefsm.Check("example.yaml", []byte(b.text))
			if err != nil {
				t.Errorf("line %d:\n%s", b.line, pretty(err))
				continue
			}
			if next.info == "script" {
				next.check(t, m)
			}
		case "yaml wrong":
			_, err := devicefsm.Load("example.yaml", []byte(b.text))
			if err == nil || next.info != "text" {
				t.Errorf("line %d: it loads, or its faults are not below it", b.line)
				continue
			}
			next.replacement = pretty(err)
			if next.text != next.replacement && !*update {
				t.Errorf("line %d: got:\n%s", next.line, next.replacement)
			}
		case "json notification", "json call": // tests of workflows/device compare them with what is sent
		case "yaml warned":
			b.warned(t, blocks[i+1:])
		case "script", "text", "json in", "json out":
		default:
			t.Errorf("line %d: nothing runs a block of %q", b.line, b.info)
		}
	}
	if *update {
		writeBlocks(t, lines, blocks)
	}
}

func (f *fence) check(t *testing.T, m *devicefsm.Model) {
	s, err := Parse("example.script", []byte(f.text))
	if err != nil {
		t.Errorf("line %d:\n%s", f.line, pretty(err))
		return
	}
	r := s.Run(m)
	f.replacement = string(s.Update(r))
	if !*update && !r.OK() {
		t.Errorf("line %d:\n%s", f.line, r)
	}
}

// warned checks a model that loads, and of which check says what is below it; a script
// after that runs it.
func (f *fence) warned(t *testing.T, below []*fence) {
	m, err := devicefsm.Load("example.yaml", []byte(f.text))
	if err != nil {
		t.Errorf("line %d:\n%s", f.line, pretty(err))
		return
	}
	_, err = devicefsm.Check("example.yaml", []byte(f.text))
	if err == nil || len(below) == 0 || below[0].info != "text" {
		t.Errorf("line %d: check has no doubts, or they are not below it", f.line)
		return
	}
	below[0].replacement = pretty(err)
	if below[0].text != below[0].replacement && !*update {
		t.Errorf("line %d: got:\n%s", below[0].line, below[0].replacement)
	}
	if len(below) > 1 && below[1].info == "script" {
		below[1].check(t, m)
	}
}

func writeBlocks(t *testing.T, lines []string, blocks []*fence) {
	for _, b := range slices.Backward(blocks) {
		if b.replacement != "" {
			n := strings.Count(b.text, "\n")
			lines = slices.Concat(lines[:b.line], strings.Split(strings.TrimSuffix(b.replacement, "\n"), "\n"), lines[b.line+n:])
		}
	}
	if err := os.WriteFile(docsFile, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDocsHaveAnExampleOfEveryWord compares the keys and choices of the schema
// with those of the examples.
func TestDocsHaveAnExampleOfEveryWord(t *testing.T) {
	b, err := devicefsm.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s any
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	words, used := map[string]bool{}, map[string]bool{}
	schemaWords(s, words)
	for _, b := range fences(strings.Split(string(readFile(t, docsFile)), "\n")) {
		if b.info == "yaml" {
			collectWords(source.Parse("example", []byte(b.text)).Root().Any(), used)
		}
	}
	if len(words) < 80 {
		t.Errorf("only %d words in the schema", len(words))
	}
	for w := range words {
		if !used[w] {
			t.Errorf("%q is in no example of %s", w, docsFile)
		}
	}
}

// schemaWords collects the keys and choices that a schema allows.
func schemaWords(v any, words map[string]bool) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			schemaWords(e, words)
		}
	case map[string]any:
		if properties, ok := x["properties"].(map[string]any); ok {
			for k := range properties {
				words[k] = true
			}
		}
		if choices, ok := x["enum"].([]any); ok {
			for _, c := range choices {
				words[c.(string)] = true
			}
		}
		for _, e := range x {
			schemaWords(e, words)
		}
	}
}

// collectWords collects the keys and strings of a model.
func collectWords(v any, words map[string]bool) {
	switch x := v.(type) {
	case string:
		words[x] = true
	case []any:
		for _, e := range x {
			collectWords(e, words)
		}
	case map[string]any:
		for k, e := range x {
			words[k] = true
			collectWords(e, words)
		}
	}
}
