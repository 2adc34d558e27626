package device

import (
	"testing"
	"time"

	"devicetwin/device"
)

type numberedMessage struct {
	epoch   int64
	seq     uint64
	topic   device.Channel
	value   float64
	again   bool
	applied int // of them, this one and those held back
}

func (n numberedMessage) message() device.Message {
	m := numbered(n.epoch, n.seq)
	m.Data, m.Redelivered = map[string]any{"t": n.value}, n.again
	if n.topic != "" {
		m.Channel = n.topic
	}
	if n.topic == device.ChannelStatus {
		m.Data = map[string]any{"status": "boot"}
	}
	return m
}

func TestRestartedNumberingsAreApplied(t *testing.T) {
	const boot, tel, ack = device.ChannelStatus, device.ChannelTelemetry, device.ChannelAck
	for name, trace := range map[string][]numberedMessage{
		"a birth": {{0, 1, boot, 0, false, 1}, {0, 2, tel, 20, false, 1}, {0, 3, tel, 21, false, 1},
			{0, 1, boot, 0, false, 1}, {0, 2, tel, 20, false, 1}, {0, 3, tel, 95, false, 1}, {0, 3, tel, 95, false, 0}, {0, 3, tel, 21, true, 0}},
		"a birth delivered again":         {{0, 1, boot, 0, false, 1}, {0, 2, tel, 20, false, 1}, {0, 1, boot, 0, true, 0}, {0, 2, tel, 20, true, 0}},
		"a copy of a birth with an epoch": {{7, 1, boot, 0, false, 1}, {7, 2, tel, 20, false, 1}, {7, 1, boot, 0, false, 0}},
		"no birth":                        {{0, 1, tel, 1, false, 1}, {0, 2, tel, 2, false, 1}, {0, 1, tel, 8, false, 1}, {0, 2, tel, 9, false, 1}},
		"a client's resends":              {{0, 1, tel, 1, false, 1}, {0, 2, tel, 2, false, 1}, {0, 1, tel, 1, false, 0}, {0, 2, tel, 2, false, 0}, {0, 3, tel, 2, false, 1}},
		"one counter per topic": {{0, 1, boot, 0, false, 1}, {0, 1, tel, 1, false, 1}, {0, 2, tel, 2, false, 1}, {0, 1, ack, 1, false, 1},
			{0, 3, tel, 2, false, 1}, {0, 2, ack, 1, false, 1}, {0, 3, tel, 2, false, 0}, {0, 2, ack, 1, false, 0}},
		"a lower epoch with a birth":    {{9, 1, boot, 0, false, 1}, {9, 2, tel, 1, false, 1}, {3, 1, boot, 0, false, 1}, {3, 2, tel, 4, false, 1}, {9, 2, tel, 1, false, 0}},
		"a lower epoch without a birth": {{9, 1, tel, 0, false, 1}, {3, 1, tel, 1, false, 0}, {3, 2, tel, 2, false, 0}, {3, 3, tel, 3, false, 3}, {3, 4, tel, 3, false, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var d Delivery
			for i, n := range trace {
				before := d.Applied
				v, _, held := d.Receive(n.message())
				got := len(held)
				if v != duplicate {
					got++
				}
				if got != n.applied || d.Applied-before != uint64(n.applied) {
					t.Errorf("message %d: %d applied, want %d (verdict %d, counted %d)", i+1, got, n.applied, v, d.Applied-before)
				}
				d = throughJSON(t, d)
			}
		})
	}
}

// 40 numbers are more than there are prints: a run from 1 shows the restart, and
// nothing of it is lost.
func TestARunFromTheStartIsARestart(t *testing.T) {
	var d Delivery
	for seq := range uint64(100) {
		d.Receive(numberedMessage{seq: seq + 1}.message())
	}
	applied := 0
	for seq := range uint64(40) {
		v, _, held := d.Receive(numberedMessage{seq: seq + 1}.message())
		applied += len(held)
		if v != duplicate {
			applied++
		}
	}
	if applied != 40 {
		t.Errorf("%d of 40 applied", applied)
	}
}

func TestLeftOutMessagesStayDuplicates(t *testing.T) {
	var d Delivery
	d.Receive(numberedMessage{seq: 2}.message())
	m := numberedMessage{seq: 6}.message()
	m.LeftOut = &device.LeftOut{Spans: []device.Span{{From: 3, To: 5}}}
	d.Receive(m)
	for _, again := range []bool{false, true} {
		for seq := uint64(2); seq <= 6; seq++ {
			if v, begun, _ := d.Receive(numberedMessage{seq: seq, again: again}.message()); v != duplicate || begun != nil {
				t.Errorf("number %d: verdict %d, restart %v", seq, v, begun)
			}
		}
	}
}

