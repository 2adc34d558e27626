// Package npmtest installs programs for tests that are written for Node.js, with their
// libraries.
package npmtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"devicetwin/internal/testserver"
)

// Install installs the programs (*.js) of a folder with the libraries of its package.json and
// package-lock.json, without their scripts, and returns the folder where they can be run:
// one in the user's cache for each content of these files.
func Install(t *testing.T, folder string) (dir string) {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			testserver.Missing(t, name+" is not installed (Debian: nodejs, npm): "+folder+" is not tried")
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	programs, err := filepath.Glob(filepath.Join(folder, "*.js"))
	if err != nil || len(programs) == 0 {
		t.Fatalf("%s has no programs: %v", folder, err)
	}
	files := map[string][]byte{}
	sum := sha256.New()
	for _, path := range append(programs, filepath.Join(folder, "package-lock.json"), filepath.Join(folder, "package.json")) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = raw
		sum.Write(raw)
	}
	name, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(cache, "devicetwin", filepath.Base(name)+"-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	draft, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(draft)
	for name, raw := range files {
		if err := os.WriteFile(filepath.Join(draft, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = draft
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	// Another test run may have been faster.
	if err := os.Rename(draft, dir); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	return dir
}
