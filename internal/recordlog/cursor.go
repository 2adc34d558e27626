package recordlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Policy says what happens to a cursor for which the log has no room.
type Policy int

const (
	// Holds: nothing that the cursor has not had is removed. The log is full instead.
	Holds Policy = iota
	// Loses: the oldest records are removed, and counted.
	Loses
)

// Cursor reads a log in order. How far it was committed survives the process: after
// a crash, the last second of that may be read again. It belongs to one goroutine, but
// for Commit, Backlog and Losses.
type Cursor struct {
	l      *Log
	name   string
	policy Policy

	// Under the log's mutex.
	committed int64
	saved     int64
	losses    Losses
	closed    bool // it is not read, and holds on to what it has not had

	frames
}

const (
	cursorPrefix = "cursor-"
	cursorDraft  = ".new"
)

// Cursor returns the cursor of a name, where it was committed last; a new one begins
// with the oldest record.
func (l *Log) Cursor(name string, policy Policy) (*Cursor, error) {
	at, ok, err := readCursor(l.cursorPath(name))
	if err != nil {
		return nil, fmt.Errorf("log %s: cursor %s: %w", l.cfg.Dir, name, err)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	begin := l.begin()
	if !ok {
		at = begin
	}
	for i, other := range l.cursors {
		if other.name == name && other.closed {
			at = other.committed
			l.cursors = slices.Delete(l.cursors, i, i+1)
			break
		}
	}
	c := &Cursor{l: l, name: name, policy: policy, committed: max(at, begin), saved: -1}
	c.frames = frames{next: c.committed, skipped: c.damaged, replacing: &l.replacing}
	l.cursors = append(l.cursors, c)
	return c, nil
}

// Hold keeps what cursors that hold have not had before they are opened: others that
// append earlier would take the room of it.
func (l *Log) Hold(names ...string) error {
	for _, name := range names {
		c, err := l.Cursor(name, Holds)
		if err != nil {
			return err
		}
		c.Close()
	}
	return nil
}

func (l *Log) cursorPath(name string) string { return filepath.Join(l.cfg.Dir, cursorPrefix+name) }

// readCursor reads the place of a cursor. A file that holds something else counts as
// none: then everything is read again.
func readCursor(path string) (at int64, ok bool, err error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	at, err = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return at, err == nil && at >= 0, nil
}

// CursorPlace is how far a cursor was committed, as it was last written to the folder: at
// most a second ago.
type CursorPlace struct {
	Name     string
	Position int64
}

// cursorPlaces are the places of the cursors in a folder, by name.
func cursorPlaces(dir string) (places []CursorPlace, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), cursorPrefix)
		if !ok || strings.HasSuffix(name, cursorDraft) {
			continue
		}
		at, ok, err := readCursor(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if ok {
			places = append(places, CursorPlace{name, at})
		}
	}
	return places, nil
}

// beyondCursors is where a log that seems to end at a place goes on: not before what
// some cursor has had, or that cursor would pass over what is appended there.
func (l *Log) beyondCursors(end int64) (int64, error) {
	places, err := cursorPlaces(l.cfg.Dir)
	if err != nil {
		return 0, err
	}
	for _, p := range places {
		if p.Position > end {
			l.log.Error("the end of the log is missing: a cursor was beyond it", "cursor", p.Name, "position", p.Position, "end", end)
			l.stats.Damaged++
			end = p.Position
		}
	}
	return end, nil
}

// save writes where the cursor is; the log's mutex is held. If that fails, more is
// read again after a crash.
func (c *Cursor) save() {
	if c.saved == c.committed {
		return
	}
	path := c.l.cursorPath(c.name)
	err := os.WriteFile(path+cursorDraft, []byte(strconv.FormatInt(c.committed, 10)+"\n"), 0o600)
	if err == nil {
		err = os.Rename(path+cursorDraft, path)
	}
	if err != nil {
		c.l.log.Warn("cannot write the place of a cursor", "cursor", c.name, "error", err)
		return
	}
	c.saved = c.committed
}

