package devicefsm

import "devicetwin/device"

// The messages of an event fall into classes: by the truth values of the
// conditions that read nothing but the message. A class is settled if, after one
// message of it and whatever state the chart was in, another one of the same class
// can do nothing, whatever timers, activities and operators did in between. Of
// readings against a threshold with hysteresis, then, only those that cross it
// are worth a signal.

// Class returns the event of a message, its class, and whether that class is
// settled. Bit i of the class is the truth of condition i of the event, in the
// order of Relevance. A message that is not an event has no class.
func (m *Model) Class(msg device.Message) (event string, class uint64, settled bool) {
	s := newScope()
	defer s.free()
	c, sure := m.eventOf(&msg, s)
	ec := m.classes.byName[c.name]
	if ec == nil {
		return c.name, 0, false
	}
	*s = scope{event: msg.Data}
	class, ok := ec.classInAll(s)
	return c.name, class, sure && ok && m.classes.verdict(ec, class).settled
}

// Filter remembers of one device what is needed to leave out the repetition of
// a settled class, in 32 bytes. Its zero value remembers nothing. A filter
// belongs to one model and one device, must see all messages of the device in
// the order in which they are sent on, and is not safe for concurrent use.
type Filter struct {
	class uint64
	epoch int64 // the highest number seen
	seq   uint64
	event uint32 // 0: none

	failed  bool // an expression, on the last message
	current bool // the last message has the class that is remembered
}

// Reset forgets the class: to be called when messages may have passed by the
// filter unseen, as on a reconnection of the session, and when a message that
// passed did not reach the device's workflow.
func (f *Filter) Reset() { f.class, f.event = 0, 0 }

// Holds reports whether a class is remembered, so that a message that Pass did
// not let pass may be a repetition of it, and not one that never matters.
func (f *Filter) Holds() bool { return f.event != 0 }

// Current reports whether the class that is remembered is that of the message that
// Pass saw last, whether it was let pass or repeats an earlier one.
func (f *Filter) Current() bool { return f.event != 0 && f.current }

// Failed reports whether an expression of the model failed on the message that
// Pass saw last, as far as it had to look. Model.Explain says which.
func (f *Filter) Failed() bool { return f.failed }

// number takes note of a message's number, and reports false for a message that
// the workflow may drop as a duplicate: nothing can be built on it. A jump of the
// numbers forgets, since what was sent before it may have been a duplicate of
// what another process sent.
func (f *Filter) number(msg *device.Message) (certain bool) {
	switch {
	case msg.Seq == 0:
		certain = !msg.Redelivered && msg.SenderID == ""
	case msg.Epoch == f.epoch && msg.Seq == f.seq+1:
		f.seq++
		return true
	case msg.Epoch > f.epoch || msg.Epoch == f.epoch && msg.Seq > f.seq:
		f.Reset()
		f.epoch, f.seq = msg.Epoch, msg.Seq
		return true
	}
	return certain
}

// Pass reports whether the message has to reach the statechart: it is relevant,
// and does not repeat a settled class after which no other relevant message
// passed. Leaving out the others changes nothing but the clocks: a delay that was due
// before one of them is due before the next message that passes, or when its time is up
// on the service's clock. The analysis lets every delay end at any time, so that what
// is left out does nothing, whenever they do.
func (m *Model) Pass(f *Filter, msg device.Message) bool {
	s := newScope()
	passes := m.pass(f, &msg, s)
	s.free()
	return passes
}

func (m *Model) pass(f *Filter, msg *device.Message, s *scope) bool {
	certain := f.number(msg)
	f.current = false
	c, sure := m.eventOf(msg, s)
	f.failed = c.failed
	always := alwaysRelevant(msg.Channel)
	ec := m.classes.byName[c.name]
	if ec == nil { // the model does not name the event
		if !always {
			var possible bool
			if possible, f.failed = m.possible(msg, c, sure, s); !possible {
				return false
			}
		}
		f.Reset()
		return true
	}
	*s = scope{event: msg.Data}
	if sure && !always && !ec.effects.possibleInAny(s) {
		f.failed = f.failed || s.failed
		return false
	}
	class, ok := ec.classInAll(s)
	if always || !sure || !certain || !ok || !m.classes.verdict(ec, class).settled {
		f.Reset()
		return true
	}
	f.current = true
	if f.event == ec.number && f.class == class {
		return false
	}
	f.event, f.class = ec.number, class
	return true
}

// MayLeaveOut reports whether Pass leaves the message out in some history of the
// device: it can do nothing at all, or its class is settled.
func (m *Model) MayLeaveOut(msg device.Message) bool {
	if alwaysRelevant(msg.Channel) {
		return false
	}
	if !m.Relevant(msg) {
		return true
	}
	_, _, settled := m.Class(msg)
	return settled
}
