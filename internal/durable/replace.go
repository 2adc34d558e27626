// Package durable has what is done to files that have to survive the end of a process,
// in whatever way it ends.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// draftPrefix begins the names of files that are not whole.
const draftPrefix = ".new-"

// Draft reports whether a file of this name is one that Replace did not finish.
func Draft(name string) bool { return strings.HasPrefix(name, draftPrefix) }

// Replace writes a file, in the place of the one that may be there: afterwards it is whole
// and on the disk, and if that fails, it is as it was before. A crash leaves a Draft next
// to it.
func Replace(path string, content []byte, mode fs.FileMode) error {
	folder := filepath.Dir(path)
	draft, err := os.CreateTemp(folder, draftPrefix+"*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) // of no effect once it is in place
	_, err = draft.Write(content)
	if err := errors.Join(err, draft.Chmod(mode), draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), path); err != nil {
		return err
	}
	return SyncDir(folder)
}

// SyncDir makes the names of the files in a folder durable, where that can be asked for.
func SyncDir(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
