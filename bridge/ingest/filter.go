package ingest

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/wire"
)

// filterState is what decides which messages of a device go on to its workflow:
// the numbers and classes of those before. It is a value, so that messages can be
// decided before it is known whether they are taken.
type filterState struct {
	// The highest number seen, to find gaps. lastSeq 0: none yet.
	epoch   int64
	lastSeq uint64
	// The first number seen. What came before it was another process's, or forgotten. It
	// is above lastSeq if all that was seen is forgotten.
	firstEpoch int64
	firstSeq   uint64
	// When the device sent the two, as sentSecond says.
	lastSent, firstSent uint32
	fallen              fallenRun

	// classes belongs to one continuity: what came in between is not known. It is for the
	// first model of the device's set, further are for the others.
	classes memory
	further []memory
	// continuity is that of the stream: see stream.
	continuity uint32
	passing    bool  // messages of the arrival that is decided are to be queued
	elsewhere  bool  // what comes after lastSeq may have been another process's
	passed     int64 // when the last message that a filter let pass came, Unix ms
}

// memory is a filter, and what is known of the message whose class it remembers.
type memory struct {
	devicefsm.Filter
	batch  uint32 // the one that it is in, as deviceState.batches counts
	behind bool   // something that may begin a workflow was queued after it
}

// each calls f with the filter of each model.
func (s *filterState) each(f func(*memory)) {
	f(&s.classes)
	for i := range s.further {
		f(&s.further[i])
	}
}

// forget makes the filters let pass what comes next.
func (s *filterState) forget() { s.each(func(m *memory) { m.Reset() }) }

// copied is a state that can be changed without this one.
func (s *filterState) copied() filterState {
	c := *s
	c.further = slices.Clone(s.further)
	return c
}

// filters has one filter for each model; those of other sets are dropped.
func (s *filterState) filters(models int) func(int) *memory {
	if len(s.further) != models-1 {
		s.classes.Reset()
		s.further = make([]memory, models-1)
	}
	return func(i int) *memory {
		if i == 0 {
			return &s.classes
		}
		return &s.further[i-1]
	}
}

// holds reports whether a class is remembered.
func (s *filterState) holds() bool {
	return s.classes.Holds() || slices.ContainsFunc(s.further, func(f memory) bool { return f.Holds() })
}

// pass reports whether a message has to be delivered because it can do something.
// What the filter remembers is forgotten after SettledFor, in case that a workflow was
// started again without the bridge's knowledge; see instance.go for how it knows.
func (c *core) pass(d *deviceState, s *filterState, continuity uint32, m device.Message) bool {
	set := d.models
	if len(set.possible) == 0 {
		return true
	}
	moved, unknown := c.moved(d, s)
	if unknown {
		s.forget()
		return true
	}
	if !c.sifts {
		return slices.ContainsFunc(set.possible, func(model Model) bool { return model.Relevant(m) })
	}
	if moved || s.continuity != continuity || m.Time.Sub(time.UnixMilli(s.passed)) >= c.cfg.SettledFor {
		s.forget()
		s.continuity = continuity
	}
	filter := s.filters(len(set.possible))
	c.forgetUncertain(d, s)
	passes := false
	for i, model := range set.possible { // each filter has to see every message
		f := filter(i)
		passes = model.Pass(&f.Filter, m) || passes
		c.misread = c.misread || f.Failed()
	}
	if passes && s.before(m) && mayLeaveOut(set.possible, m) {
		c.counts.TooLate.Add(1)
		c.late = true
		return false
	}
	if passes {
		s.passed = unixMilli(m.Time)
		s.queued(d.batches + 1)
	}
	return passes
}

// mayLeaveOut reports whether some bridge could have left the message out. If such
// a message comes late, as a copy that the device has published again, nobody knows
// any more whether one did; applied now, it would come after the message that ended its class.
func mayLeaveOut(models []Model, m device.Message) bool {
	return !slices.ContainsFunc(models, func(model Model) bool { return !model.MayLeaveOut(m) })
}

