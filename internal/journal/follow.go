package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
)

// Follower reads what is added to a journal.
type Follower struct {
	dir   string
	keys  Keys
	files map[string]*followed // by File.Name
}

// followed is how far a file was read.
type followed struct {
	read    int64 // bytes of whole blocks
	given   bool  // what was there before: it is given once
	damaged bool  // found by the latest Poll
	counts  bool  // see Counts
	missing int   // Polls in a row that did not find it
}

// Follow begins after the files that there are; with all, before them.
func Follow(dir string, keys Keys, all bool) (*Follower, error) {
	f := &Follower{dir: dir, keys: keys, files: map[string]*followed{}}
	if all {
		return f, nil
	}
	return f, f.Poll(context.Background(), nil)
}

// Added is a line that was added to a file.
type Added struct {
	File string // its name: File.Name
	Line []byte // without its line feed; the function's until it returns
	// Before: it was there when the follower began. The lines before the first one that was added
	// are given, since they say what the lines after them leave out.
	Before bool
}

// Poll gives each line that was added since the last time to a function, file by file; nil: they
// are left out. Damage costs what is in a file until then.
func (f *Follower) Poll(ctx context.Context, each func(Added) error) error {
	files, err := Files(f.dir)
	if err != nil {
		return err
	}
	for _, at := range f.files {
		at.missing++
	}
	for _, file := range files {
		at := f.files[file.Name()]
		if at == nil {
			at = new(followed)
			f.files[file.Name()] = at
		}
		at.missing, at.damaged = 0, false
		if err := f.file(ctx, file, at, each); err != nil {
			return fmt.Errorf("read %s of the journal: %w", filepath.Base(file.Path), err)
		}
		at.counts = !at.damaged && (file.Open || at.read < file.Bytes)
	}
	// One that was removed is forgotten. One that is ended just then may be missing once.
	maps.DeleteFunc(f.files, func(_ string, at *followed) bool { return at.missing > 1 })
	return nil
}

// Counts reports whether what the lines of a file said until the latest Poll counts for others that
// may come: not if the file is ended, was removed or is damaged.
func (f *Follower) Counts(name string) bool { return f.files[name] != nil && f.files[name].counts }

func (f *Follower) file(ctx context.Context, file File, at *followed, each func(Added) error) error {
	if at.read >= file.Bytes {
		return nil
	}
	in, err := os.Open(file.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was ended: it is read under its other name, the next time
	}
	if err != nil {
		return err
	}
	defer in.Close()
	r := &blockReader{in: bufio.NewReaderSize(in, 64<<10), size: file.Bytes}
	err = r.begin(f.keys)
	if err == nil && at.read > r.read && (each == nil || at.given) {
		if _, err := in.Seek(at.read, io.SeekStart); err != nil {
			return err
		}
		r.in, r.read = bufio.NewReaderSize(in, 64<<10), at.read
	}
	var lines []byte
	for {
		var b block
		var packed []byte
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			b, packed, err = r.next()
		}
		if err == nil && each != nil {
			lines, err = unpack(packed, b, lines)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errCut):
			at.given = at.given || each != nil && at.read > 0
			return nil
		case errors.Is(err, errDamaged):
			at.read, at.given, at.damaged = file.Bytes, true, true
			return nil
		case err != nil:
			return err
		}
		before := r.read <= at.read
		if each != nil {
			for line := range bytes.Lines(lines) {
				if err := each(Added{file.Name(), bytes.TrimSuffix(line, []byte{'\n'}), before}); err != nil {
					return err
				}
			}
		}
		if !before {
			at.read = r.read
			at.given = at.given || each != nil
		}
	}
}
