package points

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"devicetwin/internal/durable"
)

// spool keeps batches on disk until InfluxDB has taken them, in order, in files
// (segments) of frames. Batches are appended to the last segment and read from
// the first; a segment that was read to its end is removed, and if it is the
// only one, emptied. That is also all that is kept of how far reading has come:
// after a crash the first segment is written from its beginning again, which
// changes nothing in InfluxDB.
//
// What was appended survives the end of the process, kill -9 too. It is not
// forced to the disk: a loss of power takes what the operating system had not
// written yet. A frame that is damaged or was cut is skipped, not fatal.
//
// A spool belongs to one goroutine; what it counts may be read by others.
type spool struct {
	dir          string
	max          int64 // bytes of all files
	segmentBytes int64 // of one file, about
	log          *slog.Logger
	counts       *counts
	lock         io.Closer
	write        func(f *os.File, p []byte, at int64) (int, error)

	segments []*segment // oldest first
	bytes    int64
	out      *os.File // the last segment; nil: the next batch begins another
	in       *os.File // the first segment; nil: not yet open
	pos      int64    // how far the first segment was read
	taken    frameHead
	framer   framer
}

// segment is one file.
type segment struct {
	id     uint64
	size   int64
	points int       // not yet written to InfluxDB
	oldest time.Time // when its first frame was appended
}

const (
	segmentSuffix   = ".spool"
	maxSegmentBytes = 8 << 20
)

func (s *spool) path(seg *segment) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d%s", seg.id, segmentSuffix))
}

