package durable

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"first", "second"} {
		if err := Replace(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(got) != content || info.Mode().Perm() != 0o640 {
			t.Errorf("%q with mode %v, %v; expected %q with 0640", got, info.Mode(), err, content)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files are left: %v", len(files), files)
	}
}

// What cannot be put in place leaves what was there, and no draft.
func TestReplaceThatFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(path, "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("x"), 0o600); err == nil {
		t.Error("a file replaced a folder")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 || !files[0].IsDir() {
		t.Errorf("the folder has %v", files)
	}
	if err := Replace(filepath.Join(dir, "none", "file"), nil, 0o600); err == nil {
		t.Error("a file was written to a folder that does not exist")
	}
}

func TestDrafts(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), draftPrefix+"*")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !Draft(filepath.Base(f.Name())) || Draft("pump.yaml") || Draft("x.new-1") {
		t.Errorf("%s is a draft: %v", f.Name(), Draft(filepath.Base(f.Name())))
	}
}

func TestOneProcessLocksAFolder(t *testing.T) {
	dir := t.TempDir()
	lock, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(dir); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("a second lock: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestAFileIsLockedByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := LockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	locked := make(chan error)
	go func() {
		again, err := LockFile(path)
		if err == nil {
			err = again.Close()
		}
		locked <- err
	}()
	select {
	case err := <-locked:
		t.Fatalf("a second lock was given, error %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-locked; err != nil {
		t.Error(err)
	}
	if _, err := LockFile(filepath.Join(path, "none")); err == nil {
		t.Error("a file was locked that can't be made")
	}
}

// A file stays locked when it gets another name.
func TestAnOpenFileIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "draft")
	open := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first := open(path)
	if ok, err := TryLock(first); !ok || err != nil {
		t.Fatalf("locked %t, %v", ok, err)
	}
	if err := os.Rename(path, path+".open"); err != nil {
		t.Fatal(err)
	}
	second := open(path + ".open")
	if ok, err := TryLock(second); ok || err != nil {
		t.Errorf("a second time: locked %t, %v", ok, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if ok, err := TryLock(second); !ok || err != nil {
		t.Errorf("after it was closed: locked %t, %v", ok, err)
	}
}
