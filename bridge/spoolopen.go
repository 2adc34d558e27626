package bridge

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
)

// openSpool makes the folder if need be, and finds what an earlier process left
// in it.
func openSpool(dir string, maxBytes int64, counts *influxCounts, log *slog.Logger) (*spool, error) {
	s := &spool{
		dir: dir, max: maxBytes, segmentBytes: min(maxSegmentBytes, maxBytes/4),
		log: log.With("spool", dir), counts: counts, write: (*os.File).WriteAt,
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool folder %s: %w", dir, err)
	}
	var err error
	if s.lock, err = lockDir(dir); err != nil {
		return nil, fmt.Errorf("spool folder %s: %w", dir, err)
	}
	if err := s.load(); err != nil {
		s.close()
		return nil, fmt.Errorf("read spool folder %s: %w", dir, err)
	}
	s.show()
	if oldest, ok := s.oldest(); ok {
		s.log.Info("points of an earlier run wait in the spool", "points", s.points(), "bytes", s.bytes, "since", oldest)
	}
	return s, nil
}

func (s *spool) load() error {
	entries, err := os.ReadDir(s.dir) // sorted
	if err != nil {
		return err
	}
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		id, err := strconv.ParseUint(stem, 10, 64)
		if !ok || err != nil || len(stem) != 20 {
			continue
		}
		s.segments = append(s.segments, &segment{id: id})
	}
	for i, seg := range s.segments {
		if err := s.scan(seg, i == len(s.segments)-1); err != nil {
			return err
		}
	}
	return nil
}

// scan adds up a segment from the headers of its frames. Of the last segment it
// cuts what is no whole frame, and keeps it open if there is room in it.
func (s *spool) scan(seg *segment, last bool) error {
	f, err := os.OpenFile(s.path(seg), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	keep := false
	defer func() {
		if !keep {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := int64(0) // of the last frame
	for {
		h, ok, err := seekFrame(f, end, info.Size())
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if seg.points == 0 {
			seg.oldest = h.at
		}
		seg.points += h.points
		end = h.end()
	}
	seg.size = info.Size()
	if last {
		if torn := seg.size - end; torn > 0 {
			s.log.Warn("the end of the spool was cut: a batch was not written to it as a whole", "bytes", torn)
			if err := f.Truncate(end); err != nil {
				return err
			}
			seg.size = end
		}
		if seg.size < s.segmentBytes {
			s.out, keep = f, true
		}
	}
	s.bytes += seg.size
	return nil
}