// openSpool makes the folder if need be, and finds what an earlier process left
// in it.
func openSpool(dir string, maxBytes int64, counts *counts, log *slog.Logger) (*spool, error) {
	s := &spool{
		dir: dir, max: maxBytes, segmentBytes: min(maxSegmentBytes, maxBytes/4),
		log: log.With("spool", dir), counts: counts, write: (*os.File).WriteAt,
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool folder %s: %w", dir, err)
	}
	var err error
	if s.lock, err = durable.LockDir(dir); err != nil {
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
// cuts what is not a whole frame, and keeps it open if there is room in it.
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
			s.log.Warn("the end of the spool was truncated: its last batch was incomplete", "bytes", torn)
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

// append adds a batch at the end. If there are too many bytes, the oldest
// segments are dropped. After an error the batch is not in the spool.
func (s *spool) append(b batch, now time.Time) error {
	frame := s.framer.frame(b.lines, now)
	n := int64(len(frame))
	for len(s.segments) > 0 && s.bytes > 0 && s.bytes+n > s.max {
		s.log.Error("the spool is full: its oldest points are lost", "points", s.segments[0].points-s.taken.points,
			"of", s.segments[0].oldest, "limit", s.max)
		s.drop()
	}
	if err := s.begin(); err != nil {
		return fmt.Errorf("begin a spool segment: %w", err)
	}
	seg := s.segments[len(s.segments)-1]
	if written, err := s.write(s.out, frame, seg.size); err != nil {
		if written > 0 && s.out.Truncate(seg.size) != nil {
			s.closeOut() // the torn frame is skipped when it is read
		}
		return fmt.Errorf("append to spool segment %s: %w", s.path(seg), err)
	}
	if seg.points == 0 {
		seg.oldest = now
	}
	seg.size += n
	seg.points += len(b.lines)
	s.bytes += n
	s.show()
	return nil
}

// begin makes sure that there is a segment with room to append to.
func (s *spool) begin() error {
	last := &segment{}
	if len(s.segments) > 0 {
		last = s.segments[len(s.segments)-1]
	}
	if s.out != nil && last.size < s.segmentBytes {
		return nil
	}
	seg := &segment{id: last.id + 1}
	f, err := os.OpenFile(s.path(seg), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	s.closeOut()
	s.out = f
	s.segments = append(s.segments, seg)
	return nil
}

// peek returns the oldest batch, which stays until commit. ok is false if there
// is none. It is not called again before commit.
func (s *spool) peek() (b batch, ok bool) {
	defer s.show()
	for len(s.segments) > 0 {
		seg := s.segments[0]
		if s.pos >= seg.size {
			if seg.size == 0 && len(s.segments) == 1 {
				return batch{}, false
			}
			s.finish()
			continue
		}
		h, found, err := s.seek(seg)
		if err == nil && found {
			b, err = h.read(s.in)
		}
		switch {
		case err == nil && found:
			seg.oldest = h.at
			s.taken = h
			return b, true
		case err == nil:
			s.damaged(seg, fmt.Errorf("%w: no whole batch from byte %d on", errDamaged, s.pos))
			s.pos = seg.size
		case found: // and one unreadable place leaves the rest readable
			s.damaged(seg, err)
			s.pos = h.end()
		default:
			s.damaged(seg, err)
			s.drop()
		}
	}
	return batch{}, false
}

// seek finds the next frame of the first segment.
func (s *spool) seek(seg *segment) (h frameHead, ok bool, err error) {
	if s.in == nil {
		if s.in, err = os.Open(s.path(seg)); err != nil {
			s.in = nil
			return frameHead{}, false, err
		}
	}
	h, ok, err = seekFrame(s.in, s.pos, seg.size)
	if ok && h.start > s.pos {
		s.damaged(seg, fmt.Errorf("%w: %d bytes from byte %d on are skipped", errDamaged, h.start-s.pos, s.pos))
	}
	return h, ok, err
}

func (s *spool) damaged(seg *segment, err error) {
	s.counts.spoolDamages.Add(1)
	s.log.Error("points in the spool are lost: it cannot be read", "segment", s.path(seg), "error", err)
}

// commit removes the batch that peek returned.
func (s *spool) commit() {
	if !s.holds() {
		return
	}
	s.segments[0].points -= s.taken.points
	s.pos = s.taken.end()
	s.taken = frameHead{}
	if s.pos >= s.segments[0].size {
		s.finish()
	}
	s.show()
}

// holds reports whether the batch that peek returned is still in the spool.
func (s *spool) holds() bool { return s.taken.size > 0 }

// empty reports that there is no batch, the one that peek returned included.
func (s *spool) empty() bool { return s.points() == 0 }

func (s *spool) points() (n int) {
	for _, seg := range s.segments {
		n += seg.points
	}
	return n
}

// oldest is when the oldest batch was appended; ok is false if there is none.
func (s *spool) oldest() (at time.Time, ok bool) {
	for _, seg := range s.segments {
		if seg.points > 0 {
			return seg.oldest, true
		}
	}
	return time.Time{}, false
}

// finish leaves the first segment, which was read to its end.
func (s *spool) finish() {
	seg := s.segments[0]
	if len(s.segments) > 1 || s.out == nil || s.out.Truncate(0) != nil {
		s.drop()
		return
	}
	// Emptied and not removed: what was written in time never gets to the disk.
	s.lose(seg.points)
	s.bytes -= seg.size
	seg.size, seg.points, s.pos = 0, 0, 0
}

// drop removes the first segment. Its points that were not written are lost,
// but for those of the batch that peek returned, which is with its reader.
func (s *spool) drop() {
	seg := s.segments[0]
	s.lose(seg.points - s.taken.points)
	s.taken, s.pos = frameHead{}, 0
	if s.in != nil {
		s.in.Close()
		s.in = nil
	}
	if len(s.segments) == 1 {
		s.closeOut()
	}
	if err := os.Remove(s.path(seg)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("cannot delete a segment of the spool; its points are written again after a restart", "error", err)
	}
	s.bytes -= seg.size
	s.segments = slices.Delete(s.segments, 0, 1)
}

func (s *spool) lose(points int) {
	s.counts.dropped.Add(uint64(points))
	s.counts.spoolDropped.Add(uint64(points))
}

func (s *spool) closeOut() {
	if s.out != nil {
		s.out.Close()
		s.out = nil
	}
}

// show makes the figures visible to others.
func (s *spool) show() {
	c := s.counts
	c.spoolBytes.Store(s.bytes)
	c.spoolSegments.Store(int64(len(s.segments)))
	c.spoolPoints.Store(int64(s.points()))
	c.spoolOldest.Store(0)
	if oldest, ok := s.oldest(); ok {
		c.spoolOldest.Store(oldest.UnixMilli())
	}
}

// close leaves everything to the next process.
func (s *spool) close() {
	if s.in != nil {
		s.in.Close()
		s.in = nil
	}
	s.closeOut()
	if s.lock != nil {
		s.lock.Close()
	}
}
