// Package testhistory reads workflow histories that a server recorded, for tests that replay them.
package testhistory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
)

// Files are the histories of a folder. There have to be some.
func Files(t testing.TB, folder string, least int) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) < least {
		t.Fatalf("%d histories in %s, error %v; want at least %d: make histories", len(files), folder, err, least)
	}
	return files
}

// Read reads a history.
func Read(t testing.TB, file string) *history.History {
	t.Helper()
	return Changed(t, file, func(text string) string { return text })
}

// Changed reads a history, after a change of its text.
func Changed(t testing.TB, file string, change func(text string) string) *history.History {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := client.HistoryFromJSON(strings.NewReader(change(string(raw))), client.HistoryJSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return recorded
}
