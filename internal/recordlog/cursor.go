package recordlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var errDamaged = errors.New("damaged")

// Policy says what happens to a cursor for which the log has no room.
type Policy int

const (
	// Holds: nothing that the cursor has not had is removed. The log is full instead.
	Holds Policy = iota
	// Loses: the oldest records are removed, and counted.
	Loses
)

// Cursor reads a log in order. How far it was committed survives the process: after
// a crash, the last second of that may be read again. It belongs to one goroutine.
type Cursor struct {
	l      *Log
	name   string
	policy Policy

	// Under the log's mutex.
	committed int64
	saved     int64

	next  int64 // is read next
	file  *os.File
	of    *segment
	chunk []byte // of the file, from at on
	at    int64
}

const (
	cursorPrefix = "cursor-"
	readChunk    = 256 << 10
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
	c := &Cursor{l: l, name: name, policy: policy, committed: max(at, begin), saved: -1}
	c.next = c.committed
	l.cursors = append(l.cursors, c)
	return c, nil
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

// beyondCursors is where a log that seems to end at a place goes on: not before what
// some cursor has had, or that cursor would pass over what is appended there.
func (l *Log) beyondCursors(end int64) (int64, error) {
	files, err := filepath.Glob(filepath.Join(l.cfg.Dir, cursorPrefix+"*"))
	if err != nil {
		return 0, err
	}
	for _, path := range files {
		at, ok, err := readCursor(path)
		if err != nil {
			return 0, err
		}
		if ok && at > end {
			l.log.Error("the end of the log is missing: a cursor was beyond it", "cursor", filepath.Base(path), "position", at, "end", end)
			l.stats.Damaged++
			end = at
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
	err := os.WriteFile(path+".new", []byte(strconv.FormatInt(c.committed, 10)+"\n"), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
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

// Move has the cursor read on from the position of a record, or from after one. What it
// has committed stays.
func (c *Cursor) Move(position int64) { c.next = position }

// Backlog is how many bytes the cursor has not committed.
func (c *Cursor) Backlog() int64 {
	c.l.mutex.Lock()
	defer c.l.mutex.Unlock()
	return max(0, c.l.durable-c.committed)
}

// loses moves the cursor beyond a segment that is removed; the log's mutex is held.
func (c *Cursor) loses(s *segment) {
	if c.committed >= s.end() {
		return
	}
	n := countRecords(s, c.committed-s.base)
	c.l.stats.Lost += n
	c.l.log.Error("the log is full: its oldest records are lost to a reader", "cursor", c.name, "records", n, "limit", c.l.cfg.MaxBytes)
	c.committed = s.end()
}

// countRecords counts the records of a segment from a place in its file on.
func countRecords(s *segment, from int64) (n uint64) {
	f, err := os.Open(s.path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for {
		h, ok, err := seekFrame(f, max(0, from), s.size)
		if !ok || err != nil {
			return n
		}
		if h.kind < reserved {
			n++
		}
		from = h.end()
	}
}

// Next returns the next record that is on the disk, and waits for it. Its data may be
// kept, and must not be changed.
func (c *Cursor) Next(ctx context.Context) (Entry, error) {
	for {
		changed := c.l.Changed()
		e, ok, err := c.TryNext()
		if ok || err != nil {
			return e, err
		}
		select {
		case <-changed:
		case <-c.l.done:
			if e, ok, err := c.TryNext(); ok || err != nil {
				return e, err
			}
			return Entry{}, ErrClosed
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		}
	}
}

// TryNext returns the next record if there is one on the disk. An error is one of the
// disk; what is damaged is skipped.
func (c *Cursor) TryNext() (e Entry, ok bool, err error) {
	for {
		s, size := c.segment()
		if s == nil {
			return Entry{}, false, nil
		}
		h, found, err := c.seek(s, size)
		if err != nil {
			return Entry{}, false, fmt.Errorf("read log %s: segment %s: %w", c.l.cfg.Dir, s.path, err)
		}
		if !found {
			c.damaged(s, fmt.Errorf("%w: nothing to be read from byte %d on", errDamaged, c.next-s.base))
			c.next = s.base + size
			continue
		}
		start := s.base + h.start
		c.next = s.base + h.end()
		if h.kind >= reserved {
			continue
		}
		data, err := c.read(s, h)
		if err != nil {
			c.damaged(s, err)
			continue
		}
		return Entry{Record{h.kind, h.time(), data}, start, c.next}, true, nil
	}
}

// segment is the one with the next record, and how much of it is on the disk; nil if
// there is none yet.
func (c *Cursor) segment() (*segment, int64) {
	c.l.mutex.Lock()
	defer c.l.mutex.Unlock()
	c.next = max(c.next, c.l.begin())
	for _, s := range c.l.segments {
		if c.next < s.end() {
			c.next = max(c.next, s.base)
			return s, s.size
		}
	}
	return nil, 0
}

// seek finds the next frame of a segment.
func (c *Cursor) seek(s *segment, size int64) (h frameHead, ok bool, err error) {
	if err := c.open(s); err != nil {
		return frameHead{}, false, err
	}
	from := c.next - s.base
	b, err := c.bytes(from, frameHeader, size)
	if err != nil {
		return frameHead{}, false, err
	}
	if h, ok := parseHead(b, from, size); ok {
		return h, true, nil
	}
	if h, ok, err = seekFrame(c.file, from, size); ok {
		c.damaged(s, fmt.Errorf("%w: %d bytes from byte %d on are skipped", errDamaged, h.start-from, from))
	}
	return h, ok, err
}

func (c *Cursor) open(s *segment) error {
	if c.of == s {
		return nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	c.close()
	c.file, c.of, c.chunk = f, s, nil
	return nil
}

// bytes are n bytes of the file, fewer at its end. They are read in large pieces,
// which are not used again: records point into them.
func (c *Cursor) bytes(from int64, n int, size int64) ([]byte, error) {
	n = int(min(int64(n), size-from))
	if off := from - c.at; off < 0 || off+int64(n) > int64(len(c.chunk)) {
		c.chunk = make([]byte, min(int64(max(n, readChunk)), size-from))
		if _, err := c.file.ReadAt(c.chunk, from); err != nil {
			c.chunk = nil
			return nil, err
		}
		c.at = from
	}
	off := from - c.at
	return c.chunk[off : off+int64(n) : off+int64(n)], nil
}

func (c *Cursor) read(s *segment, h frameHead) ([]byte, error) {
	data, err := c.bytes(h.start+frameHeader, int(h.size-frameHeader), h.end())
	if err != nil {
		return nil, err
	}
	return checked(s, h, data)
}

func (c *Cursor) damaged(s *segment, err error) {
	c.l.mutex.Lock()
	c.l.stats.Damaged++
	c.l.mutex.Unlock()
	c.l.log.Error("part of the log cannot be read", "cursor", c.name, "segment", s.path, "error", err)
}

func (c *Cursor) close() {
	if c.file != nil {
		c.file.Close()
		c.file, c.of = nil, nil
	}
}

// Close ends the cursor. The log keeps its place, and removes what it needs no more
// for it.
func (c *Cursor) Close() {
	c.close()
	c.l.mutex.Lock()
	defer c.l.mutex.Unlock()
	c.save()
	for i, other := range c.l.cursors {
		if other == c {
			c.l.cursors = append(c.l.cursors[:i:i], c.l.cursors[i+1:]...)
			return
		}
	}
}

// ReadAt returns the record at a position.
func (l *Log) ReadAt(position int64) (Record, error) {
	l.mutex.Lock()
	var s *segment
	for _, each := range l.segments {
		if position >= each.base && position < each.end() {
			s = each
		}
	}
	l.mutex.Unlock()
	if s == nil {
		return Record{}, fmt.Errorf("read log %s at %d: nothing is there", l.cfg.Dir, position)
	}
	r, err := s.readAt(position - s.base)
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
	header := make([]byte, frameHeader)
	if _, err := f.ReadAt(header, at); err != nil {
		return Record{}, err
	}
	h, ok := parseHead(header, at, at+frameHeader+maxData)
	if !ok || h.kind >= reserved {
		return Record{}, errDamaged
	}
	data, err := readData(f, h, s)
	return Record{h.kind, h.time(), data}, err
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
