package ingest

import (
	"math"
	"slices"
	"time"

	"devicetwin/device"
)

// restartRun is how many numbers from 1, below the highest and none of them
// delivered again by the broker, show that a device numbers from the start again.
const restartRun = 3

// fallenRun are consecutive numbers from 1 below the highest. A device with one
// counter per topic has them too: its highest number is on another topic.
type fallenRun struct {
	last  uint64 // 0: there is none
	topic uint8  // that of the highest number of all, hashed
	same  bool   // the run has a message on it
}

// restart takes note of a message that is not numbered above all that are known, and
// returns the restart that it shows: a birth with number 1, or the end of a run. A
// client that publishes again what was not acknowledged has such a run too, at most
// until then; the workflow compares what it says.
func (s *filterState) restart(m device.Message) (device.Restart, bool) {
	f := &s.fallen
	switch {
	case m.Seq == 0 || s.lastSeq == 0 || m.Redelivered:
		return device.Restart{}, false
	case m.Epoch > s.epoch || m.Epoch == s.epoch && m.Seq > s.lastSeq:
		f.last = 0
		return device.Restart{}, false
	}
	birth := m.Channel == device.ChannelStatus && m.Alive()
	if birth && s.before(m) && m.Sent.IsZero() { // what another process left out is older; else its time says so
		s.firstSeq, s.firstSent = m.Seq, 0
	}
	if m.Epoch < s.epoch || birth && m.Epoch == 0 {
		if !birth || m.Seq > 1 { // a straggler; or of a counter of its topic alone
			return device.Restart{}, false
		}
	} else if !f.joins(m) || f.last < restartRun || !f.same {
		return device.Restart{}, false
	}
	r := device.Restart{Epoch: m.Epoch, Seq: 1, LastEpoch: s.epoch, LastSeq: s.lastSeq}
	s.firstEpoch, s.firstSeq, s.firstSent = m.Epoch, 1, 0
	s.epoch, s.lastSeq, s.lastSent, s.elsewhere = m.Epoch, m.Seq-1, 0, false
	f.last = 0
	return r, true
}

// joins adds a message to the run, or begins one; false: neither.
func (f *fallenRun) joins(m device.Message) bool {
	switch m.Seq {
	case 1:
		f.same = false
	case f.last + 1:
	default:
		f.last = 0
		return false
	}
	f.last, f.same = m.Seq, f.same || topicHash(m) == f.topic
	return true
}

