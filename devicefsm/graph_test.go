package devicefsm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"devicetwin/internal/testfile"
)

// TestGraphs compares the pictures of all example models, and of one that has
// everything, with the golden files.
func TestGraphs(t *testing.T) {
	files := append(testfile.Models(t, "../models"), "testdata/graph/everything.yaml", "testdata/graph/parallel_root.yaml", "testdata/graph/windows.yaml", "testdata/graph/calendar.yaml")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			m := loadFile(t, file)
			golden(t, "testdata/graph/"+name+".mmd", m.Mermaid())
			golden(t, "testdata/graph/"+name+".dot", m.DOT())
		})
	}
}

// golden compares a string with a file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", file, got, want)
	}
}
