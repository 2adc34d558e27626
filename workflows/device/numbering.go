package device

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

const (
	keptPrints  = 32 // of the newest numbers of a window
	keptTopics  = 16 // windows of a device that numbers each topic separately
	suspectsRun = 3  // numbers from 1, seen before: the numbering was restarted
)

// restart is a numbering that began below the highest number of the one before.
type restart struct {
	epoch, lastEpoch int64
	seq, lastSeq     uint64
}

// receive applies a message, unless it is a duplicate; even then it shows that the
// device is up.
func (d *run) receive(started int, m device.Message) {
	v, begun, held := d.state.Delivery.Receive(m)
	if begun != nil {
		d.restarted(m, *begun)
	}
	for _, s := range held {
		d.applied++
		d.log.add(started, s)
		d.causedBy(s)
		d.take(s)
	}
	d.causedBy(m)
	if v == duplicate {
		d.hear(m)
		return
	}
	d.applied++
	d.log.add(started, m)
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
// older than the last will after it, so it does not bring the device online.
func (d *run) hear(m device.Message) {
	if !m.Alive() {
		return
	}
	if !m.Redelivered {
		d.observe(device.Message{Channel: device.ChannelSystem, Name: device.MessageSeen, Time: m.Time})
	}
	d.step(devicefsm.Event{Time: m.Time, Alive: true})
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
	if m.Seq == 0 {
		return d.Admit(m), nil, nil
	}
	if m.LeftOut != nil {
		d.omit(*m.LeftOut, m.Topic())
	}
	p := printOf(m)
	if d.explained(m, p) {
		return d.count(duplicate), nil, nil
	}
	at := d.find(m.Epoch, m.Topic())
	if at >= 0 && !d.PerTopic && !isBirth(m) && d.Epochs[at].otherTopic(m.Seq, p) {
		d.PerTopic = true
		at = -1
	}
	switch {
	case at < 0 && d.opens(m.Epoch):
		d.begin(m.Epoch, m.Topic())
		at = 0
	case at < 0:
		return d.below(m, p, isBirth(m))
	case !d.Epochs[at].unseen(m.Seq):
		return d.below(m, p, d.Epochs[at].disproves(m, p))
	case isBirth(m) && d.Epochs[at].Epoch == d.Epochs[0].Epoch && m.Seq <= d.Epochs[at].Highest:
		return d.below(m, p, true)
	}
	if at == 0 { // one of the numbering before interrupts no run
		d.Suspects = nil
	}
	return d.count(d.Epochs[at].note(m, p)), nil, nil
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
		if at < 0 || s.To < s.From {
			continue
		}
		for n := min(s.To-s.From, windowSize-1) + 1; n > 0; n-- {
			d.Epochs[at].note(device.Message{Seq: s.To - n + 1, Sent: l.Sent}, 0)
		}
	}
	d.remember(l.Digests...)
}

// newest is the highest epoch that is known.
func (d *Delivery) newest() int64 {
	n := d.Epochs[0].Epoch
	for _, w := range d.Epochs[1:] {
		n = max(n, w.Epoch)
	}
	return n
}

