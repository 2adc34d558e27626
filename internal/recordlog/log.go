package recordlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"devicetwin/internal/durable"
)

// Record is what is appended.
type Record struct {
	Kind byte // below 0xf0; the log does not look at it
	At   time.Time
	Data []byte
	// Items is how many things are in it, of which its writer and readers know: up to
	// MaxItems of a record are counted when a cursor loses it.
	Items int
}

// MaxItems is the most that is kept of Record.Items.
const MaxItems = 1<<16 - 1

// Entry is a record and its place: the positions of its first byte, and after its last.
type Entry struct {
	Record
	Start, End int64
}

// Errors of Append, and of who waits.
var (
	// ErrFull: there is no room now. It may be tried again when Changed closes.
	ErrFull   = errors.New("the log is full")
	ErrClosed = errors.New("the log is closed")
)

// Log is a log on disk. Its methods may be called from any goroutine.
type Log struct {
	cfg    Config
	log    *slog.Logger
	lock   io.Closer
	disk   disk
	wake   chan struct{} // poked when there is something to write
	done   chan struct{} // closed when the writer has ended
	sealed []byte        // memory of Append

	rewriting sync.Mutex // of Rewrite: one at a time
	replacing sync.Mutex // while a record is neither the old nor the new one

	mutex    sync.Mutex
	segments []*segment // oldest first; what is appended goes to the last
	pending  []chunk    // not yet being written
	memory   int        // bytes of pending, and of what is being written
	spare    [][]byte   // memory of chunks that were written
	end      int64      // after what was appended
	durable  int64      // after what is on the disk
	changed  chan struct{}
	cursors  []*Cursor
	closed   bool
	stats    Stats
}

// chunk is consecutive frames of one segment that are not on the disk.
type chunk struct {
	segment *segment
	at      int64 // in its file
	data    []byte
	newest  int64 // Unix ms
}

// disk is what a log does with files that may fail for want of room.
type disk struct {
	create func(path string) (*os.File, error)
	write  func(f *os.File, p []byte, at int64) (int, error)
	sync   func(f *os.File) error
}

var realDisk = disk{
	create: func(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) },
	write:  (*os.File).WriteAt,
	sync:   (*os.File).Sync,
}

// Stats are the figures of a log.
type Stats struct {
	Begin, End, Durable int64 // positions
	Segments            int
	Damaged             uint64 // places that could not be read and were skipped
	Lost                uint64 // records that a cursor lost, because there was no room
	Failures            uint64 // attempts to write
	Failing             bool   // the last one failed
	Full                bool   // the last record was not taken
}

// Open finds what an earlier process left in the folder, and makes it if need be. The
// half of a record at its end is cut. log may be nil.
func Open(cfg Config, log *slog.Logger) (*Log, error) {
	return open(cfg, log, realDisk)
}

func open(cfg Config, log *slog.Logger, d disk) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("log %s: %w", cfg.Dir, err)
	}
	if log == nil {
		log = slog.Default()
	}
	l := &Log{
		cfg: cfg.withDefaults(), log: log.With("log", cfg.Dir), disk: d,
		wake: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of the log: %w", err)
	}
	var err error
	if l.lock, err = durable.LockDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("log %s: %w", cfg.Dir, err)
	}
	if err := l.load(); err != nil {
		l.lock.Close()
		return nil, fmt.Errorf("read log %s: %w", cfg.Dir, err)
	}
	go l.run()
	return l, nil
}

// load finds the segments, and where the log ends.
func (l *Log) load() error {
	var err error
	if l.segments, err = listSegments(l.cfg.Dir); err != nil {
		return err
	}
	if err := l.recover(); err != nil {
		return fmt.Errorf("finish rewriting records: %w", err)
	}
	for i, s := range l.segments {
		if err := l.loadSegment(s, i == len(l.segments)-1); err != nil {
			return fmt.Errorf("segment %s: %w", s.path, err)
		}
	}
	if n := len(l.segments); n > 0 {
		l.end = l.segments[n-1].end()
	}
	if l.end, err = l.beyondCursors(l.end); err != nil {
		return err
	}
	l.durable = l.end
	return nil
}

// loadSegment reads a segment's head. Of the last one it cuts what is not a whole
// record.
func (l *Log) loadSegment(s *segment, last bool) error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	head, err := readHead(f, s.size)
	if err == nil {
		err = s.unlock(head, l.cfg.Keys)
	}
	if err != nil && !errors.Is(err, errNoHead) {
		return err
	}
	if !last {
		return nil
	}
	end := int64(0)
	for {
		h, ok, err := seekFrame(f, end, s.size)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		end = h.end()
	}
	if torn := s.size - end; torn > 0 {
		l.log.Warn("the end of the log was truncated: its last record was incomplete", "bytes", torn)
		if err := f.Truncate(end); err != nil {
			return err
		}
		s.size = end
	}
	s.appended = s.size
	return nil
}

// Append takes a record, and returns the position after it. It does not wait for the
// disk: Wait does. The data is copied.
func (l *Log) Append(r Record) (end int64, err error) {
	_, end, err = l.AppendAt(r)
	return end, err
}

