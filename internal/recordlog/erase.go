package recordlog

import (
	"context"
	"fmt"
	"os"
)

// Erase overwrites the records that match with zeros, wherever they are in the log.
// Readers pass over them. After an error some may be left: it can be repeated.
func (l *Log) Erase(ctx context.Context, match func(Record) bool) (erased int, err error) {
	l.mutex.Lock()
	end := l.end
	l.mutex.Unlock()
	if err := l.Wait(ctx, end); err != nil {
		return 0, fmt.Errorf("erase records of log %s: %w", l.cfg.Dir, err)
	}
	l.mutex.Lock()
	segments := append([]*segment(nil), l.segments...)
	sizes := make([]int64, len(segments))
	for i, s := range segments {
		sizes[i] = s.size
	}
	l.mutex.Unlock()
	for i, s := range segments {
		if ctx.Err() != nil {
			return erased, ctx.Err()
		}
		n, err := s.erase(sizes[i], match)
		erased += n
		if err != nil && !os.IsNotExist(err) {
			return erased, fmt.Errorf("erase records of segment %s: %w", s.path, err)
		}
	}
	l.mutex.Lock()
	l.stats.Erased += uint64(erased)
	l.mutex.Unlock()
	return erased, nil
}

// erase overwrites the matching records of one segment.
func (s *segment) erase(size int64, match func(Record) bool) (n int, err error) {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for at := int64(0); ; {
		h, ok, err := seekFrame(f, at, size)
		if err != nil {
			return n, err
		}
		if !ok {
			break
		}
		at = h.end()
		if h.kind >= reserved {
			continue
		}
		data, err := readData(f, h, s)
		if err != nil || !match(Record{h.kind, h.time(), data}) {
			continue // what cannot be read, nobody can
		}
		zeros := appendFrame(nil, kindErased, false, h.time(), make([]byte, h.size-frameHeader))
		if _, err := f.WriteAt(zeros, h.start); err != nil {
			return n, err
		}
		n++
	}
	if n == 0 {
		return 0, nil
	}
	return n, f.Sync()
}