// decision is the verdict on one message of an arrival.
type decision struct {
	// gap comes before the message if numbers are missing there.
	gap                 *device.Message
	deliver, deliverGap bool
	heard               bool // it is delivered only because of when or where the device is reached
	settled             bool // not to be delivered, and perhaps only because it repeats another
	failed              bool // an expression did, on a message that is not to be delivered
	tooLate             bool
	restart             *device.Restart
	of                  int // its place in the recording, from 1
}

// verdict is what is written down of it.
func (d *decision) verdict() history.Verdict {
	switch {
	case d.heard:
		return history.Heard
	case d.deliver:
		return history.Delivered
	case d.tooLate:
		return history.TooLate
	case d.settled:
		return history.Repeated
	}
	return history.Irrelevant
}

// hear has a message delivered that is else left out.
func (d *decision) hear(s *filterState) {
	d.deliver, d.heard, d.settled, d.failed = true, true, false, false
	s.joined()
}

// take decides about the messages of an arrival, in their order, and takes them:
// all or none.
func (c *core) take(d *deviceState, received []wire.Received, e *entry, now time.Time) {
	d.traffic.addReceived(received)
	c.scratch = d.filter.copied()
	state := &c.scratch
	state.passing = false
	relevant := 0
	decisions := c.decisions[:0]
	for i := range received {
		r := &received[i]
		c.counts.Messages.Add(1)
		c.trace(r)
		name := d.models.start.Name()
		if c.learn(d, &r.Message) {
			state.forget()
		}
		of := c.noteMessage(r, history.Refused) // unless it is admitted
		if r.Message.Channel == device.ChannelTelemetry && name != "" {
			c.point(Point{d.id, name, r.Object, c.times.of(d.id, r)}, of)
		}
		next := c.decideOn(d, state, e.lane.stream.continuity, r)
		if !next.deliver && !next.tooLate && relevant == 0 && c.reaches(d, &r.Message) {
			next.hear(state)
		}
		next.of = of
		decisions = append(decisions, next)
		if next.deliver {
			relevant++
		}
	}
	c.decisions = decisions
	c.counts.Relevant.Add(uint64(relevant))
	if relevant > 0 {
		// The state stays as it was: the workflow does not get these, and the
		// device's next number that is taken reports the gap to the model.
		if refused := c.overQuota(d, relevant, e.lane.stream.absent, now); refused != nil {
			c.refuse(e, refused)
			d.missed(received)
			c.hearBeyondQuota(d, received, e, now)
			c.reportRefused(d, received[0].Message.Topic(), e.Payload, e.At, refused)
			return
		}
	}
	if d.quarantined {
		d.missed(received)
		return
	}
	d.filter = *state
	for i, next := range decisions {
		c.decided(next.of, next.verdict())
		c.admit(d, c.completed(d, &received[i], next), next, e, now)
	}
}

// decide decides about one message, and about the gap before it.
func (c *core) decide(d *deviceState, s *filterState, continuity uint32, m device.Message) decision {
	var next decision
	set := d.models
	if r, ok := s.restart(m); ok {
		next.restart = &r
		s.forget()
	}
	if found, ok := s.gap(m, m.Time.Before(c.unsure)); ok {
		gap := found // so that found need not be on the heap
		next.gap, next.deliverGap = &gap, c.pass(d, s, continuity, gap)
	}
	below := m.Seq > 0 && m.Epoch == s.epoch && m.Seq < s.lastSeq && !s.before(m)
	c.misread, c.late = false, false
	next.deliver = c.cfg.Naive || c.pass(d, s, continuity, m)
	if !next.deliver && (set.restarted && next.restart != nil || set.late && below && c.sifts) {
		next.deliver = true // for the event that the workflow makes of its number
		s.joined()
	}
	next.failed, next.tooLate = c.misread, c.late
	next.settled = !next.deliver && c.sifts && (s.holds() || s.before(m) || set.late && m.Seq > 0)
	return next
}

