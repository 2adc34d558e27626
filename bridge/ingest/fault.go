package ingest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/wire"
)

const (
	// maxHeldFaults bounds what is collected of one device. It is more than there are
	// reasons, so that of each the newest can be kept.
	maxHeldFaults = 16
	// maxExplained is how many failures of expressions are explained until a device's
	// next report; more of them are only counted.
	maxExplained = 16
	// maxReporting bounds the reports in the queues. No arrival waits for them, so the
	// window does not bound them.
	maxReporting = 1000
)

// faultLog are the faults of a device whose messages were not delivered, from the
// first one until Config.FaultInterval has passed since its last report.
type faultLog struct {
	held      []device.Fault
	due       time.Time // the next report, if there is something by then
	explained int
}

// report notes a fault of something that a device sent and that is not delivered
// itself. The device's first fault is reported at once, what follows with its next
// message that is delivered, or when Config.FaultInterval has passed.
func (c *core) report(d *deviceState, f device.Fault) {
	if c.restoring { // it was reported before
		return
	}
	c.countFault(f)
	if d.faults == nil {
		d.faults = new(faultLog)
		c.faulty = append(c.faulty, d)
	}
	d.faults.add(f.Clipped())
}

// countFault counts a fault for the metric.
func (c *core) countFault(f device.Fault) {
	if n := c.counts.Faults[f.Reason]; n != nil {
		n.Add(max(1, f.Count))
	}
}

// add keeps a fault. The same one again in a row only counts, and so do older ones
// of a reason that has newer ones, once there is no room.
func (l *faultLog) add(f device.Fault) {
	l.held = device.AppendFault(l.held, f)
	if len(l.held) > maxHeldFaults {
		l.makeRoom()
	}
}

func (l *faultLog) makeRoom() {
	for i := range l.held {
		for j := i + 1; j < len(l.held); j++ {
			if newer := &l.held[j]; newer.Reason == l.held[i].Reason {
				newer.Count = max(1, newer.Count) + max(1, l.held[i].Count)
				l.held = append(l.held[:i], l.held[i+1:]...)
				return
			}
		}
	}
	l.held = l.held[1:]
}

// reportFaults queues the reports that are due.
func (c *core) reportFaults(now time.Time) {
	for _, d := range c.faulty {
		if c.devices.byID[d.id] == d {
			c.reportNow(d, now)
		}
	}
	clear(c.faulty)
	c.faulty = c.faulty[:0]
	for c.quiet.len() > 0 && (c.hurried || !c.quiet.head().faults.due.After(now)) {
		d := c.quiet.pop()
		switch {
		case c.devices.byID[d.id] != d: // it was forgotten
		case len(d.faults.held) == 0:
			d.faults = nil
		case c.hurried:
			c.queueFaults(d, now)
		default:
			c.reportNow(d, now)
		}
	}
}

// reportNow queues a report, and lets the device's next one wait.
func (c *core) reportNow(d *deviceState, now time.Time) {
	c.queueFaults(d, now)
	d.faults.due = now.Add(c.cfg.FaultInterval)
	c.quiet.push(d)
}

// queueFaults queues what is held of a device, unless it has to wait.
func (c *core) queueFaults(d *deviceState, now time.Time) {
	l := d.faults
	if l == nil || len(l.held) == 0 || d.quarantined || c.reporting >= maxReporting {
		return
	}
	m := device.Message{
		Channel: device.ChannelSystem, Name: device.MessageFault, Time: l.held[len(l.held)-1].At, Faults: l.held,
	}
	l.held, l.explained = nil, 0
	c.reporting++
	c.enqueueItem(d, item{message: &m, size: messageSize(m), passive: true}, 0, now)
}

// reportsIn counts the reports of faults among items.
func reportsIn(items []item) (n int) {
	for _, it := range items {
		if isReport(it.message) {
			n++
		}
	}
	return n
}

func isReport(m *device.Message) bool {
	return m != nil && m.Channel == device.ChannelSystem && m.Name == device.MessageFault
}

// faultsOf is why no model has a use for a message that is not delivered: an
// expression failed on it, or it is an event that none of them knows.
func (c *core) faultsOf(d *deviceState, m device.Message, next decision) []device.Fault {
	if !c.explainable(d, &m, next) {
		return nil
	}
	if again, ok := d.faults.repeated(&m); ok {
		return []device.Fault{again}
	}
	var faults []device.Fault
	for _, model := range d.models.possible {
		found := model.Explain(m)
		if len(found) == 0 { // this one knows it, and has no use for it
			return nil
		}
		if faults == nil || model.Hash() == d.models.start.Hash() { // most likely the one that the device runs
			faults = found
		}
	}
	return faults
}

// explainable reports whether it may be that no model has a use for the message.
func (c *core) explainable(d *deviceState, m *device.Message, next decision) bool {
	if next.deliver || len(d.models.possible) == 0 {
		return false
	}
	return !c.sifts || next.failed || m.Channel == device.ChannelEvents
}

// explains reports whether the models are asked why, which takes the whole message.
func (c *core) explains(d *deviceState, m *device.Message, next decision) bool {
	if !c.explainable(d, m, next) {
		return false
	}
	_, again := d.faults.repeated(m)
	return !again
}

// repeated is the newest fault once more, after so many that explaining another
// one would only cost time.
func (l *faultLog) repeated(m *device.Message) (device.Fault, bool) {
	if l == nil || l.explained < maxExplained || len(l.held) == 0 {
		return device.Fault{}, false
	}
	again := l.held[len(l.held)-1]
	again.Count = 1
	return again, again.Topic == m.Topic() && again.Reason == device.FaultExpression
}

// reportFound reports what is wrong with a message. What is known of one that is
// delivered goes with it, and is only counted here.
func (c *core) reportFound(d *deviceState, m device.Message, next decision) {
	if next.deliver {
		for _, f := range m.Faults {
			c.countFault(f)
		}
		return
	}
	found := c.faultsOf(d, m, next)
	if next.tooLate {
		found = append(found, device.Fault{
			Reason: device.FaultTooLate, Value: strconv.FormatUint(m.Seq, 10),
			Detail: fmt.Sprintf("seq %d is lower than the first that this bridge knows, %d: another bridge may have left it out", m.Seq, d.filter.firstSeq),
		})
	}
	for _, list := range [][]device.Fault{m.Faults, found} {
		for _, f := range list {
			f.At, f.Topic = m.Time, m.Topic()
			c.report(d, f)
			if f.Reason == device.FaultExpression && d.faults != nil {
				d.faults.explained++
			}
		}
	}
}

// reportRefused reports that a message became a dead letter.
func (c *core) reportRefused(d *deviceState, topic string, payload []byte, at time.Time, refused *wire.Refused) {
	c.report(d, device.Fault{
		At: at, Topic: topic, Reason: device.FaultRefused, Detail: refused.Error(), Value: valueText(payload),
	})
}

// valueText is the beginning of a payload, as text.
func valueText(payload []byte) string {
	return strings.ToValidUTF8(string(payload[:min(len(payload), device.MaxFaultValue+utf8.UTFMax)]), "\ufffd")
}
