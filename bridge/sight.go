package bridge

import (
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/wire"
)

// sight is what the messages of a device are judged by: those that went on to
// its workflow, or were left out, up to now. It is a value, so that messages can
// be judged before it is known whether they are taken.
type sight struct {
	// The highest number seen, to judge gaps. lastSeq 0: none yet.
	epoch   int64
	lastSeq uint64
	// The first number seen. What came before it was another process's, or forgotten.
	firstEpoch int64
	firstSeq   uint64

	// filter belongs to one connection: what came in between is not known. It is
	// for the first judge of the device's kind, further are for the others.
	filter     devicefsm.Filter
	further    []devicefsm.Filter
	connection uint32
	passed     time.Time // the last message that a filter let pass
}

// forget makes the filters let pass what comes next.
func (s *sight) forget() {
	s.filter.Reset()
	for i := range s.further {
		s.further[i].Reset()
	}
}

// copied is a sight that can be changed without this one.
func (s *sight) copied() sight {
	c := *s
	c.further = slices.Clone(s.further)
	return c
}

// filters has one filter for each judge; those of other judges are dropped.
func (s *sight) filters(judges int) func(int) *devicefsm.Filter {
	if len(s.further) != judges-1 {
		s.filter.Reset()
		s.further = make([]devicefsm.Filter, judges-1)
	}
	return func(i int) *devicefsm.Filter {
		if i == 0 {
			return &s.filter
		}
		return &s.further[i-1]
	}
}

// holds reports whether a class is remembered.
func (s *sight) holds() bool {
	return s.filter.Holds() || slices.ContainsFunc(s.further, func(f devicefsm.Filter) bool { return f.Holds() })
}

// gap compares a message's number with those before it and returns the
// sequence.gap message that stands before it, if numbers are missing.
// A number that is not higher than one seen is the workflow's business: only it
// can tell late from repeated.
func (s *sight) gap(m device.Message) (device.Message, bool) {
	if m.Seq == 0 {
		return device.Message{}, false
	}
	from := s.lastSeq + 1
	switch {
	case s.lastSeq == 0: // never seen, or forgotten: there is nothing to compare with
		from = m.Seq
		s.firstEpoch, s.firstSeq = m.Epoch, m.Seq
	case m.Epoch < s.epoch, m.Epoch == s.epoch && m.Seq <= s.lastSeq:
		return device.Message{}, false
	case m.Epoch > s.epoch:
		from = 1
	}
	s.epoch, s.lastSeq = m.Epoch, m.Seq
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

// before reports whether a message was sent before all that is known of the device.
// A lower epoch is no proof of that: the clock that it comes from may have been lost.
func (s *sight) before(m device.Message) bool {
	return m.Epoch == s.firstEpoch && 0 < m.Seq && m.Seq < s.firstSeq
}

// pass reports whether a message has to be signalled because it can do
// something. What the filter remembers is forgotten after SettledFor, so that a
// workflow that was started anew meanwhile learns of it.
func (c *core) pass(k *kind, s *sight, m device.Message) bool {
	if len(k.judges) == 0 {
		return true
	}
	if !c.sifts {
		return slices.ContainsFunc(k.judges, func(j Model) bool { return j.Relevant(m) })
	}
	if s.connection != c.connection || m.Time.Sub(s.passed) >= c.cfg.SettledFor {
		s.forget()
		s.connection = c.connection
	}
	filter := s.filters(len(k.judges))
	passes := false
	for i, judge := range k.judges { // each filter has to see every message
		passes = judge.Pass(filter(i), m) || passes
	}
	if passes && s.before(m) && mayLeaveOut(k.judges, m) {
		c.counts.tooLate.Add(1)
		return false
	}
	if passes {
		s.passed = m.Time
	}
	return passes
}

// mayLeaveOut reports whether some bridge could have left the message out. If such
// a message comes late, as a copy that the device has published again, nobody knows
// any more whether one did; applied now, it would stand behind what ended its class.
func mayLeaveOut(judges []Model, m device.Message) bool {
	return !slices.ContainsFunc(judges, func(j Model) bool { return !j.MayLeaveOut(m) })
}

// judged is a message of a delivery.
type judged struct {
	message device.Message
	// gap stands before the message if numbers are missing there.
	gap               *device.Message
	signal, signalGap bool // as the model says
	settled           bool // not to be signalled, and perhaps only because it repeats another
}

// weigh judges the messages of a delivery, in their order, and takes them: all
// or none.
func (c *core) weigh(d *deviceState, received []wire.Received, e *entry, now time.Time) {
	seen := d.seen.copied()
	relevant := 0
	objects := make([]judged, len(received))
	for i := range objects {
		o := &objects[i]
		o.message = received[i].Message
		c.counts.messages.Add(1)
		c.trace(d.id, o.message)
		if o.message.Channel == device.ChannelTelemetry {
			c.out.point(d.id, d.kind.start.Name(), o.message.Data, received[i].PointTime)
		}
		if c.learn(d, o.message) {
			seen.forget()
		}
		c.judge(d.kind, &seen, o)
		if o.signal {
			relevant++
		}
	}
	c.counts.relevant.Add(uint64(relevant))
	if relevant > 0 {
		// What was seen stays as it was: the workflow does not get these, and the
		// device's next number that is taken tells the model of the gap.
		if ref := c.overQuota(d, relevant, now); ref != nil {
			c.refuse(e, ref)
			return
		}
	}
	if d.stuck {
		return
	}
	d.seen = seen
	for i := range objects {
		c.admit(d, &objects[i], e, now)
	}
}

// judge decides about one message, and about the gap before it.
func (c *core) judge(k *kind, s *sight, o *judged) {
	if gap, ok := s.gap(o.message); ok {
		o.gap, o.signalGap = &gap, c.pass(k, s, gap)
	}
	o.signal = c.cfg.Naive || c.pass(k, s, o.message)
	o.settled = !o.signal && c.sifts && (s.holds() || s.before(o.message))
}

// admit queues a message if it is to be signalled, and what the bridge itself
// has to say about it.
func (c *core) admit(d *deviceState, o *judged, e *entry, now time.Time) {
	m := o.message
	if o.gap != nil {
		c.counts.gaps.Add(1)
	}
	if o.signalGap {
		c.enqueue(d, *o.gap, e, now)
	}
	if o.settled {
		d.leaveOut(m)
	}
	alive := m.Alive()
	switch {
	case o.signal:
		m.LeftOut = d.takeLeftOut()
		c.enqueue(d, m, e, now)
		if alive {
			d.renewed = m.Time
		}
	case c.cfg.StartOnAny && !d.begun:
		c.renew(d, m, renewalDue, e, now)
	case alive:
		c.renew(d, m, d.renews(m.Time), e, now)
	}
	if alive {
		d.heard = m.Time
	}
}
