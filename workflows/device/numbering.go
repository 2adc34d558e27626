package device

import (
	"fmt"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

const (
	keptPrints     = 32 // of the newest numbers of a window
	keptNumberings = 4
	keptTopics     = 16 // windows of a device that numbers each topic separately
	suspectsRun    = 3  // numbers from 1, seen before: the numbering was restarted
)

// receive applies a message, unless it is a duplicate; even then it shows that the
// device is up.
func (d *run) receive(started int, m device.Message) {
	v, begun, held := d.admit(m)
	if begun != nil {
		d.restarted(m, *begun)
	}
	for _, s := range held {
		d.applyOne(started, s, fresh)
	}
	if v == duplicate {
		d.causedBy(m)
		d.hear(m)
		return
	}
	d.applyOne(started, m, v)
}

// admit decides about a message by the rules of the run: see Delivery.Receive.
func (d *run) admit(m device.Message) (verdict, *restart, []device.Message) {
	if !d.follows(rulesMessages) {
		return d.state.Delivery.Admit(m), nil, nil
	}
	return d.state.Delivery.receive(m, d.settings.Rules, d.settings.Kept.IDs)
}

func (d *run) applyOne(started int, m device.Message, v verdict) {
	d.applied++
	d.log.add(started, m)
	d.causedBy(m)
	d.receivedMessage(m)
	if v == late {
		d.step(d.ofDevice(devicefsm.Event{
			Name: device.EventSequenceLate,
			Data: map[string]any{"epoch": float64(m.Epoch), "seq": float64(m.Seq)},
		}, m))
	}
	d.take(m)
}

func (d *run) causedBy(m device.Message) {
	d.setCause(Cause{Kind: CauseMessage, Channel: string(m.Channel), Name: m.Name, Epoch: m.Epoch, Seq: m.Seq})
}

// hear takes a duplicate as a sign of life. One that the broker delivers again may be
// older than the last will after it, so it does not bring the device online. It says
// nothing new of the device's clock: what arrives in an upload is not of now.
func (d *run) hear(m device.Message) {
	if !d.follows(rulesMessages) || !m.Alive() {
		return
	}
	if !m.Redelivered {
		d.observe(device.Message{Channel: device.ChannelSystem, Name: device.MessageSeen, Time: m.Time})
	}
	d.step(d.ofService(devicefsm.Event{Alive: true}, m.Time))
}

// restarted reports a numbering that was restarted, to the model and to people.
func (d *run) restarted(m device.Message, r restart) {
	d.causedBy(m)
	d.report(device.Fault{
		At: m.Time, Topic: m.Topic(), Reason: device.FaultRestarted,
		Detail: fmt.Sprintf("numbered from epoch %d, seq %d after epoch %d, seq %d", r.epoch, r.seq, r.lastEpoch, r.lastSeq),
	})
	d.step(d.ofDevice(devicefsm.Event{
		Name: device.EventSequenceRestarted,
		Data: map[string]any{
			"epoch": float64(r.epoch), "seq": float64(r.seq),
			"last_epoch": float64(r.lastEpoch), "last_seq": float64(r.lastSeq),
		},
	}, m))
}

// Receive is Admit for devices whose numbering may begin again without a higher
// epoch. It returns the restart that the message shows, and the messages before it
// that were taken for duplicates until then.
func (d *Delivery) Receive(m device.Message) (verdict, *restart, []device.Message) {
	return d.receive(m, rulesNow, keptIDs)
}

// follows is that of the run: rules are those of the message that is received.
func (d *Delivery) follows(rules int) bool { return d.rules >= rules }

func (d *Delivery) receive(m device.Message, rules, ids int) (verdict, *restart, []device.Message) {
	d.rules, d.ids = rules, ids
	v, begun, held := d.received(m)
	d.rules, d.ids = 0, 0
	return v, begun, held
}

func (d *Delivery) received(m device.Message) (verdict, *restart, []device.Message) {
	if m.Seq == 0 {
		if m.LeftOut != nil { // of messages with a number
			d.omit(*m.LeftOut, m.Topic())
			m.LeftOut = nil
		}
		if d.sentBefore(m.SenderID, d.ids) {
			return d.count(m, duplicate), nil, nil
		}
		return d.Admit(m), nil, nil
	}
	begun := d.begun(m)
	switch {
	case m.LeftOut == nil:
	case begun:
		d.omitPast(*m.LeftOut, m.Epoch)
	default:
		d.omit(*m.LeftOut, m.Topic())
	}
	p := printOf(m)
	if d.explained(m, p) {
		return d.count(m, duplicate), nil, nil
	}
	switch {
	case begun:
		d.omit(device.LeftOut{Spans: m.Restart.LeftOut}, m.Topic())
	case d.announces(m):
		return d.announced(m, p)
	}
	at := d.find(m.Epoch, m.Topic())
	if at >= 0 && !d.PerTopic && (!isBirth(m) || m.Epoch > 0 && d.follows(rulesCorners)) && d.Epochs[at].otherTopic(m.Seq, p) {
		d.PerTopic = true
		at = -1
	}
	if at >= 0 && !d.PerTopic && d.goesOn(m, at, p) {
		at = d.find(m.Epoch, m.Topic())
	}
	switch {
	case at < 0 && d.PerTopic && d.bornBefore(m, p):
		return d.below(m, p, true)
	case at < 0 && d.opens(m.Epoch):
		d.begin(m.Epoch, m.Topic())
		at = 0
	case at < 0:
		return d.below(m, p, isBirth(m))
	case !d.Epochs[at].unseen(m.Seq):
		return d.below(m, p, d.Epochs[at].disproves(m, p))
	case d.Epochs[at].Epoch == d.Epochs[0].Epoch && d.Epochs[at].bornBelow(m):
		return d.below(m, p, true)
	}
	if at == 0 { // one of the numbering before interrupts no run
		d.Suspects = nil
	}
	return d.count(m, d.Epochs[at].note(m, p)), nil, nil
}

// find returns the place of the window that a message belongs to, -1: there is none.
func (d *Delivery) find(epoch int64, topic string) int {
	if !d.PerTopic {
		topic = ""
	}
	return slices.IndexFunc(d.Epochs, func(w Window) bool { return w.Epoch == epoch && w.Topic == topic && !w.Past })
}

// opens reports whether an epoch without a window begins one without being a restart.
func (d *Delivery) opens(epoch int64) bool {
	return len(d.Epochs) == 0 || epoch > d.newest() ||
		d.PerTopic && slices.ContainsFunc(d.Epochs, func(w Window) bool { return w.Epoch == epoch })
}

// omit notes messages that were left out, as if they had been applied.
func (d *Delivery) omit(l device.LeftOut, topic string) {
	for _, s := range l.Spans {
		at := d.find(s.Epoch, topic)
		if at < 0 && s.To >= s.From && d.opens(s.Epoch) {
			d.begin(s.Epoch, topic)
			at = 0
		}
		if at >= 0 {
			d.Epochs[at].omit(s, l.Sent)
		}
	}
	d.remember(l.Digests...)
}

// omitPast notes messages that were left out before a restart.
func (d *Delivery) omitPast(l device.LeftOut, epoch int64) {
	for _, s := range l.Spans {
		if w := d.past(s.Epoch); w != nil && s.Epoch == epoch {
			w.omit(s, l.Sent)
		}
	}
	d.remember(l.Digests...)
}

func (w *Window) omit(s device.Span, sent time.Time) {
	if s.To < s.From {
		return
	}
	for n := min(s.To-s.From, windowSize-1) + 1; n > 0; n-- {
		w.note(device.Message{Seq: s.To - n + 1, Sent: sent}, 0)
	}
}

// newest is the device's present epoch: that of the numbering begun last. By earlier
// rules it is the highest that is known.
func (d *Delivery) newest() int64 {
	n := d.Epochs[0].Epoch
	if d.follows(rulesCorners) {
		return n
	}
	for _, w := range d.Epochs[1:] {
		n = max(n, w.Epoch)
	}
	return n
}

// explained reports whether a message is known to be a repetition. After a restart
// the windows before have equal messages too, so that it takes the broker's word, or the
// device's time, to take one for theirs.
func (d *Delivery) explained(m device.Message, p uint32) bool {
	current := d.find(m.Epoch, m.Topic())
	for i := range d.Epochs {
		w := &d.Epochs[i]
		if w.Epoch != m.Epoch {
			continue
		}
		dated := m.Redelivered || !m.Sent.IsZero()
		if w.printAt(m.Seq) == p && (dated || !w.Past && (!isBirth(m) || m.Epoch > 0)) {
			return true
		}
		if w.Past && m.Redelivered && w.leftOut(m) && current >= 0 && m.Seq > d.Epochs[current].Highest+1 {
			return true
		}
	}
	return false
}

// leftOut reports that the number was left out, as far as it is known, and that the
// device did not send the message later than all of the window. After a restart, a
// message that the broker delivers again is then one of before, unless it is the next
// of the new numbering.
func (w *Window) leftOut(m device.Message) bool {
	seen := m.Seq <= w.Highest && w.Highest-m.Seq < windowSize && w.Seen.has(w.Highest-m.Seq)
	return seen && w.printAt(m.Seq) == 0 && (m.Sent.IsZero() || !m.Sent.After(w.Sent))
}

// begin opens a window that is the newest from now on.
func (d *Delivery) begin(epoch int64, topic string) {
	kept := keptTopics
	if !d.PerTopic {
		topic, kept = "", keptEpochs
		if d.follows(rulesCorners) {
			kept = keptNumberings
		}
	}
	d.Epochs = slices.Insert(d.Epochs, 0, Window{Epoch: epoch, Topic: topic})
	d.Epochs = d.Epochs[:min(len(d.Epochs), kept)]
}