// Commit notes that all before a position is done with.
func (c *Cursor) Commit(position int64) {
	c.l.mutex.Lock()
	defer c.l.mutex.Unlock()
	if position > c.committed {
		c.committed = position
		if c.l.stats.Full {
			c.l.announce()
		}
	}
}

// Committed is the position before which all is done with.
func (c *Cursor) Committed() int64 {
	c.l.mutex.Lock()
	defer c.l.mutex.Unlock()
	return c.committed
}

// Backlog is how many bytes the cursor has not committed.
func (c *Cursor) Backlog() int64 {
	c.l.mutex.Lock()
	defer c.l.mutex.Unlock()
	return max(0, c.l.durable-c.committed)
}

// TryNext returns the next record if there is one on the disk; whether there may be more
// is known from Changed. Its data may be kept, and must not be changed. An error is one of
// the disk; what is damaged is skipped.
func (c *Cursor) TryNext() (e Entry, ok bool, err error) {
	for {
		s, size := c.segment()
		if s == nil {
			return Entry{}, false, nil
		}
		e, ok, err := c.in(s, size)
		if errors.Is(err, fs.ErrNotExist) {
			c.passMissing(s, size, err)
			continue
		}
		if err != nil {
			return Entry{}, false, fmt.Errorf("read log %s: segment %s: %w", c.l.cfg.Dir, s.path, err)
		}
		if ok {
			return e, true, nil
		}
		c.skipTo(s, size)
	}
}

// segment is the one with the next record, and how much of it is on the disk; nil if
// there is none yet.
func (c *Cursor) segment() (*segment, int64) {
	c.l.mutex.Lock()
	defer c.l.mutex.Unlock()
	c.next = max(c.next, c.l.begin())
	if c.next >= c.l.durable { // a segment that is begun may come before the end of the one before is on the disk
		return nil, 0
	}
	for _, s := range c.l.segments {
		if c.next < s.end() {
			c.next = max(c.next, s.base)
			return s, s.size
		}
	}
	return nil, 0
}

// Close ends the cursor. The log keeps its place. What one that holds has not had is kept
// until the log is closed: the next one of its name has it.
func (c *Cursor) Close() {
	c.close()
	c.l.mutex.Lock()
	defer c.l.mutex.Unlock()
	c.save()
	if c.policy == Holds {
		c.closed = true
		return
	}
	c.l.cursors = slices.DeleteFunc(c.l.cursors, func(other *Cursor) bool { return other == c })
}

// at is the segment of a position, nil if there is none; the mutex is held.
func (l *Log) at(position int64) *segment {
	for _, s := range l.segments {
		if position >= s.base && position < s.end() {
			return s
		}
	}
	return nil
}

// ReadAt returns the record at a position. The error wraps ErrErased if it was erased.
func (l *Log) ReadAt(position int64) (Record, error) {
	l.mutex.Lock()
	s := l.at(position)
	l.mutex.Unlock()
	if s == nil {
		return Record{}, fmt.Errorf("read log %s at %d: nothing is there", l.cfg.Dir, position)
	}
	r, err := s.readAt(position - s.base)
	if errors.Is(err, ErrDamaged) { // it may be being replaced
		l.replacing.Lock()
		r, err = s.readAt(position - s.base)
		l.replacing.Unlock()
	}
	if err != nil {
		return Record{}, fmt.Errorf("read log %s at %d: %w", l.cfg.Dir, position, err)
	}
	return r, nil
}

func (s *segment) readAt(at int64) (Record, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	h, ok, err := headAt(f, at, at+frameHeader+maxData)
	switch {
	case err != nil:
		return Record{}, err
	case ok && h.kind == kindErased:
		return Record{}, ErrErased
	case !ok || h.kind >= reserved:
		return Record{}, ErrDamaged
	}
	data, err := readData(f, h, s)
	return h.record(data), err
}

// readData returns the data of a frame, in clear if a segment is given.
func readData(f *os.File, h frameHead, s *segment) ([]byte, error) {
	data := make([]byte, h.size-frameHeader)
	if _, err := f.ReadAt(data, h.start+frameHeader); err != nil {
		return nil, err
	}
	if s == nil {
		s = &segment{}
	}
	return checked(s, h, data)
}
