package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ModelsFolder is, in the folder of a journal, where copies of the models are that devices ran.
const ModelsFolder = "models"

const (
	suffix     = ".jsonl.zst"
	openSuffix = ".open" // of a file that is being written
	newSuffix  = ".new"  // of one that has no head yet
	nameTime   = "20060102T150405.000Z"
)

// File is one of a journal.
type File struct {
	Path    string
	Bytes   int64
	Begun   time.Time // as its name says
	Changed time.Time
	Open    bool // a process writes it, or did until it was killed
}

// Name is that of the file when no process writes it: it stays the same.
func (f File) Name() string { return strings.TrimSuffix(filepath.Base(f.Path), openSuffix) }

// ErrNoJournal is returned for a folder in which no file is one of a journal.
var ErrNoJournal = errors.New("there is no journal")

// Files are those of a folder, the oldest first.
func Files(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of the journal: %w", err)
	}
	var files []File
	for _, e := range entries {
		name, open := strings.CutSuffix(e.Name(), openSuffix)
		stem, ok := strings.CutSuffix(name, suffix)
		if !ok || e.IsDir() {
			continue
		}
		begin, _, _ := strings.Cut(stem, "-")
		at, err := time.Parse(nameTime, begin)
		if err != nil {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) { // it was removed, or ended, meanwhile
			continue
		} else if err != nil {
			return nil, fmt.Errorf("read the folder of the journal: %w", err)
		}
		files = append(files, File{Path: filepath.Join(dir, e.Name()), Bytes: info.Size(), Begun: at, Changed: info.ModTime(), Open: open})
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.Path, b.Path)) })
	return files, nil
}

// Since are the files in which there may be entries of a time or later.
func Since(files []File, at time.Time) []File {
	return slices.DeleteFunc(slices.Clone(files), func(f File) bool { return f.Changed.Before(at) })
}

// Damage is what could not be read.
type Damage struct {
	// Cut are files whose last block is not whole, as a process leaves it that is killed, or
	// that writes it now; Damaged are files of which the rest was left out.
	Cut     int      `json:"cut,omitempty"`
	Damaged []string `json:"damaged,omitempty"`
}

// Stats is how much is in some files, of which none has to be unpacked.
type Stats struct {
	Files   int        `json:"files"`
	Bytes   int64      `json:"bytes"`
	Entries int        `json:"entries"`
	Plain   int64      `json:"plain_bytes"`
	First   *time.Time `json:"first,omitempty"`
	Last    *time.Time `json:"last,omitempty"`
	Keys    []string   `json:"keys,omitempty"`
	Damage
}

// Read gives each line of some files to a function, file by file, without its line feed. The
// line is the function's until it returns. Damage costs the rest of a file; an error is one of the
// function, of ctx, or of a file that cannot be opened.
func Read(ctx context.Context, files []File, keys Keys, each func(file int, line []byte) error) (Damage, error) {
	var damage Damage
	var lines []byte
	for i, f := range files {
		err := readFile(f.Path, keys, func(b block, packed []byte) error {
			if err := ctx.Err(); err != nil {
				return stop{err}
			}
			var err error
			if lines, err = unpack(packed, b, lines); err != nil {
				return err
			}
			for rest := lines; len(rest) > 0; {
				line, after, _ := bytes.Cut(rest, []byte{'\n'})
				if err := each(i, line); err != nil {
					return stop{err}
				}
				rest = after
			}
			return nil
		})
		if err := damage.note(f.Path, err); err != nil {
			return damage, err
		}
	}
	return damage, nil
}

// stop is an error that ends all reading.
type stop struct{ error }

func (s stop) Unwrap() error { return s.error }

// note takes the error of a file; what is returned ends all reading.
func (d *Damage) note(path string, err error) error {
	var s stop
	switch {
	case err == nil:
	case errors.As(err, &s):
		return s.error
	case errors.Is(err, errCut):
		d.Cut++
	case errors.Is(err, errDamaged):
		d.Damaged = append(d.Damaged, filepath.Base(path))
	default:
		return err
	}
	return nil
}

// Summarize counts what is in some files.
func Summarize(ctx context.Context, files []File, keys Keys) (Stats, error) {
	s := Stats{Files: len(files)}
	for _, f := range files {
		s.Bytes += f.Bytes
		err := readFile(f.Path, keys, func(b block, _ []byte) error {
			if err := ctx.Err(); err != nil {
				return stop{err}
			}
			s.Entries += b.lines
			s.Plain += int64(b.plain)
			first, last := time.UnixMilli(b.first).UTC(), time.UnixMilli(b.last).UTC()
			if s.First == nil || first.Before(*s.First) {
				s.First = &first
			}
			if s.Last == nil || last.After(*s.Last) {
				s.Last = &last
			}
			return nil
		})
		if err := s.note(f.Path, err); err != nil {
			return s, err
		}
	}
	return s, nil
}

// readFile gives each block of a file to a function.
func readFile(path string, keys Keys, each func(b block, packed []byte) error) error {
	f, r, err := openFile(path, keys)
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	for {
		b, packed, err := r.next()
		if err == nil {
			err = each(b, packed)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// around is what readAround left out.
type around struct {
	damaged int  // places
	cut     bool // the last block is not whole
}

// readAround gives each block of a file to a function, as readFile does, but goes on behind what is
// damaged: before that, it says so.
func readAround(path string, keys Keys, each func(b block, packed []byte) error, damaged func()) (left around, err error) {
	f, r, err := openFile(path, keys)
	if err != nil || f == nil {
		return left, err
	}
	defer f.Close()
	for {
		at := r.read
		b, packed, err := r.next()
		if err == nil {
			err = each(b, packed)
		}
		cut := errors.Is(err, errCut) // so it looks with a size that is damaged, too
		switch {
		case errors.Is(err, io.EOF):
			return left, nil
		case cut, errors.Is(err, errDamaged):
			more, err := r.resume(f, at+1)
			if err != nil {
				return left, fmt.Errorf("read the journal: %w", err)
			}
			if cut && !more {
				left.cut = true
				return left, nil
			}
			left.damaged++
			if !more {
				return left, nil
			}
			damaged()
		case err != nil:
			return left, err
		}
	}
}

// openFile reads the head of a file. Nil: there is no such file any more.
func openFile(path string, keys Keys) (*os.File, *blockReader, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) { // ended meanwhile, or removed
		path = strings.TrimSuffix(path, openSuffix)
		f, err = os.Open(path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the journal: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read the journal: %w", err), f.Close())
	}
	r := &blockReader{in: bufio.NewReaderSize(f, 256<<10), size: info.Size()}
	if err := r.begin(keys); err != nil {
		f.Close()
		if errors.Is(err, io.EOF) { // a process was killed when it had made the file
			return nil, nil, errCut
		}
		return nil, nil, fmt.Errorf("read %s of the journal: %w", filepath.Base(path), err)
	}
	return f, r, nil
}

// isEmpty reports whether a file has no block.
func isEmpty(path string, size int64) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	r := &blockReader{in: f, size: size}
	_, _, err = r.frame()
	return err == nil && r.read == size
}
