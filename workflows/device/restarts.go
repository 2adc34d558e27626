package device

import (
	"slices"

	"devicetwin/device"
)

// restart is a numbering that began below the highest number of the one before.
type restart struct {
	epoch, lastEpoch int64
	seq, lastSeq     uint64
}

// below decides about a message whose number was seen, or whose epoch is lower than
// all that are known: it restarts the numbering if that is certain, or if it ends a
// run.
func (d *Delivery) below(m device.Message, p uint32, certain bool) (verdict, *restart, []device.Message) {
	if !d.newer(m) && (!certain || m.Redelivered) {
		if m.Redelivered && !d.follows(rulesCorners) || !d.suspect(m) {
			return d.count(m, duplicate), nil, nil
		}
	}
	var held []device.Message
	if n := len(d.Suspects); n > 0 && d.Suspects[0].Epoch == m.Epoch && d.Suspects[n-1].Seq < m.Seq {
		held = d.Suspects
	}
	d.Suspects = nil
	first := m
	if len(held) > 0 {
		first = held[0]
	}
	held = slices.DeleteFunc(slices.Clone(held), func(s device.Message) bool { return s.Redelivered })
	r := &restart{epoch: m.Epoch, seq: first.Seq}
	if len(d.Epochs) > 0 {
		r.lastEpoch, r.lastSeq = d.Epochs[0].Epoch, d.Epochs[0].Highest
	}
	for i := range d.Epochs { // of one topic alone only if that is what shows it
		w := &d.Epochs[i]
		w.Past = w.Past || w.Epoch == m.Epoch && (!d.PerTopic || isBirth(m) || w.Topic == m.Topic())
	}
	d.begin(m.Epoch, m.Topic())
	for _, s := range held {
		d.Duplicates--
		d.count(s, d.Epochs[0].note(s, printOf(s)))
	}
	return d.count(m, d.Epochs[0].note(m, p)), r, held
}

// newer reports that the device sent a message after all that is known of its epoch
// and topic, or if there is nothing, of all: it is not a repetition, whatever the broker
// says, which marks what it has sent before, received or not.
func (d *Delivery) newer(m device.Message) bool {
	if !d.follows(rulesCorners) {
		return false
	}
	if at := d.find(m.Epoch, m.Topic()); at >= 0 {
		return d.Epochs[at].later(m)
	}
	for i := range d.Epochs {
		if !d.Epochs[i].later(m) {
			return false
		}
	}
	return len(d.Epochs) > 0
}

// suspect holds back a message, and reports whether it ends a run: consecutive numbers
// from 1, or rising ones of an epoch that is lower than all that are known.
//
// One that the broker delivers again may be of the run, but it does not end it, and is
// not applied: it may be of the numbering before.
func (d *Delivery) suspect(m device.Message) bool {
	n := len(d.Suspects)
	lower := d.find(m.Epoch, m.Topic()) < 0
	follows := func(last device.Message) bool {
		return last.Epoch == m.Epoch && (last.Seq+1 == m.Seq || lower && last.Seq < m.Seq) && (!d.PerTopic || last.Topic() == m.Topic())
	}
	switch {
	case d.follows(rulesCorners) && slices.ContainsFunc(d.Suspects, func(s device.Message) bool {
		return s.Epoch == m.Epoch && s.Seq == m.Seq && printOf(s) == printOf(m)
	}): // a copy of it
	case n == 0 && lower, m.Seq == 1:
		d.Suspects = []device.Message{m}
	case n > 0 && follows(d.Suspects[n-1]):
		if n+1 >= suspectsRun && !m.Redelivered {
			return true
		}
		d.Suspects = append(slices.Clone(d.Suspects), m)
		d.Suspects = d.Suspects[max(0, len(d.Suspects)-suspectsRun+1):]
	case d.follows(rulesCorners) && lower:
		d.Suspects = []device.Message{m}
	default:
		d.Suspects = nil
	}
	return false
}

// announces reports whether the bridge saw that the numbering was restarted, and that
// is not known yet.
func (d *Delivery) announces(m device.Message) bool {
	if m.Restart == nil || m.Restart.Epoch != m.Epoch || m.Redelivered || d.PerTopic {
		return false
	}
	at := d.find(m.Epoch, "")
	if at < 0 {
		return len(d.Epochs) == 0 || m.Epoch < d.newest()
	}
	if m.Epoch < d.newest() { // a straggler
		return false
	}
	return m.Sent.IsZero() || m.Sent.After(d.Epochs[at].Sent)
}

// begun reports whether a restart that the bridge announces was known before.
func (d *Delivery) begun(m device.Message) bool {
	if m.Restart == nil || m.Restart.Epoch != m.Epoch || d.PerTopic {
		return false
	}
	at := d.find(m.Epoch, "")
	return at >= 0 && d.Epochs[at].Highest <= m.Seq && d.past(m.Epoch) != nil
}

// past is the window of an epoch before its last restart, nil: there is none.
func (d *Delivery) past(epoch int64) *Window {
	at := slices.IndexFunc(d.Epochs, func(w Window) bool { return w.Past && w.Epoch == epoch })
	if at < 0 {
		return nil
	}
	return &d.Epochs[at]
}

// announced begins the numbering that the bridge announces.
func (d *Delivery) announced(m device.Message, p uint32) (verdict, *restart, []device.Message) {
	v, r, held := d.below(m, p, true)
	d.omit(device.LeftOut{Spans: m.Restart.LeftOut}, m.Topic())
	r.seq, r.lastEpoch, r.lastSeq = m.Restart.Seq, m.Restart.LastEpoch, m.Restart.LastSeq
	return v, r, held
}

// goesOn finds out that a status, which seemed to begin a numbering, has a counter of its
// own: the numbering before it goes on, on another topic, and not the new one. From
// then on the windows are those of their topics.
func (d *Delivery) goesOn(m device.Message, current int, p uint32) bool {
	now, before := &d.Epochs[current], d.past(m.Epoch)
	status := printOf(device.Message{Channel: device.ChannelStatus}) >> 24
	if before == nil || m.Redelivered || !d.follows(rulesCorners) ||
		m.Seq != before.Highest+1 || m.Seq <= now.Highest+1 || p>>24 == status ||
		before.printAt(before.Highest)>>24 != p>>24 || now.printAt(now.Highest)>>24 != status {
		return false
	}
	d.PerTopic = true
	now.Topic = device.Message{Channel: device.ChannelStatus}.Topic()
	before.Topic, before.Past = m.Topic(), false
	return true
}

// bornBefore reports that a birth has the number of one from before the device was
// known to number each topic separately.
func (d *Delivery) bornBefore(m device.Message, p uint32) bool {
	return isBirth(m) && !m.Redelivered && slices.ContainsFunc(d.Epochs, func(w Window) bool {
		known := w.printAt(m.Seq)
		return w.Epoch == m.Epoch && w.Topic == "" && !w.Past && known != 0 && known>>24 == p>>24
	})
}
