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
// part of this one, but a cut of the device's gateway is not: it goes on when this one is over.
func (d *player) record(now time.Time) {
	for !d.isCut() {
		act, ok := d.takeAct(now)
		if !ok {
			break
		}
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

// isCut reports whether a cut is what the plan has next.
func (d *player) isCut() bool { return d.planned && d.next.Kind == ActCut }
