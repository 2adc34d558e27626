package device

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"devicetwin/device"
)

const (
	windowSize  = 256 // numbers below the highest that can still be checked
	windowWords = windowSize / 64
	keptEpochs  = 2  // the device's current numbering and the one before
	keptDigests = 32 // payloads of unnumbered messages that a redelivery is compared with
	keptIDs     = 32 // messages with an id of their sender that others are compared with
)

// verdict is what Delivery thinks of a message.
type verdict int

const (
	fresh     verdict = iota // never applied, and newer than all that was
	late                     // never applied, but a higher number was
	duplicate                // applied before, or too old to tell
)

// Delivery remembers what was applied, so that a message that comes twice is
// applied once. A numbered message is checked against a sliding window over its
// numbers, as in IPsec anti-replay (RFC 4303, section 3.4.3); an unnumbered one
// by its digest, and only if the broker says that it is a redelivery, because
// equal readings are not duplicates. One with an id of its sender is checked by that. What
// a log delivers again is recognized before that, by its position, whether it has a number or
// not.
type Delivery struct {
	// Logs are how far the last logs were delivered, the one used last at the end.
	Logs []LogPosition `json:"logs,omitempty"`
	// Aggregators are the same of what members report to a group.
	Aggregators []LogPosition `json:"aggregators,omitempty"`
	// Epochs are the windows of the newest epochs, newest first.
	Epochs []Window `json:"epochs,omitempty"`
	// PerTopic says that the device numbers each topic separately.
	PerTopic bool `json:"per_topic,omitempty"`
	// Suspects are a run of numbers from 1 that were seen before, without a proof that
	// they are repetitions; the third shows that the numbering was restarted.
	Suspects []device.Message `json:"suspects,omitempty"`
	// Digests are those of the last unnumbered messages, oldest first.
	Digests []string `json:"digests,omitempty"`
	// IDs are those that senders gave the last messages that have one (device.Message.SenderID),
	// the one used last at the end.
	IDs []string `json:"ids,omitempty"`

	Applied    uint64 `json:"applied"`
	Duplicates uint64 `json:"duplicates"`
	Late       uint64 `json:"late"`

	rules int // of the run
	ids   int // that it keeps
}

// Window is the anti-replay window of one epoch. Bit i of Seen stands for the
// number Highest-i.
type Window struct {
	Epoch int64 `json:"epoch"`
	// Topic is that of its messages, if the device numbers each topic separately.
	Topic string `json:"topic,omitempty"`
	// Past is a window of the time before a restart.
	Past    bool   `json:"past,omitempty"`
	Highest uint64 `json:"highest"`
	Seen    bitmap `json:"seen"`
	// Prints are hashes of the messages with the numbers Highest, Highest-1, ...; 0 is
	// that of a message that is not known.
	Prints []uint32 `json:"prints,omitempty"`
	// Sent is the latest time that the device gave to one of them.
	Sent time.Time `json:"sent,omitzero"`
}

// Admit decides whether a message is to be applied, and remembers it if so.
func (d *Delivery) Admit(m device.Message) verdict {
	return d.count(m, d.admit(m))
}

func (d *Delivery) count(m device.Message, v verdict) verdict {
	switch v {
	case duplicate:
		d.Duplicates++
		return v
	case late:
		d.Late++
	}
	if m.Channel != device.ChannelSystem {
		d.Applied++
	}
	return v
}

func (d *Delivery) admit(m device.Message) verdict {
	if m.LeftOut != nil {
		d.leaveOut(*m.LeftOut)
	}
	switch {
	case m.Seq > 0:
		w := d.window(m.Epoch)
		if w == nil {
			return duplicate
		}
		return w.admit(m.Seq)
	case m.Digest != "":
		if m.Redelivered && slices.Contains(d.Digests, m.Digest) {
			return duplicate
		}
		d.remember(m.Digest)
	}
	return fresh
}

