package simulator

import "time"

// date gives what waits in the outbox its time: it was made before what is recorded
// from now on.
func (d *player) date(now time.Time) {
	for i := range d.outbox {
		if o := &d.outbox[i]; o.numbered() && o.made.IsZero() {
			o.made = now
		}
	}
}

// record puts what the device recorded while it was offline into the outbox, each
// message with its own time. They go out before the greeting of the next link: a
// message that is dated later would take their times away, because the time of a
// device's events never runs back. Other outages that were planned meanwhile are
// part of this one.
func (d *player) record(now time.Time) {
	for act, ok := d.takeAct(now); ok; act, ok = d.takeAct(now) {
		switch act.Kind {
		case ActPoison:
			d.poison()
		case ActReading, ActFault:
			o := act.draft(d.started.Add(act.At))
			o.recorded = true
			d.outbox = append(d.outbox, o)
		}
	}
	d.place = len(d.outbox)
}