// below decides about a message whose number was seen, or whose epoch is lower than
// all that are known: it restarts the numbering if that is certain, or if it ends a
// run.
func (d *Delivery) below(m device.Message, p uint32, certain bool) (verdict, *restart, []device.Message) {
	if !certain || m.Redelivered {
		if m.Redelivered || !d.suspect(m) {
			return d.count(duplicate), nil, nil
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
	r := &restart{epoch: m.Epoch, seq: first.Seq, lastEpoch: d.Epochs[0].Epoch, lastSeq: d.Epochs[0].Highest}
	for i := range d.Epochs { // of one topic alone only if that is what shows it
		w := &d.Epochs[i]
		w.Past = w.Past || w.Epoch == m.Epoch && (!d.PerTopic || isBirth(m) || w.Topic == m.Topic())
	}
	d.begin(m.Epoch, m.Topic())
	for _, s := range held {
		d.Duplicates--
		d.count(d.Epochs[0].note(s, printOf(s)))
	}
	return d.count(d.Epochs[0].note(m, p)), r, held
}

// suspect holds back a message, and reports whether it ends a run: consecutive numbers
// from 1, or rising ones of an epoch that is lower than all that are known.
func (d *Delivery) suspect(m device.Message) bool {
	n := len(d.Suspects)
	lower := d.find(m.Epoch, m.Topic()) < 0
	follows := func(last device.Message) bool {
		return last.Epoch == m.Epoch && (last.Seq+1 == m.Seq || lower && last.Seq < m.Seq) && (!d.PerTopic || last.Topic() == m.Topic())
	}
	switch {
	case n == 0 && lower, m.Seq == 1:
		d.Suspects = []device.Message{m}
	case n > 0 && follows(d.Suspects[n-1]):
		if n+1 >= suspectsRun {
			return true
		}
		d.Suspects = append(slices.Clone(d.Suspects), m)
	default:
		d.Suspects = nil
	}
	return false
}

// explained reports whether a message is known to be a repetition. After a restart
// the windows before have equal messages too, so that it takes the broker's word, or the
// device's time, to take one for theirs.
func (d *Delivery) explained(m device.Message, p uint32) bool {
	current := true // the newest window of the epoch
	for i := range d.Epochs {
		w := &d.Epochs[i]
		if w.Epoch != m.Epoch {
			continue
		}
		dated := m.Redelivered || !m.Sent.IsZero()
		if w.printAt(m.Seq) == p && (dated || current && (!isBirth(m) || m.Epoch > 0)) {
			return true
		}
		current = false
	}
	return false
}

// begin opens a window that is the newest from now on.
func (d *Delivery) begin(epoch int64, topic string) {
	kept := keptTopics
	if !d.PerTopic {
		topic, kept = "", keptEpochs
	}
	d.Epochs = slices.Insert(d.Epochs, 0, Window{Epoch: epoch, Topic: topic})
	d.Epochs = d.Epochs[:min(len(d.Epochs), kept)]
}

func (d *Delivery) count(v verdict) verdict {
	switch v {
	case duplicate:
		d.Duplicates++
		return v
	case late:
		d.Late++
	}
	d.Applied++
	return v
}

// unseen reports whether the window does not have the number, and could have it.
func (w *Window) unseen(seq uint64) bool {
	return seq > w.Highest || w.Highest-seq < windowSize && !w.Seen.has(w.Highest-seq)
}

// disproves reports that a message whose number was seen is not the one that was
// seen: a birth, another content, or sent later than all of them.
func (w *Window) disproves(m device.Message, p uint32) bool {
	known := w.printAt(m.Seq)
	return isBirth(m) || known != 0 && known>>24 == p>>24 && known != p || !m.Sent.IsZero() && !w.Sent.IsZero() && m.Sent.After(w.Sent)
}

func (w *Window) printAt(seq uint64) uint32 {
	if seq > w.Highest || w.Highest-seq >= uint64(len(w.Prints)) {
		return 0
	}
	return w.Prints[w.Highest-seq]
}

// note admits a message and keeps its print.
func (w *Window) note(m device.Message, p uint32) verdict {
	before := w.Highest
	v := w.admit(m.Seq)
	if v == duplicate {
		return v
	}
	if m.Sent.After(w.Sent) {
		w.Sent = m.Sent
	}
	if v == fresh {
		w.shiftPrints(m.Seq - before)
	}
	if back := w.Highest - m.Seq; back < keptPrints {
		for uint64(len(w.Prints)) <= back {
			w.Prints = append(w.Prints, 0)
		}
		w.Prints[back] = p
	}
	return v
}

func (w *Window) shiftPrints(n uint64) {
	if n >= keptPrints {
		w.Prints = nil
		return
	}
	moved := append(make([]uint32, n), w.Prints...)
	w.Prints = moved[:min(len(moved), keptPrints)]
}

// isBirth reports whether a device begins to talk with the message.
func isBirth(m device.Message) bool { return m.Channel == device.ChannelStatus && m.Alive() }

// otherTopic reports that the number was seen on another topic.
func (w *Window) otherTopic(seq uint64, p uint32) bool {
	known := w.printAt(seq)
	return known != 0 && known>>24 != p>>24
}

// printOf is a hash of what a message says, never 0: 8 bits of its topic, 24 of its
// content.
func printOf(m device.Message) uint32 {
	topic := fnv.New32a()
	fmt.Fprint(topic, m.Topic())
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\n", m.Sent.UTC().Format(time.RFC3339Nano))
	if err := json.NewEncoder(h).Encode(m.Data); err != nil {
		return topic.Sum32()<<24 | 1 // it came as JSON
	}
	return topic.Sum32()<<24 | max(1, h.Sum32()>>8)
}
