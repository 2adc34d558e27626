package bridge

import (
	"fmt"
	"strconv"

	"devicetwin/device"
)

// Bounds of what is remembered of the messages of one device that were left out:
// as much as its workflow compares a repeated message with.
const (
	keptSpans   = 4
	keptDigests = 32
)

// leftOut are the messages of a device that were left out since the last one
// that was signalled, although they were relevant. After a crash the broker may
// deliver them again, and nobody would know any more that they were left out; so
// the next message that is signalled tells the workflow.
type leftOut struct {
	spans   []device.Span
	digests []uint64 // of those without a number
}

// leaveOut notes a message that is not signalled.
func (d *deviceState) leaveOut(m device.Message) {
	if d.leftOut == nil {
		d.leftOut = new(leftOut)
	}
	l := d.leftOut
	if m.Seq == 0 {
		if sum, err := strconv.ParseUint(m.Digest, 16, 64); err == nil {
			l.digests = last(append(l.digests, sum), keptDigests)
		}
		return
	}
	if n := len(l.spans); n > 0 && l.spans[n-1].Epoch == m.Epoch && l.spans[n-1].To+1 == m.Seq {
		l.spans[n-1].To++
		return
	}
	l.spans = last(append(l.spans, device.Span{Epoch: m.Epoch, From: m.Seq, To: m.Seq}), keptSpans)
}

// last keeps the last n of a list, in place.
func last[T any](list []T, n int) []T {
	if extra := len(list) - n; extra > 0 {
		list = list[:copy(list, list[extra:])]
	}
	return list
}

// takeLeftOut returns what was left out, for the message that is signalled next.
func (d *deviceState) takeLeftOut() *device.LeftOut {
	l := d.leftOut
	if l == nil {
		return nil
	}
	d.leftOut = nil
	out := &device.LeftOut{Spans: l.spans}
	for _, sum := range l.digests {
		out.Digests = append(out.Digests, fmt.Sprintf("%016x", sum))
	}
	return out
}
