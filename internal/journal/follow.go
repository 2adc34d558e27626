package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Follower reads what is added to a journal.
type Follower struct {
	dir  string
	keys Keys
	read map[string]int64 // by the name of the file, without .open: bytes of whole blocks
}

// Follow begins after the files that there are; with all, before them.
func Follow(dir string, keys Keys, all bool) (*Follower, error) {
	f := &Follower{dir: dir, keys: keys, read: map[string]int64{}}
	if all {
		return f, nil
	}
	return f, f.Poll(context.Background(), nil)
}

// Poll gives each line that was added since the last time to a function, file by file; nil: they
// are left out.
func (f *Follower) Poll(ctx context.Context, each func(line []byte) error) error {
	files, err := Files(f.dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := f.file(ctx, file, each); err != nil {
			return fmt.Errorf("read %s of the journal: %w", filepath.Base(file.Path), err)
		}
	}
	return nil
}

func (f *Follower) file(ctx context.Context, file File, each func(line []byte) error) error {
	name := strings.TrimSuffix(filepath.Base(file.Path), openSuffix)
	if f.read[name] >= file.Bytes {
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
	if err := r.begin(f.keys); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, errCut) {
			return nil
		}
		return err
	}
	if at := f.read[name]; at > r.read {
		if _, err := in.Seek(at, io.SeekStart); err != nil {
			return err
		}
		r.in, r.read = bufio.NewReaderSize(in, 64<<10), at
	}
	var lines []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, packed, err := r.next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errCut):
			return nil
		case errors.Is(err, errDamaged):
			f.read[name] = file.Bytes
			return nil
		case err != nil:
			return err
		}
		if each != nil {
			if lines, err = unpack(packed, b, lines); err != nil {
				return err
			}
			for line := range bytes.Lines(lines) {
				if err := each(bytes.TrimSuffix(line, []byte{'\n'})); err != nil {
					return err
				}
			}
		}
		f.read[name] = r.read
	}
}