// A copy of a message that was left out is later than what was applied, and still
// not the beginning of a numbering.
func TestACopyOfALeftOutMessageIsNoRestart(t *testing.T) {
	at := func(seq uint64) device.Message {
		m := numberedMessage{seq: seq}.message()
		m.Sent = time.UnixMilli(int64(seq) * 1000).UTC()
		return m
	}
	var d Delivery
	d.Receive(at(2))
	again := at(4)
	again.LeftOut = &device.LeftOut{Spans: []device.Span{{From: 3, To: 6}}, Sent: at(6).Sent}
	if v, begun, _ := d.Receive(again); v != duplicate || begun != nil {
		t.Errorf("verdict %d, restart %v", v, begun)
	}
	restarted := at(4)
	restarted.Sent = at(7).Sent
	if v, begun, _ := d.Receive(restarted); v != fresh || begun == nil {
		t.Errorf("a later message of this number: verdict %d, restart %v", v, begun)
	}
}

// A copy of a birth may come when so much was said since that nothing is kept of it.
func TestALateCopyOfABirthIsNoRestart(t *testing.T) {
	for _, dated := range []bool{false, true} {
		birth := status("boot")
		birth.Epoch, birth.Seq = 5, 3
		var d Delivery
		sent := func(m device.Message) device.Message {
			if dated {
				m.Sent = time.UnixMilli(int64(m.Seq) * 1000).UTC()
			}
			return m
		}
		d.Receive(sent(birth))
		for seq := uint64(4); seq < 60; seq++ {
			d.Receive(sent(numberedMessage{epoch: 5, seq: seq}.message()))
		}
		if v, begun, _ := d.Receive(sent(birth)); v != duplicate || begun != nil {
			t.Errorf("dated %t: verdict %d, restart %v", dated, v, begun)
		}
	}
}

// What was left out may be reported by a message without a number, such as a last
// will: the prints of the numbers before must stay theirs.
func TestLeftOutBeforeAMessageWithoutNumber(t *testing.T) {
	reading := func(seq uint64) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Seq: seq, Data: map[string]any{"t": float64(seq)}}
	}
	var d Delivery
	for seq := uint64(1); seq <= 4; seq++ {
		d.Receive(reading(seq))
	}
	will := device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": device.Offline}, Digest: "w",
		LeftOut: &device.LeftOut{Spans: []device.Span{{From: 5, To: 7}}}}
	if v, _, _ := d.Receive(will); v != fresh {
		t.Errorf("the will: verdict %d", v)
	}
	for seq := uint64(2); seq <= 7; seq++ { // copies, without the broker's word
		if v, begun, _ := d.Receive(reading(seq)); v != duplicate || begun != nil {
			t.Errorf("number %d: verdict %d, restart %v", seq, v, begun)
		}
	}
}

func TestRestartIsReported(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	boot := status("boot")
	boot.Seq = 1
	reading := numberedMessage{seq: 2}.message()
	for after := time.Second; after <= 2*time.Second; after += time.Second {
		h.signalAt(after, boot, reading)
	}
	view := h.runUntil(3 * time.Second)
	if view.Delivery.Applied != 4 || view.ReportCount != 1 || view.Reports[0].Reason != device.FaultRestarted {
		t.Errorf("%d applied, reports %+v", view.Delivery.Applied, view.Reports)
	}
}

// A copy says that the device is up, and nothing of its clock: what waits for the rest
// of an upload still waits.
func TestACopyDoesNotEndWhatAnUploadWaitsFor(t *testing.T) {
	h := newHarnessFor(t, modelOf(t, `
model: door
events: {knock: {channel: status, when: "msg.status == 'boot'"}}
initial: shut
states:
  shut: {on: {knock: open}}
  open: {after: {10s: shut}}
`), 0)
	for _, after := range []time.Duration{time.Second, 3 * time.Second} {
		h.RegisterDelayedCallback(func() {
			m := status("boot")
			m.Epoch, m.Seq, m.Time = 1, 1, h.Now().UTC().Truncate(time.Millisecond)
			m.Sent = m.Time.Add(-2*time.Hour - after)
			h.SignalWorkflow(SignalEvents, device.Batch{Messages: []device.Message{m}})
		}, after)
	}
	if view := h.runUntil(5 * time.Second); view.StateName != "open" || view.Delivery.Duplicates != 1 {
		t.Errorf("state %s after %d duplicates, want open after 1", view.StateName, view.Delivery.Duplicates)
	}
}

func TestDuplicateAfterALateWillHeals(t *testing.T) {
	for _, again := range []bool{false, true} {
		h := newTwinHarness(t, obeyingModel, 0)
		reading := numberedMessage{epoch: 1, seq: 2}.message()
		h.signalAt(time.Second, reading)
		will := status("offline")
		will.Seq = 0
		h.signalAt(2*time.Second, will)
		reading.Redelivered = again
		h.signalAt(3*time.Second, reading)
		want := map[bool]string{false: device.Online, true: device.Offline}[again]
		if view := h.runUntil(4 * time.Second); view.Connection != want || view.Delivery.Duplicates != 1 {
			t.Errorf("redelivered %v: connection %q, want %q", again, view.Connection, want)
		}
	}
}

// signalAt signals messages with the numbers that they have, after a time.
func (h *harness) signalAt(after time.Duration, messages ...device.Message) {
	h.RegisterDelayedCallback(func() {
		batch := device.Batch{Messages: append([]device.Message(nil), messages...)}
		for i := range batch.Messages {
			batch.Messages[i].Time = h.Now().UTC().Truncate(time.Millisecond)
		}
		h.SignalWorkflow(SignalEvents, batch)
	}, after)
}
