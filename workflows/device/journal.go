package device

import (
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/replay"
)

// Journal takes what runs gave to their statecharts, and the result. Took is called from
// workflow code, when a run acts and not when it is replayed: it must not wait for anything, and
// what is taken is not changed any more. A workflow task that the server did not accept is taken
// again, when it is repeated.
type Journal interface {
	Took(*replay.Entry)
}

// took is the message that is being stepped.
type took struct {
	channel device.Channel
	name    string
	log     string // in which pos is
	pos     int64
}

// journaled numbers an input of the statechart, over all runs, and gives it to the journal: by its
// number, an entry has its place, and one that is missing is noticed.
func (d *run) journaled(e *replay.Entry) {
	d.countInput()
	if d.journal == nil || d.replaying() {
		return
	}
	e.N, e.Runs = d.state.Inputs, d.state.InputsFrom
	e.Device, e.Instance, e.Model, e.Cause = d.state.Device, d.state.Instance, d.state.Model, d.cause.Kind
	if !d.follows(rulesCorners) {
		e.Edition = devicefsm.EditionFirst
	}
	e.Task, e.Before = d.now().UTC(), d.state.Snapshot
	e.Twin, e.NewTwin = d.journalTwin()
	d.journal.Took(e)
}

// countInput numbers the next input. An earlier release drops the number when it continues the run as
// new, and keeps Runs: those who read the journal tell by it which numbers are the later ones.
func (d *run) countInput() {
	if d.state.Inputs == 0 {
		d.state.InputsFrom = d.state.Runs
	}
	d.state.Inputs++
}

// journalTwin is the twin for any model, and whether it has changed since it was last asked for.
func (d *run) journalTwin() (values map[string]any, changed bool) {
	changed, d.twinTaken = !d.twinTaken, true
	return d.allTwins(), changed
}

// journalStep notes a step, before the run goes by it.
func (d *run) journalStep(ev devicefsm.Event, of took, out devicefsm.Outcome) {
	if d.journal == nil {
		d.countInput()
		return
	}
	d.journaled(&replay.Entry{
		Channel: of.channel, Name: of.name, Log: of.log, Pos: of.pos,
		Event: ev.Name, Data: ev.Data, Time: ev.Time, Arrived: ev.Arrived, Alive: ev.Alive, Result: replay.ResultOf(out),
	})
}

// journalBegin notes what gives the device another snapshot in another way than a step. The
// run has its new model then, and not yet its new snapshot.
func (d *run) journalBegin(do string, at time.Time, zones calendar.Zones, after *devicefsm.Snapshot, out devicefsm.Outcome) {
	d.journaled(&replay.Entry{Do: do, Arrived: at, Zones: zones, After: after, Result: replay.ResultOf(out)})
}
