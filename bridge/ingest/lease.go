package ingest

import (
	"hash/fnv"
	"time"

	"devicetwin/device"
)

// Liveness is a lease. The workflow waits for silent_after and a tolerance from
// the last message that was delivered; the bridge, which sees every message,
// renews that once in a tolerance.
//
// A renewal that is due holds up the acknowledgement of its message, as
// everything that is signalled does: if it were lost, silence could be noticed
// too early. One that comes before it is due holds up nothing: it may be lost
// with the process, since the next process renews the lease of every device
// that it hears. So renewals come early, each device's at a moment of its own in
// the last quarter of its tolerance, when Temporal has nothing more urgent to
// do; only those for which that quarter was not enough have to be waited for.

// renewal is what the message of a device that is up means for its lease.
type renewal uint8

const (
	renewalNone renewal = iota
	renewalEarly
	renewalDue
)

// renews says what a message at the given time means. After a silence it must
// be signalled at once, because the workflow may have noticed it.
func (d *deviceState) renews(at time.Time) renewal {
	k := d.models
	if k.silentAfter <= 0 {
		return renewalNone
	}
	age := at.Sub(d.renewed)
	switch {
	case d.renewed.IsZero(), age >= k.tolerance, at.Sub(d.heard) >= k.silentAfter:
		return renewalDue
	case d.place == idle && age >= k.tolerance-k.tolerance/4 && age >= earliest(d.id, k.tolerance):
		return renewalEarly
	}
	return renewalNone
}

// earliest is the age of a lease from which it may be renewed: by the device's
// id somewhere in the last quarter of the tolerance, so that devices that began
// together drift apart.
func earliest(id device.ID, tolerance time.Duration) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(id))
	return tolerance - time.Duration(float64(tolerance)/4*float64(h.Sum32())/(1<<32))
}

// renew queues the renewal of a device's lease. Its message came with e.
func (c *core) renew(d *deviceState, m device.Message, due renewal, e *entry, now time.Time) {
	switch due {
	case renewalDue:
		d.filter.joined()
		c.enqueue(d, seen(m.Time), e, now)
		d.renewed = m.Time
	case renewalEarly:
		if c.restoring {
			return
		}
		d.work = new(backlog)
		c.move(d, renewing)
	}
}

func seen(at time.Time) device.Message {
	return device.Message{Channel: device.ChannelSystem, Name: device.MessageSeen, Time: at}
}

// earlyShare is the part of the deliveries that may be in flight which early renewals
// may fill.
const earlyShare = 8

// nextRenewal returns a device whose early renewal is next, if there is room for
// it. Few are in flight at once, so that their rate falls as Temporal gets
// slower: a signal that is accepted has its workflow task still to come.
func (c *core) nextRenewal(limit int) *deviceState {
	for c.renewals.len() > 0 && c.inFlight < max(1, limit/earlyShare) && !c.hurried {
		d := c.renewals.pop()
		if d.place == renewing { // else it had more to say
			d.renewNow()
			return d
		}
	}
	return nil
}

// renewNow makes the message of an early renewal: it reports when the device
// last sent a message. No arrival waits for it.
func (d *deviceState) renewNow() {
	m := seen(d.heard)
	d.filter.joined()
	d.work.add(item{message: &m, size: messageSize(m)})
}

// leased notes an accepted renewal.
func (d *deviceState) leased(m device.Message) {
	if m.Channel == device.ChannelSystem && m.Name == device.MessageSeen && m.Time.After(d.renewed) {
		d.renewed = m.Time
	}
}

// silent counts the remembered devices that sent no message for longer than
// the model's liveness allows; 0 if it has none. It knows only devices that sent one
// since the start: the workflow's own device.silent is what a model acts on,
// this is a figure for people. It looks at every device, which takes a few
// milliseconds for 100,000.
func (c *core) silent(now time.Time) int {
	n := 0
	for _, d := range c.devices.byID {
		if d.silent(now) {
			n++
		}
	}
	return n
}

// silent: one of which only the last will was seen was never heard.
func (d *deviceState) silent(now time.Time) bool {
	set := d.models
	return set != nil && set.silentAfter > 0 && !d.heard.IsZero() && now.Sub(d.heard) >= set.silentAfter+set.tolerance
}
