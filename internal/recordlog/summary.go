package recordlog

import (
	"context"
	"slices"
	"time"
)

// Summary is what is in the folder of a log.
type Summary struct {
	Begin, End int64 // positions of the oldest record, and after the newest
	Segments   int
	Bytes      int64 // of all segments
	Records    uint64
	Kinds      map[byte]KindSummary
	// First and Last are when the oldest and the newest record were appended; zero
	// without records.
	First, Last time.Time
	// Keys are the ids of the keys with which segments are encrypted, in order of first
	// use; "" stands for segments in clear.
	Keys    []string
	Cursors []CursorPlace // by name
	Damaged uint64        // places that cannot be read
	Erased  uint64        // records
	// Incomplete is how many bytes at the end are not a whole record: one that is being
	// written, or that a crash left.
	Incomplete int64
}

// KindSummary is what there is of one kind of records.
type KindSummary struct {
	Records uint64
	Bytes   int64 // with their frames
}

// Backlog is how many bytes a cursor has not committed.
func (s Summary) Backlog(c CursorPlace) int64 { return max(0, s.End-max(s.Begin, c.Position)) }

// Summarize reads all of the log in a folder, also one that another process is writing. It
// needs no keys: whether encrypted records can be decrypted is not checked.
func Summarize(ctx context.Context, dir string) (Summary, error) {
	r, err := OpenReader(dir, nil)
	if err != nil {
		return Summary{}, err
	}
	defer r.Close()
	r.opaque = true
	s := Summary{Kinds: map[byte]KindSummary{}}
	r.erased = func() { s.Erased++ }
	if all := r.Segments(); len(all) > 0 {
		s.Begin = all[0]
		s.End = s.Begin
	}
	for {
		e, ok, err := r.TryNext()
		if err != nil {
			return s, err
		}
		if !ok {
			break
		}
		s.add(e)
		if of := r.of; !slices.Contains(s.Keys, of.key) {
			s.Keys = append(s.Keys, of.key)
		}
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
	}
	s.End = max(s.End, r.Position())
	s.Segments, s.Damaged = len(r.segments), r.Damaged()
	for _, segment := range r.segments {
		s.Bytes += segment.size
	}
	s.Incomplete = max(0, r.End()-s.End)
	s.Cursors, err = cursorPlaces(dir)
	return s, err
}

func (s *Summary) add(e Entry) {
	if s.Records == 0 {
		s.First = e.At
	}
	s.Last = e.At
	s.Records++
	k := s.Kinds[e.Kind]
	k.Records++
	k.Bytes += e.End - e.Start
	s.Kinds[e.Kind] = k
}
