package device

import (
	"encoding/json"
	"hash/fnv"
	"time"

	"devicetwin/device"
)

// unseen reports whether the window does not have the number, and could have it.
func (w *Window) unseen(seq uint64) bool {
	return seq > w.Highest || w.Highest-seq < windowSize && !w.Seen.has(w.Highest-seq)
}

// disproves reports that a message whose number was seen is not the one that was
// seen: another content, sent later than all of them, or a birth that cannot be a copy.
// A device that numbers its starts, or says when it was, sends no other birth of the
// same epoch that is not later.
func (w *Window) disproves(m device.Message, p uint32) bool {
	known := w.printAt(m.Seq)
	switch {
	case known != 0 && known>>24 == p>>24 && known != p, w.later(m):
		return true
	case !isBirth(m):
		return false
	}
	return known != 0 || !w.dated(m) && m.Epoch == 0
}

// bornBelow reports that a message whose number was not seen is a birth below the
// highest number, and not one of before that is late.
func (w *Window) bornBelow(m device.Message) bool {
	return isBirth(m) && m.Seq <= w.Highest && (!w.dated(m) || w.later(m))
}

// dated reports whether the message can be compared with those seen by the device's
// time, and later that it was sent after all of them.
func (w *Window) dated(m device.Message) bool { return !m.Sent.IsZero() && !w.Sent.IsZero() }
func (w *Window) later(m device.Message) bool { return w.dated(m) && m.Sent.After(w.Sent) }

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
	topic, content := fnv.New32a(), fnv.New32a()
	_, _ = topic.Write([]byte(m.Topic())) // a hash takes everything
	_, _ = content.Write(m.Sent.UTC().AppendFormat(nil, time.RFC3339Nano))
	raw, err := json.Marshal(m.Data)
	if err != nil {
		return topic.Sum32()<<24 | 1 // it came as JSON
	}
	_, _ = content.Write(raw)
	return topic.Sum32()<<24 | max(1, content.Sum32()>>8)
}