// admit queues a message if it is to be delivered, and what the bridge itself has
// to report about it.
func (c *core) admit(d *deviceState, m device.Message, next decision, e *entry, now time.Time) {
	c.before(&m)
	if next.gap != nil {
		c.counts.Gaps.Add(1)
	}
	if next.deliverGap {
		c.enqueue(d, *next.gap, e, now)
	}
	if next.restart != nil {
		c.begin(d, next.restart, m.Seq, e, now)
	}
	if next.settled {
		d.leaveOut(m)
	}
	if next.tooLate {
		d.leftOut.hold(m)
	}
	alive := m.Alive()
	c.reportFound(d, m, next)
	switch {
	case next.deliver:
		m.LeftOut, m.Restart = d.takeLeftOut()
		m.Model = d.takeModel(m.Model)
		c.queueFaults(d, now)
		if next.heard && !d.begun {
			c.enqueuePassive(next.of, d, m, e, now)
		} else {
			c.enqueueOf(next.of, d, m, e, now)
		}
		if alive {
			d.renewed = m.Time
		}
		d.notes(m)
		d.reached(m.From, m.Time)
	case alive && d.offline: // it shows that the last will was late
		c.renew(d, m, renewalDue, e, now)
		d.offline = false
	case c.cfg.StartOnAny && !d.begun:
		c.renew(d, m, renewalDue, e, now)
	case alive:
		c.renew(d, m, d.renews(m.Time), e, now)
	}
	if alive {
		d.heard = m.Time
	}
	c.ask(d, &m, e)
}

// notes keeps what a delivered message says of the connection. A status that says
// nothing of it leaves a workflow that has the device offline as it is.
func (d *deviceState) notes(m device.Message) {
	switch says := m.Says(); {
	case says == device.Offline:
		d.offline = true
	case m.Alive() && says != device.ConnectionUnknown:
		d.offline = false
	}
}

// Bounds of what is remembered of the messages of one device that were left out:
// as much as its workflow compares a repeated message with.
const (
	keptSpans   = 4
	keptDigests = 32
)

// leftOut are the messages of a device that were left out since the last one
// that was delivered, although they were relevant. After a crash the broker may
// deliver them again, and nobody would know any more that they were left out; so
// the next message that is delivered reports it to the workflow.
type leftOut struct {
	spans   []device.Span
	digests []uint64 // of those without a number
	sent    time.Time

	restart *device.Restart  // the numbering was, since the last message that was delivered
	late    []device.Message // the last ones that came too late, if they are a run
}

// leaveOut notes a message that is not delivered.
func (d *deviceState) leaveOut(m device.Message) {
	if d.leftOut == nil {
		d.leftOut = new(leftOut)
	}
	l := d.leftOut
	if m.Sent.After(l.sent) && l.restart == nil {
		l.sent = m.Sent
	}
	if m.Seq == 0 {
		if sum, err := strconv.ParseUint(m.Digest, 16, 64); err == nil {
			if i := slices.Index(l.digests, sum); i >= 0 { // so that what is said again and again leaves room for others
				l.digests = slices.Delete(l.digests, i, i+1)
			}
			l.digests = last(append(l.digests, sum), keptDigests)
		}
		return
	}
	if l.restart != nil && m.Epoch == l.restart.Epoch {
		l.restart.LeftOut = withNumber(l.restart.LeftOut, m)
		return
	}
	l.spans = withNumber(l.spans, m)
}

func withNumber(spans []device.Span, m device.Message) []device.Span {
	if n := len(spans); n > 0 && spans[n-1].Epoch == m.Epoch && spans[n-1].To+1 == m.Seq {
		spans[n-1].To++
		return spans
	}
	return last(append(spans, device.Span{Epoch: m.Epoch, From: m.Seq, To: m.Seq}), keptSpans)
}

// last keeps the last n of a list, in place.
func last[T any](list []T, n int) []T {
	if extra := len(list) - n; extra > 0 {
		list = list[:copy(list, list[extra:])]
	}
	return list
}

// takeLeftOut returns what was left out, and the restart of the numbering since, for
// the message that is delivered next.
func (d *deviceState) takeLeftOut() (*device.LeftOut, *device.Restart) {
	l := d.leftOut
	if l == nil {
		return nil, nil
	}
	d.leftOut = nil
	var out *device.LeftOut
	if len(l.spans)+len(l.digests) > 0 {
		out = &device.LeftOut{Spans: l.spans, Sent: l.sent}
	}
	for _, sum := range l.digests {
		out.Digests = append(out.Digests, fmt.Sprintf("%016x", sum))
	}
	return out, l.restart
}