// leaveOut notes messages as if they had been applied.
func (d *Delivery) leaveOut(l device.LeftOut) {
	for _, s := range l.Spans {
		w := d.window(s.Epoch)
		if w == nil || s.To < s.From {
			continue
		}
		for n := min(s.To-s.From, windowSize-1) + 1; n > 0; n-- { // older ones leave the window
			w.admit(s.To - n + 1)
		}
	}
	d.remember(l.Digests...)
}

func (d *Delivery) remember(digests ...string) {
	d.Digests = append(d.Digests, digests...)
	if extra := len(d.Digests) - keptDigests; extra > 0 {
		d.Digests = slices.Delete(d.Digests, 0, extra)
	}
}

// sentBefore reports whether a message with an id of its sender was there before, and remembers
// the id, as one of so many. One that is used is not the next to be forgotten.
func (d *Delivery) sentBefore(id string, keep int) bool {
	if keep == 0 || id == "" || len(id) > maxSenderID {
		return false
	}
	at := slices.Index(d.IDs, id)
	if at >= 0 {
		d.IDs = slices.Delete(d.IDs, at, at+1)
	}
	d.IDs = append(d.IDs, id)
	d.IDs = d.IDs[max(0, len(d.IDs)-keep):]
	return at >= 0
}

// maxSenderID bounds what is kept of a sender that does not keep to 16 digits.
const maxSenderID = 32

// window finds or opens the window of an epoch; nil means that the epoch is
// older than all that are kept.
func (d *Delivery) window(epoch int64) *Window {
	at := 0
	for ; at < len(d.Epochs); at++ {
		if d.Epochs[at].Epoch == epoch {
			return &d.Epochs[at]
		}
		if d.Epochs[at].Epoch < epoch {
			break
		}
	}
	if at >= keptEpochs {
		return nil
	}
	d.Epochs = slices.Insert(d.Epochs, at, Window{Epoch: epoch})
	d.Epochs = d.Epochs[:min(len(d.Epochs), keptEpochs)]
	return &d.Epochs[at]
}

func (w *Window) admit(seq uint64) verdict {
	if seq > w.Highest {
		w.Seen.shift(seq - w.Highest)
		w.Seen.set(0)
		w.Highest = seq
		return fresh
	}
	back := w.Highest - seq
	if back >= windowSize || w.Seen.has(back) {
		return duplicate
	}
	w.Seen.set(back)
	return late
}

// bitmap is windowSize bits; in JSON it is hexadecimal text without the zeros
// at its old end.
type bitmap [windowWords]uint64

func (b *bitmap) has(i uint64) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b *bitmap) set(i uint64)      { b[i/64] |= 1 << (i % 64) }

// shift moves every bit n places towards the old end.
func (b *bitmap) shift(n uint64) {
	if n >= windowSize {
		*b = bitmap{}
		return
	}
	words, bits := int(n/64), n%64
	for i := windowWords - 1; i >= 0; i-- {
		var v uint64
		if from := i - words; from >= 0 {
			v = b[from] << bits
			if from > 0 && bits > 0 {
				v |= b[from-1] >> (64 - bits)
			}
		}
		b[i] = v
	}
}

// MarshalText is part of JSON encoding.
func (b bitmap) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, windowSize/8)
	for i := range uint64(windowSize / 8) {
		raw = append(raw, byte(b[i/8]>>(8*(i%8))))
	}
	for len(raw) > 0 && raw[len(raw)-1] == 0 {
		raw = raw[:len(raw)-1]
	}
	return hex.AppendEncode(nil, raw), nil
}

// UnmarshalText is part of JSON decoding.
func (b *bitmap) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) > windowSize/8 {
		return fmt.Errorf("decode anti-replay window %q", text)
	}
	*b = bitmap{}
	for i, v := range raw {
		b[i/8] |= uint64(v) << (8 * (i % 8))
	}
	return nil
}