// topicHash is 8 bits of a message's topic.
func topicHash(m device.Message) uint8 {
	h := uint32(2166136261) // FNV-1a, without an allocation
	for _, part := range [...]string{string(m.Channel), "/", m.Name} {
		for i := range len(part) {
			h = (h ^ uint32(part[i])) * 16777619
		}
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}

// gap compares a message's number with those before it and returns the
// sequence.gap message that comes before it, if numbers are missing.
// A number that is not higher than one seen is left to the workflow: only it
// can distinguish late from repeated. While it is unsure what was left out, each number
// is the first one that is known.
func (s *filterState) gap(m device.Message, unsure bool) (device.Message, bool) {
	if m.Seq == 0 {
		return device.Message{}, false
	}
	from := s.lastSeq + 1
	never := s.firstSeq == 0 // or forgotten: there is nothing to compare with
	switch {
	case never:
	case m.Epoch < s.epoch, m.Epoch == s.epoch && m.Seq <= s.lastSeq:
		return device.Message{}, false
	case m.Epoch > s.epoch:
		from = 1
	}
	if never || s.elsewhere {
		from = m.Seq
	}
	if never || unsure || s.forgotten() {
		s.firstEpoch, s.firstSeq, s.firstSent = m.Epoch, m.Seq, sentSecond(m)
	}
	s.epoch, s.lastSeq, s.lastSent, s.elsewhere = m.Epoch, m.Seq, sentSecond(m), false
	s.fallen.topic = topicHash(m)
	if from == m.Seq {
		return device.Message{}, false
	}
	return device.Message{
		Channel: device.ChannelSystem,
		Name:    device.EventSequenceGap,
		Time:    m.Time,
		Data: map[string]any{
			"epoch":   float64(m.Epoch),
			"from":    float64(from),
			"to":      float64(m.Seq - 1),
			"missing": float64(m.Seq - from),
		},
	}, true
}

// copiesCome is the time in which copies of what was sent before are expected, when it is not known
// any more what was left out of it. A client sends a copy when it has connected again, or has
// waited in vain for an acknowledgement.
const copiesCome = time.Minute

// before reports whether a message was sent before all that is known of the device.
// A lower epoch is not a proof of that: the clock that it comes from may have been
// lost. Nor is a lower number, if the device says that it sent it later: it may have begun
// to count again while another process had it.
func (s *filterState) before(m device.Message) bool {
	return m.Epoch == s.firstEpoch && 0 < m.Seq && m.Seq < s.firstSeq && !(s.firstSent != 0 && sentSecond(m) > s.firstSent)
}

// sentSecond is when a device says that it sent a message, in Unix seconds. 0: it does not say.
func sentSecond(m device.Message) uint32 {
	return uint32(min(max(0, unixMilli(m.Sent)/1000), math.MaxUint32))
}

// forgotten reports whether nothing is known of what has the numbers that were seen.
func (s *filterState) forgotten() bool { return s.firstEpoch == s.epoch && s.firstSeq > s.lastSeq }

// forgetNumbers makes all numbers that were seen those of the past: which of them were left
// out is not known any more, and so a copy of one would come too late.
func (s *filterState) forgetNumbers() {
	if s.lastSeq > 0 {
		s.firstEpoch, s.firstSeq, s.firstSent = s.epoch, s.lastSeq+1, s.lastSent
	}
}

// numbersOnly is what remains when another process may have had the device: numbers of the past, if
// the device says when it sends. Otherwise one that began to count again meanwhile could not be
// distinguished from one that sends copies.
func (s *filterState) numbersOnly() filterState {
	if s.lastSeq == 0 || s.lastSent == 0 {
		return filterState{}
	}
	next := filterState{epoch: s.epoch, lastSeq: s.lastSeq, lastSent: s.lastSent, elsewhere: true}
	next.fallen.topic = s.fallen.topic
	next.forgetNumbers()
	return next
}

// hold keeps a message that seems to have come too late, in case the run that it
// begins shows that it did not.
func (l *leftOut) hold(m device.Message) {
	if n := len(l.late); n > 0 && (l.late[n-1].Epoch != m.Epoch || l.late[n-1].Seq >= m.Seq) {
		l.late = nil
	}
	l.late = last(append(l.late, m), restartRun-1)
}

// begin takes note of a restart that message seq shows. Messages of the run before it
// that were taken for late ones are delivered, as if they had come with this one: they were
// acknowledged already.
func (c *core) begin(d *deviceState, r *device.Restart, seq uint64, e *entry, now time.Time) {
	if d.leftOut == nil {
		d.leftOut = new(leftOut)
	}
	l := d.leftOut
	late := slices.DeleteFunc(l.late, func(m device.Message) bool { return m.Epoch != r.Epoch || m.Seq >= seq })
	r.LeftOut = l.cutRun(*r, seq, late)
	l.restart, l.late = r, nil
	if len(late) > 0 && !late[0].Sent.IsZero() && !l.sent.Before(late[0].Sent) { // it is of the run
		l.sent = late[0].Sent.Add(-time.Millisecond)
	}
	for _, m := range late {
		m.Pos = 0 // it counts with the record that releases it
		m.LeftOut, m.Restart = d.takeLeftOut()
		d.filter.joined()
		c.enqueue(d, m, e, now)
	}
}

// cutRun takes the numbers of a restart up to one from those that were left out,
// without those of some messages.
func (l *leftOut) cutRun(r device.Restart, to uint64, without []device.Message) (of []device.Span) {
	n := len(l.spans)
	for n > 0 && l.spans[n-1].Epoch == r.Epoch && r.Seq <= l.spans[n-1].From && l.spans[n-1].To < to {
		n--
	}
	for _, s := range l.spans[n:] {
		for seq := s.From; seq <= s.To; seq++ {
			if !slices.ContainsFunc(without, func(m device.Message) bool { return m.Seq == seq }) {
				of = withNumber(of, device.Message{Epoch: s.Epoch, Seq: seq})
			}
		}
	}
	l.spans = l.spans[:n]
	return of
}
