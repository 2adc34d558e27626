package recordlog

import (
	"errors"
	"io"
	"os"
	"slices"
)

// Losses is what a cursor did not have of what was appended, since it was opened.
type Losses struct {
	// Records and Items that were removed because there was no room, those that had
	// been read and not committed included; and those whose data is damaged.
	Records, Items uint64
	Damages        uint64 // places that could not be read
}

// Losses may be called from any goroutine.
func (c *Cursor) Losses() Losses {
	c.l.mutex.Lock()
	defer c.l.mutex.Unlock()
	return c.losses
}

// loses moves the cursor beyond a segment that is removed; the log's mutex is held.
func (c *Cursor) loses(s *segment) {
	if c.committed >= s.end() {
		return
	}
	records, items := countRecords(s, c.committed-s.base)
	c.l.stats.Lost += records
	c.losses.Records += records
	c.losses.Items += items
	c.l.log.Error("the log is full: its oldest records are lost to a reader", "cursor", c.name, "records", records, "items", items, "limit", c.l.cfg.MaxBytes)
	c.committed = s.end()
}

// countRecords counts the records of a segment from a place in its file on, and what is
// in them.
func countRecords(s *segment, from int64) (records, items uint64) {
	f, err := os.Open(s.path)
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	window := &window{of: f} // the log waits
	for {
		h, ok, err := seekFrame(window, max(0, from), s.size)
		if !ok || err != nil {
			return records, items
		}
		if h.kind < reserved {
			records++
			items += uint64(h.items)
		}
		from = h.end()
	}
}

// window reads small pieces that follow each other, from large ones.
type window struct {
	of    io.ReaderAt
	at    int64
	bytes []byte
}

// ReadAt implements io.ReaderAt.
func (w *window) ReadAt(p []byte, at int64) (int, error) {
	if len(p) >= readChunk {
		return w.of.ReadAt(p, at)
	}
	if off := at - w.at; off < 0 || off+int64(len(p)) > int64(len(w.bytes)) {
		if w.bytes == nil {
			w.bytes = make([]byte, readChunk)
		}
		n, err := w.of.ReadAt(w.bytes[:readChunk], at)
		if w.at, w.bytes = at, w.bytes[:n]; n < len(p) {
			return copy(p, w.bytes), err
		}
	}
	return copy(p, w.bytes[at-w.at:]), nil
}

// damaged counts a place that cannot be read, and so many records there, with their
// items.
func (c *Cursor) damaged(s *segment, records, items int, err error) {
	c.l.mutex.Lock()
	c.l.stats.Damaged++
	c.losses.Damages++
	c.losses.Records += uint64(records)
	c.losses.Items += uint64(items)
	c.l.mutex.Unlock()
	c.l.log.Error("part of the log cannot be read", "cursor", c.name, "segment", s.path, "items", items, "error", err)
}

// passMissing passes over a segment whose file is gone though the log needs it. One
// that the log removed meanwhile is passed anyway.
func (c *Cursor) passMissing(s *segment, size int64, err error) {
	c.l.mutex.Lock()
	removed := !slices.Contains(c.l.segments, s)
	c.l.mutex.Unlock()
	if !removed {
		c.damaged(s, 0, 0, err)
		c.next = s.base + size
	}
}

var errSkipped = errors.New("the disk does not return it")

// Skip passes over what TryNext has returned an error for: one record, or if not even
// its header can be read, the rest of its segment. It counts as damage.
func (c *Cursor) Skip() {
	s, size := c.segment()
	if s == nil {
		return
	}
	if c.of == s {
		if h, ok, _ := headAt(c.file, c.next-s.base, size); ok {
			c.damaged(s, 1, h.items, errSkipped)
			c.next = s.base + h.end()
			return
		}
	}
	c.damaged(s, 0, 0, errSkipped)
	c.next = s.base + size
}
