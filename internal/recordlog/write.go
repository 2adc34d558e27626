package recordlog

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"devicetwin/internal/durable"
)

const (
	retryMin = 50 * time.Millisecond
	retryMax = 2 * time.Second
	// upkeepEvery is how often the places of cursors are written, and what is too old
	// is removed.
	upkeepEvery = time.Second
	// groupBytes is how much makes a group that waits for no more.
	groupBytes = 256 << 10
	// spareChunks is how much memory of chunks is kept, to be used again.
	spareChunks = 2
)

// writer is the goroutine that writes. The file of the last segment is its own.
type writer struct {
	l       *Log
	file    *os.File
	segment *segment
	rested  time.Time // when the rest after the last group is over
}

func (l *Log) run() {
	defer close(l.done)
	w := &writer{l: l}
	defer w.close()
	upkeep := time.NewTicker(upkeepEvery)
	defer upkeep.Stop()
	for {
		select {
		case <-l.wake:
			if w.group() {
				l.upkeep(time.Now())
				return
			}
		case <-upkeep.C:
			l.upkeep(time.Now())
		}
	}
}

// group writes what is pending, and reports that the log is closed.
func (w *writer) group() (closed bool) {
	l := w.l
	w.gather()
	began := time.Now()
	defer func() {
		now := time.Now()
		w.rested = now.Add(min(now.Sub(began), maxRest))
	}()
	l.mutex.Lock()
	chunks := l.pending
	l.pending = nil
	closed = l.closed
	l.mutex.Unlock()
	wait := retryMin
	for len(chunks) > 0 {
		if err := w.write(chunks[0]); err != nil {
			l.failed(err)
			if !l.pause(wait) {
				return true
			}
			wait = min(2*wait, retryMax)
			continue
		}
		l.written(chunks[0])
		chunks = chunks[1:]
	}
	return closed
}

// maxRest bounds the rest after a group.
const maxRest = 20 * time.Millisecond

// gather lets others join the group. It rests for as long as the group before took: others
// need the disk too, such as the database that the records go to, and each force costs all
// of them about the same, however much it is for. After a pause nothing waits.
func (w *writer) gather() {
	l := w.l
	l.mutex.Lock()
	waits := !l.closed && l.memory > 0 && l.memory < groupBytes
	l.mutex.Unlock()
	if waits {
		time.Sleep(time.Until(w.rested))
	}
}

// pause waits before the next attempt. False: the log is closed, and there is none.
func (l *Log) pause(d time.Duration) bool {
	l.mutex.Lock()
	closed := l.closed
	l.mutex.Unlock()
	if closed {
		return false
	}
	time.Sleep(d)
	return true
}

// write writes a chunk and forces it to the disk. After an error it can be repeated.
func (w *writer) write(c chunk) error {
	created := false
	if w.segment != c.segment {
		f, err := w.l.disk.create(c.segment.path)
		if err != nil {
			return fmt.Errorf("begin a segment: %w", err)
		}
		w.close()
		w.file, w.segment, created = f, c.segment, c.at == 0
	}
	if _, err := w.l.disk.write(w.file, c.data, c.at); err != nil {
		return fmt.Errorf("write segment %s: %w", c.segment.path, err)
	}
	if err := w.l.disk.sync(w.file); err != nil {
		return fmt.Errorf("sync segment %s: %w", c.segment.path, err)
	}
	if created {
		return durable.SyncDir(filepath.Dir(c.segment.path))
	}
	return nil
}

func (w *writer) close() {
	if w.file != nil {
		w.file.Close()
		w.file, w.segment = nil, nil
	}
}

// written notes that a chunk is on the disk.
func (l *Log) written(c chunk) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	c.segment.size = c.at + int64(len(c.data))
	c.segment.newest = c.newest
	l.durable = c.segment.end()
	l.memory -= len(c.data)
	if len(l.spare) < spareChunks && cap(c.data) <= 4*groupBytes {
		l.spare = append(l.spare, c.data)
	}
	if l.stats.Failing {
		l.stats.Failing = false
		l.log.Info("the log can be written again")
	}
	l.announce()
}

func (l *Log) failed(err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.stats.Failures++
	if !l.stats.Failing {
		l.stats.Failing = true
		l.log.Error("cannot write the log; what is received waits in memory", "error", err)
	}
}

// upkeep writes the places of cursors, and removes what is too old.
func (l *Log) upkeep(now time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, c := range l.cursors {
		c.save()
	}
	if l.cfg.MaxAge == 0 {
		return
	}
	for len(l.segments) > 1 && l.segments[0].newest < now.Add(-l.cfg.MaxAge).UnixMilli() && l.read(l.segments[0]) {
		l.remove(l.segments[0])
	}
}

// read reports that every cursor has had a segment.
func (l *Log) read(s *segment) bool {
	for _, c := range l.cursors {
		if c.committed < s.end() {
			return false
		}
	}
	return true
}