// AppendAt is Append that also returns the position of the record, for ReadAt.
func (l *Log) AppendAt(r Record) (start, end int64, err error) {
	if r.Kind >= reserved || len(r.Data) > maxData/2 {
		return 0, 0, fmt.Errorf("append a record of kind %d and %d bytes: expected a kind below %d and at most %d bytes", r.Kind, len(r.Data), reserved, maxData/2)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.closed {
		return 0, 0, ErrClosed
	}
	size := int64(frameHeader + len(r.Data) + sealOverhead)
	if l.memory > 0 && l.memory+int(size) > l.cfg.BufferBytes || !l.makeRoom(size) {
		l.stats.Full = true
		return 0, 0, ErrFull
	}
	c, err := l.target(r.At)
	if err != nil {
		return 0, 0, err
	}
	l.sealed = seal(c.segment.aead, l.sealed, r.Data)
	data := r.Data
	if c.segment.aead != nil {
		data = l.sealed
	}
	before := len(c.data)
	start = l.end
	c.data = appendItems(c.data, r.Kind, c.segment.aead != nil, r.At, r.Items, data)
	c.newest = r.At.UnixMilli()
	l.grown(c.segment, len(c.data)-before)
	l.stats.Full = false
	poke(l.wake)
	return start, l.end, nil
}

// sealOverhead is what encryption adds: nonce and tag of AES-GCM.
const sealOverhead = 28

// memoryOfChunk is empty, and has room if there is some to be used again.
func (l *Log) memoryOfChunk() []byte {
	n := len(l.spare)
	if n == 0 {
		return nil
	}
	b := l.spare[n-1]
	l.spare = l.spare[:n-1]
	return b[:0]
}

func (l *Log) grown(s *segment, n int) {
	s.appended += int64(n)
	l.end += int64(n)
	l.memory += n
}

// target is the chunk to which the next record is appended. It begins a segment if the
// last one is full, or cannot be continued.
func (l *Log) target(at time.Time) (*chunk, error) {
	if n := len(l.pending); n > 0 && l.end-l.pending[n-1].segment.base < l.cfg.SegmentBytes {
		return &l.pending[n-1], nil
	}
	if n := len(l.segments); n > 0 && l.end == l.segments[n-1].base+l.segments[n-1].appended && l.end-l.segments[n-1].base < l.cfg.SegmentBytes && l.continues(l.segments[n-1]) {
		s := l.segments[n-1]
		l.pending = append(l.pending, chunk{segment: s, at: l.end - s.base, data: l.memoryOfChunk()})
		return &l.pending[len(l.pending)-1], nil
	}
	s, head, err := newSegment(l.cfg.Dir, l.end, l.cfg.Keys, at)
	if err != nil {
		return nil, err
	}
	l.segments = append(l.segments, s)
	l.pending = append(l.pending, chunk{segment: s, data: append(l.memoryOfChunk(), head...)})
	l.grown(s, len(head))
	return &l.pending[len(l.pending)-1], nil
}

// continues reports whether a segment of an earlier process, or of this one, is
// encrypted as new ones are, and with the same key.
func (l *Log) continues(s *segment) bool {
	if l.cfg.Keys == nil {
		return s.key == ""
	}
	return s.aead != nil && s.key == l.cfg.Keys.Active()
}

// makeRoom removes the oldest segments until there is room for some bytes. False: a
// cursor that may not lose needs them.
func (l *Log) makeRoom(size int64) bool {
	for len(l.segments) > 1 && l.end+size-l.segments[0].base > l.cfg.MaxBytes {
		first := l.segments[0]
		if first.size < first.appended { // it is still being written
			return false
		}
		for _, c := range l.cursors {
			if c.policy == Holds && c.committed < first.end() {
				return false
			}
		}
		l.remove(first)
	}
	return l.end+size-l.begin() <= l.cfg.MaxBytes
}

func (l *Log) begin() int64 {
	if len(l.segments) == 0 {
		return l.end
	}
	return l.segments[0].base
}

// remove removes the first segment.
func (l *Log) remove(s *segment) {
	for _, c := range l.cursors {
		c.loses(s)
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		l.log.Warn("cannot delete a segment of the log", "error", err)
	}
	l.segments = slices.Delete(l.segments, 0, 1)
}

// Dir is the log's folder.
func (l *Log) Dir() string { return l.cfg.Dir }

// MaxBytes is the size that all segments together may have.
func (l *Log) MaxBytes() int64 { return l.cfg.MaxBytes }

// Durable is the position before which everything is on the disk.
func (l *Log) Durable() int64 {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.durable
}

// Changed is closed when more is on the disk, when there is room again, and at the end.
func (l *Log) Changed() <-chan struct{} {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.changed
}

// Wait returns when all before a position is on the disk.
func (l *Log) Wait(ctx context.Context, position int64) error {
	for {
		l.mutex.Lock()
		durable, changed, closed := l.durable, l.changed, l.closed
		l.mutex.Unlock()
		switch {
		case durable >= position:
			return nil
		case closed:
			select {
			case <-l.done:
				if l.Durable() >= position {
					return nil
				}
				return ErrClosed
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// announce wakes whoever waits for a change; the mutex is held.
func (l *Log) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Stats are the figures now.
func (l *Log) Stats() Stats {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	s := l.stats
	s.Begin, s.End, s.Durable, s.Segments = l.begin(), l.end, l.durable, len(l.segments)
	return s
}

// Close writes what was appended, and where the cursors are. An error means that the
// disk did not take it: what is not on it is lost.
func (l *Log) Close() error {
	l.mutex.Lock()
	if l.closed {
		l.mutex.Unlock()
		<-l.done
		return nil
	}
	l.closed = true
	l.mutex.Unlock()
	poke(l.wake)
	<-l.done
	l.mutex.Lock()
	defer l.mutex.Unlock()
	defer l.lock.Close()
	l.announce()
	if l.memory > 0 {
		return fmt.Errorf("close log %s: %d bytes could not be written", l.cfg.Dir, l.memory)
	}
	return nil
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
