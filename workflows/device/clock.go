package device

import (
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// An event of the device has the time that the device gives, and that of its arrival;
// one of the service has only the service's time. Commands, deadlines of the twin and
// silence go by the service's clock, which is Snapshot.Time; transitions, matches and
// their points by the device's.

// ofDevice gives an event the times of a message. What the service itself says of the
// device has none of the device.
func (d *run) ofDevice(ev devicefsm.Event, m device.Message) devicefsm.Event {
	ev.Time = m.Time
	switch {
	case !d.follows(rulesMessages):
	case m.Channel == device.ChannelSystem && m.Sent.IsZero():
		ev = ev.OfService()
	default:
		ev.Time, ev.Arrived = m.At(), m.Time
	}
	return ev
}

// ofService gives an event the service's time.
func (d *run) ofService(ev devicefsm.Event, now time.Time) devicefsm.Event {
	ev.Time = now
	if d.follows(rulesMessages) {
		ev = ev.OfService()
	}
	return ev
}

// received is an event's time on the service's clock.
func received(ev devicefsm.Event) time.Time {
	if ev.Arrived.IsZero() {
		return ev.Time
	}
	return ev.Arrived
}

// pointTime is the time of a point of something that happened on the device's clock;
// index is its place among those that leave together. On that clock several things may
// happen at one time that leave at different times: an upload counts at one
// time as long as its own times are before it. No point may replace another, and they
// are read in the order of their times: each is later than the one before.
func (d *run) pointTime(at time.Time, index int) time.Time {
	if !d.follows(rulesMessages) {
		return spreadTimestamps(at, index)
	}
	if last := d.state.Dated; !at.After(last) {
		at = last.Add(time.Nanosecond)
	}
	d.state.Dated = at
	return at
}
