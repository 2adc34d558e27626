// Package testfile writes files that tests read.
package testfile

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Write writes a file into a folder of the test's own, and returns its path.
func Write(t testing.TB, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	WriteTo(t, file, content)
	return file
}

// WriteTo writes a file where the test wants it.
func WriteTo(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Models are the paths of the example models in a folder, without their companions, such
// as pump.scenario.yaml.
func Models(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	files = slices.DeleteFunc(files, func(file string) bool { return strings.Count(filepath.Base(file), ".") > 1 })
	if err != nil || len(files) < 4 {
		t.Fatalf("example models in %s: %d, error %v", dir, len(files), err)
	}
	return files
}

// GiveTo makes a folder, and what is in it, that of the user of a server which does not run
// as root, if this process is root's.
func GiveTo(t testing.TB, dir, username string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	owner, err := user.Lookup(username)
	if err != nil {
		t.Fatal(err)
	}
	uid, errUID := strconv.Atoi(owner.Uid)
	gid, errGID := strconv.Atoi(owner.Gid)
	if err := errors.Join(errUID, errGID); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, uid, gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}
