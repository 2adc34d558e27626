package device

import (
	"testing"
	"time"

	"devicetwin/device"
)

func announcedRestart(m device.Message, r device.Restart) device.Message {
	m.Restart = &r
	return m
}

// The bridge saw a restart that the workflow cannot see: the first numbers were left
// out.
func TestAnAnnouncedRestartIsApplied(t *testing.T) {
	reading := func(seq uint64, value float64) device.Message {
		return numberedMessage{seq: seq, value: value}.message()
	}
	var d Delivery
	for seq := uint64(1); seq <= 60; seq++ {
		d.Receive(reading(seq, 1))
	}
	m := announcedRestart(reading(20, 2), device.Restart{Seq: 1, LastSeq: 80, LeftOut: []device.Span{{From: 1, To: 19}}})
	m.LeftOut = &device.LeftOut{Spans: []device.Span{{From: 61, To: 80}}}
	v, begun, _ := d.Receive(m)
	if v != fresh || begun == nil || *begun != (restart{seq: 1, lastSeq: 80}) {
		t.Fatalf("verdict %d, restart %+v", v, begun)
	}
	d = throughJSON(t, d)
	for name, tt := range map[string]struct {
		m    device.Message
		want verdict
	}{
		"the same again":                        {m, duplicate},
		"left out of the new numbering":         {reading(7, 3), duplicate},
		"delivered again, of the one before":    {numberedMessage{seq: 50, value: 1, again: true}.message(), duplicate},
		"delivered again, left out before":      {numberedMessage{seq: 70, value: 9, again: true}.message(), duplicate},
		"the next one, though delivered again":  {numberedMessage{seq: 21, value: 9, again: true}.message(), fresh},
		"sent since, though delivered again":    {sentLater(numberedMessage{seq: 75, value: 9, again: true}.message()), fresh},
		"the next one":                          {reading(21, 3), fresh},
		"announced again, since it had started": {announcedRestart(reading(21, 3), device.Restart{Seq: 1, LastSeq: 80}), fresh},
	} {
		t.Run(name, func(t *testing.T) {
			c := throughJSON(t, d)
			if name == "sent since, though delivered again" {
				c.Epochs[1].Sent = time.UnixMilli(1000).UTC()
			}
			if v, begun, _ := c.Receive(tt.m); v != tt.want || begun != nil {
				t.Errorf("verdict %d, restart %+v, want %d", v, begun, tt.want)
			}
		})
	}
}

func sentLater(m device.Message) device.Message {
	m.Sent = time.UnixMilli(2000).UTC()
	return m
}

// A workflow that knows no number of the device, because all were left out, learns of
// the restart by the birth.
func TestTheFirstNumberMayAnnounceARestart(t *testing.T) {
	var d Delivery
	m := announcedRestart(numberedMessage{seq: 1, topic: device.ChannelStatus}.message(), device.Restart{Seq: 1, LastSeq: 5})
	if v, begun, _ := d.Receive(m); v != fresh || begun == nil || begun.lastSeq != 5 {
		t.Errorf("verdict %d, restart %+v", v, begun)
	}
}

// What a client publishes again looks like a restart to a bridge; its content, or its
// time, does not.
func TestCopiesAreNoAnnouncedRestart(t *testing.T) {
	var d Delivery
	dated := func(seq uint64) device.Message {
		m := numberedMessage{seq: seq, value: 1}.message()
		m.Sent = time.UnixMilli(int64(1000 * seq)).UTC()
		return m
	}
	for seq := uint64(1); seq <= 100; seq++ {
		d.Receive(dated(seq))
	}
	for _, seq := range []uint64{3, 90} { // without a print, and with one
		v, begun, _ := d.Receive(announcedRestart(dated(seq), device.Restart{Seq: 1, LastSeq: 100}))
		if v != duplicate || begun != nil {
			t.Errorf("number %d: verdict %d, restart %+v", seq, v, begun)
		}
	}
}

// A client publishes again what it had sent before it was known that the device
// numbers each topic separately; its births before that count too.
func TestCopiesAcrossTheSwitchToTopics(t *testing.T) {
	tel := func(seq uint64) device.Message { return numberedMessage{seq: seq, value: float64(seq)}.message() }
	ack := func(seq uint64) device.Message {
		return numberedMessage{seq: seq, topic: device.ChannelAck, value: 7}.message()
	}
	boot := numberedMessage{seq: 1, topic: device.ChannelStatus}.message()
	var d Delivery
	for _, m := range []device.Message{boot, tel(2), tel(3), ack(2), tel(4), ack(3)} {
		if v, _, _ := d.Receive(m); v == duplicate {
			t.Fatalf("%s %d: duplicate", m.Topic(), m.Seq)
		}
	}
	for _, m := range []device.Message{tel(2), tel(3), ack(2), tel(4), ack(3)} {
		if v, begun, _ := d.Receive(m); v != duplicate || begun != nil {
			t.Errorf("%s %d again: verdict %d, restart %+v", m.Topic(), m.Seq, v, begun)
		}
	}
	if v, begun, _ := d.Receive(boot); v != fresh || begun == nil {
		t.Errorf("a birth: verdict %d, restart %+v", v, begun)
	}
	if v, _, _ := d.Receive(ack(2)); v != fresh {
		t.Errorf("after it: verdict %d", v)
	}
}
