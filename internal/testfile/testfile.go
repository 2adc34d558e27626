// Package testfile writes files that tests read.
package testfile

import (
	"os"
	"path/filepath"
	"testing"
)

// Write writes a file into a folder of the test's own, and returns its path.
func Write(t testing.TB, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
