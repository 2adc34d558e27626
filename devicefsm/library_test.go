package devicefsm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	libraryPage = "../docs/library.md"
	module      = "devicetwin"
)

// publicPackages are those that other programs may import.
var publicPackages = []string{"device", "source", "devicefsm", "devicefsm/calendar", "devicefsm/calendar/zonedata", "devicefsm/pattern", "devicefsm/window", "devicefsm/diff", "devicefsm/plan", "devicefsm/script", "twin", "twin/command"}

// TestAProgramElsewhere builds and runs the program of docs/library.md in a
// module of its own, by the commands on the page. Modules come from the cache; a
// module file that the build of this repository did not need is downloaded.
func TestAProgramElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	page := readPage(t)
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.go"), block(t, page, "go"))
	// The checksums are known here: there is no need to ask for them.
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.sum"), string(sums))

	commands := strings.Split(strings.TrimSpace(block(t, page, "sh")), "\n")
	if len(commands) != 3 {
		t.Fatalf("commands %q, expected 3", commands)
	}
	var stdout string
	for _, line := range commands {
		line = strings.Replace(line, "=../devicetwin", "="+root, 1)
		stdout = runIn(t, dir, strings.Fields(line))
	}
	if want := block(t, page, "text"); stdout != want {
		t.Errorf("the program printed:\n%s\nthe page says:\n%s", stdout, want)
	}
}

// TestWhatAProgramDependsOn compares the modules that each public package needs
// with the table on the page: users read about a new one there.
func TestWhatAProgramDependsOn(t *testing.T) {
	modules := map[string][]string{}
	rows := regexp.MustCompile(`(?m)^\| (.*) \| (none|.*\..*) \|$`)
	names := regexp.MustCompile("`([^`]+)`")
	for _, row := range rows.FindAllStringSubmatch(readPage(t), -1) {
		for _, p := range names.FindAllStringSubmatch(row[1], -1) {
			modules[p[1]] = []string{}
			for _, m := range names.FindAllStringSubmatch(row[2], -1) {
				modules[p[1]] = append(modules[p[1]], m[1])
			}
		}
	}
	for _, p := range publicPackages {
		out := runIn(t, "..", []string{"go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./" + p})
		needs := strings.Fields(out)
		slices.Sort(needs)
		needs = slices.DeleteFunc(slices.Compact(needs), func(m string) bool { return m == module })
		want, ok := modules[p]
		if !ok {
			t.Errorf("package %s is not in the table of %s", p, libraryPage)
		} else if !slices.Equal(needs, want) {
			t.Errorf("package %s needs %q; the page says %q", p, needs, want)
		}
	}
}

func readPage(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(libraryPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// block is the only fenced block of a kind on a page.
func block(t *testing.T, page, kind string) string {
	t.Helper()
	found := regexp.MustCompile(`(?s)`+"\n```"+kind+"\n(.*?)```\n").FindAllStringSubmatch(page, -1)
	if len(found) != 1 {
		t.Fatalf("%d blocks of %s in %s, expected 1", len(found), kind, libraryPage)
	}
	return found[0][1]
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func runIn(t *testing.T, dir string, command []string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(fmt.Errorf("run %s: %w\n%s", strings.Join(command, " "), err, stderr.String()))
	}
	return string(out)
}
