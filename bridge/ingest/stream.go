package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// stream is what lanes of one name, one after the other, have in common: the
// messages that are delivered again on the next one, and the time in which none could come.
type stream struct {
	name string
	lane *Lane // the last one that was opened; nil: it is closed
	left leftovers
	// acknowledged is for what is delivered again although it was.
	acknowledged acknowledged
	// recognized is the core's; nil in tests of a stream alone.
	recognized *recognized

	// continuity rises when messages may have gone elsewhere: nothing is left out
	// because of what came before.
	continuity uint32
	heard      bool // messages came in on it

	absent    time.Duration // in which nothing could come in, so far
	awaySince time.Time     // zero: messages can come in
}

// attend notes whether messages can come in from now on. The time in which they
// cannot counts for every device's bucket.
func (s *stream) attend(receives bool, now time.Time) {
	if !s.awaySince.IsZero() {
		s.absent += now.Sub(s.awaySince)
		s.awaySince = time.Time{}
	}
	if !receives {
		s.awaySince = now
	}
}

// leftovers are arrivals of closed lanes that were never acknowledged. Their
// source delivers them again on the next lane of the stream, in the same order
// and marked. What is still on its way, or was accepted meanwhile, need not go
// there again: the repetition then only brings a valid acknowledgement.
type leftovers map[leftKey]*fifo[*entry]

type leftKey [sha256.Size]byte

func keyOf(a *Arrival) leftKey {
	h := sha256.New()
	h.Write([]byte(a.Origin))
	h.Write([]byte{0}) // no origin contains it
	if a.Log != "" {   // of two records with one content each has its own position
		h.Write(binary.LittleEndian.AppendUint64([]byte(a.Log), uint64(a.Offset)))
	}
	h.Write(a.Payload)
	return leftKey(h.Sum(nil))
}

func (o leftovers) add(e *entry) {
	key := e.key
	if key == (leftKey{}) {
		key = keyOf(&e.Arrival)
	}
	same := o[key]
	if same == nil {
		same = new(fifo[*entry])
		o[key] = same
	}
	same.push(e)
}

// take returns what a repeats, oldest first, or nil.
func (o leftovers) take(a *Arrival) *entry {
	if !a.Again || len(o) == 0 {
		return nil
	}
	key := keyOf(a)
	same := o[key]
	if same == nil {
		return nil
	}
	e := same.pop()
	if same.len() == 0 {
		delete(o, key)
	}
	return e
}

// renew drops what was accepted and not delivered again on the lane that has just
// closed. It will not be, unless the lane closed before its source came to it.
func (s *stream) renew() {
	before := s.left
	s.left = leftovers{}
	for _, same := range before {
		for same.len() > 0 {
			if e := same.pop(); e.done() {
				s.acknowledged.note(e)
				s.recognized.note(e)
			} else {
				s.left.add(e)
			}
		}
	}
}
