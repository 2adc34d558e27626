package recordlog

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// frames reads the records of segments, forward. Cursor and Reader find the segment,
// and how much of it there is.
type frames struct {
	next  int64 // is read next
	file  *os.File
	of    *segment
	chunk []byte // of the file, from at on
	at    int64
	// skipped is called for each place that cannot be read, with how many records and
	// items are known to have been there.
	skipped func(s *segment, records, items int, err error)
	// erased is called for each record that was erased; nil: it is not.
	erased func()
	// replacing is held while records are replaced; nil: that is another process.
	replacing sync.Locker
	// opaque records keep their data as it is in the file, and need no keys.
	opaque bool
}

const readChunk = 256 << 10

// Move reads on from the position of a record, or from after one. What a cursor has
// committed stays.
func (f *frames) Move(position int64) { f.next = position }

// Position is where the next record is looked for: everything before it was returned, or
// passed over.
func (f *frames) Position() int64 { return f.next }

// in returns the next record of a segment, of which size bytes are there. ok is false
// if there is none: then what is left behind next, if anything, is not a whole record.
func (f *frames) in(s *segment, size int64) (e Entry, ok bool, err error) {
	for again := false; ; {
		h, ok, err := f.seek(s, size)
		if !ok || err != nil {
			return Entry{}, false, err
		}
		start, end := s.base+h.start, s.base+h.end()
		f.next = start
		data, err := f.read(s, h)
		switch {
		case errors.Is(err, ErrDamaged) && !again: // it may have been replaced between its header and its data
			again, f.chunk = true, nil
			f.awaitReplacing()
			continue
		case errors.Is(err, ErrDamaged):
			f.skipped(s, 1, h.items, err)
		case err != nil:
			return Entry{}, false, err
		case h.kind < reserved:
			f.next = end
			return Entry{h.record(data), start, end}, true, nil
		case h.kind == kindErased && f.erased != nil:
			f.erased()
		}
		f.next, again = end, false
	}
}

// awaitReplacing returns when no record is being replaced.
func (f *frames) awaitReplacing() {
	if f.replacing == nil {
		time.Sleep(time.Millisecond)
		return
	}
	f.replacing.Lock()
	defer f.replacing.Unlock()
}

// skipTo passes over what is left of a segment of some bytes, which is not a record.
func (f *frames) skipTo(s *segment, size int64) {
	if end := s.base + size; f.next < end {
		f.skipped(s, 0, 0, fmt.Errorf("%w: nothing to be read from byte %d on", ErrDamaged, f.next-s.base))
		f.next = end
	}
}

// seek finds the next frame of a segment.
func (f *frames) seek(s *segment, size int64) (h frameHead, ok bool, err error) {
	if err := f.open(s); err != nil {
		return frameHead{}, false, err
	}
	from := f.next - s.base
	for again := range 2 { // it may be being replaced
		b, err := f.bytes(from, frameHeader, size)
		if err != nil {
			return frameHead{}, false, err
		}
		if h, ok := parseHead(b, from, size); ok {
			return h, true, nil
		}
		if _, whole := parseHead(b, from, from+frameHeader+maxData); whole || len(b) < frameHeader {
			return frameHead{}, false, nil // of a record that is not all there
		}
		if again == 0 {
			f.chunk = nil
			f.awaitReplacing()
		}
	}
	if h, ok, err = seekFrame(f.file, from, size); ok {
		f.skipped(s, 0, 0, fmt.Errorf("%w: %d bytes from byte %d on are skipped", ErrDamaged, h.start-from, from))
	}
	return h, ok, err
}

func (f *frames) open(s *segment) error {
	if f.of == s {
		return nil
	}
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	f.close()
	f.file, f.of, f.chunk = file, s, nil
	return nil
}

// bytes are n bytes of the file, fewer at its end. They are read in large pieces,
// which are not used again: records point into them.
func (f *frames) bytes(from int64, n int, size int64) ([]byte, error) {
	n = int(max(0, min(int64(n), size-from)))
	if off := from - f.at; off < 0 || off+int64(n) > int64(len(f.chunk)) {
		f.chunk = make([]byte, min(int64(max(n, readChunk)), size-from))
		if _, err := f.file.ReadAt(f.chunk, from); err != nil {
			f.chunk = nil
			return nil, err
		}
		f.at = from
	}
	off := from - f.at
	return f.chunk[off : off+int64(n) : off+int64(n)], nil
}

// read returns the data of a record; nil of what is the log's own.
func (f *frames) read(s *segment, h frameHead) ([]byte, error) {
	if h.kind >= reserved {
		return nil, nil
	}
	data, err := f.bytes(h.start+frameHeader, int(h.size-frameHeader), h.end())
	if err != nil {
		return nil, err
	}
	if f.opaque {
		h.seal = false
	}
	return checked(s, h, data)
}

func (f *frames) close() {
	if f.file != nil {
		f.file.Close()
		f.file, f.of = nil, nil
	}
}
