package recordlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// ErrNoLog: a folder does not hold a log.
var ErrNoLog = errors.New("there is no log in this folder")

// pollEvery is how often a Reader that waits looks for more.
const pollEvery = 200 * time.Millisecond

// Reader reads a log from a folder, in order, also one that another process is writing.
// It does not lock the folder and changes nothing in it. What is not a whole record at
// the end of the log is not there yet; elsewhere, what cannot be read is skipped and
// counted. It belongs to one goroutine.
type Reader struct {
	dir      string
	keys     Keys
	segments []*segment // when they were listed last
	headed   *segment   // the one of which the head was read
	damaged  uint64
	removed  int64

	frames
}

// OpenReader reads the log in a folder from its oldest record on. Keys may be nil if it is
// not encrypted. An error wraps ErrNoLog if there is nothing of a log.
func OpenReader(dir string, keys Keys) (*Reader, error) {
	r := &Reader{dir: dir, keys: keys}
	r.frames.skipped = func(*segment, int, int, error) { r.damaged++ }
	if err := r.list(); err != nil {
		return nil, fmt.Errorf("read log %s: %w", dir, err)
	}
	if len(r.segments) == 0 {
		places, err := cursorPlaces(dir)
		if err != nil {
			return nil, fmt.Errorf("read log %s: %w", dir, err)
		}
		if len(places) == 0 {
			return nil, fmt.Errorf("read log %s: %w", dir, ErrNoLog)
		}
	}
	return r, nil
}

// listSegments finds the segments in a folder, oldest first, with their present sizes.
func listSegments(dir string) ([]*segment, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	var list []*segment
	for _, e := range entries {
		base, ok := segmentBase(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, &segment{base: base, size: info.Size(), newest: info.ModTime().UnixMilli(), path: segmentPath(dir, base)})
	}
	return list, nil
}

// list looks for segments. The open one is kept, also if it was removed: its rest can be
// read.
func (r *Reader) list() error {
	found, err := listSegments(r.dir)
	if err != nil {
		return err
	}
	if open := r.of; open != nil && r.next >= open.base {
		i := slices.IndexFunc(found, func(s *segment) bool { return s.base == open.base })
		if i >= 0 {
			open.size = found[i].size
			found[i] = open
		} else {
			info, err := r.file.Stat()
			if err != nil {
				return err
			}
			if open.size = info.Size(); r.next < open.end() {
				found = slices.Insert(found, 0, open)
			}
		}
	}
	r.segments = found
	return nil
}

// Segments are the positions at which the segments begin, oldest first, as of the last
// look at the folder.
func (r *Reader) Segments() []int64 {
	all := make([]int64, len(r.segments))
	for i, s := range r.segments {
		all[i] = s.base
	}
	return all
}

// End is where the log ended at the last look at the folder, with what may not be a whole
// record.
func (r *Reader) End() int64 {
	if n := len(r.segments); n > 0 {
		return r.segments[n-1].end()
	}
	return 0
}

// Damaged is how many places could not be read and were skipped.
func (r *Reader) Damaged() uint64 { return r.damaged }

// Removed is how many bytes were not there any more when they were to be read.
func (r *Reader) Removed() int64 { return r.removed }

// Next returns the next record, and waits for it.
func (r *Reader) Next(ctx context.Context) (Entry, error) {
	for {
		e, ok, err := r.TryNext()
		if ok || err != nil {
			return e, err
		}
		select {
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// TryNext returns the next record, if there is a whole one. An error is one of the disk,
// or of the keys of a segment.
func (r *Reader) TryNext() (Entry, bool, error) {
	e, ok, err := r.tryNext()
	if err != nil {
		err = fmt.Errorf("read log %s: %w", r.dir, err)
	}
	return e, ok, err
}

func (r *Reader) tryNext() (Entry, bool, error) {
	for listed := false; ; listed = true {
		e, ok, err := r.known()
		switch {
		case ok:
			return e, true, nil
		case err != nil && !vanished(err):
			return Entry{}, false, err
		case listed:
			return Entry{}, false, nil
		}
		if err := r.list(); err != nil {
			return Entry{}, false, err
		}
	}
}

// vanished reports whether an error means that a segment was removed, or its end cut,
// since it was listed.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// known returns the next record of the segments that are known.
func (r *Reader) known() (Entry, bool, error) {
	for {
		s, last := r.segment()
		if s == nil {
			return Entry{}, false, nil
		}
		e, ok, err := r.in(s, s.size)
		if ok || err != nil {
			return e, ok, err
		}
		if last {
			r.chunk = nil // what is written there next may differ
			return Entry{}, false, nil
		}
		r.skipTo(s, s.size)
	}
}

// segment is the known one with the next record, and whether it is the last.
func (r *Reader) segment() (s *segment, last bool) {
	for i, s := range r.segments {
		if r.next >= s.end() {
			continue
		}
		if r.next < s.base && r.next > 0 {
			r.removed += s.base - r.next
		}
		r.next = max(r.next, s.base)
		return s, i == len(r.segments)-1
	}
	return nil, false
}

// in is that of frames, once the segment's key is there.
func (r *Reader) in(s *segment, size int64) (Entry, bool, error) {
	if err := r.open(s); err != nil {
		return Entry{}, false, err
	}
	if r.headed != s {
		head, err := readHead(r.file, size)
		if err == nil {
			err = s.unlock(head, r.keys)
		}
		switch {
		case err == nil || r.opaque:
			r.headed = s
		case !errors.Is(err, errNoHead): // it is damaged, or not there yet
			return Entry{}, false, fmt.Errorf("segment %s: %w", s.path, err)
		}
	}
	e, ok, err := r.frames.in(s, size)
	if err != nil {
		err = fmt.Errorf("segment %s: %w", s.path, err)
	}
	return e, ok, err
}

// Close ends the reader.
func (r *Reader) Close() { r.close() }
