package device

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar"
)

// run is a run in progress. Only the workflow's main coroutine touches it;
// query handlers read it between its steps, and update handlers leave what they
// are asked in updates.
type run struct {
	models   Models
	model    *devicefsm.Model
	state    *State
	settings runSettings
	log      RunLog
	inbox    workflow.ReceiveChannel
	applied  int // in this run

	first   *Operation // with which the first run begins; nil: none
	updates []*update
	asked   int              // updates, in this run
	wake    workflow.Channel // has something when updates were added

	pending []effect // decided, not yet carried out
	points  []Point
	running []*invocation
	alarm   alarm

	processing *processing // of the first event in State.Process; nil: no call is under way

	cause       Cause          // of what is being stepped
	data        map[string]any // of the last message
	raised      []raised       // events of the service's own that wait
	depth       int            // of the event that is being stepped
	transitions int            // in this run
	changed     []string       // shadows whose documents changed since the last emission
	twinValues  map[string]any // what expressions read; nil: to be made
	properties  []string       // what is indexed; nil: to be made
	back        bool           // the device has come back since the last emission
	again       bool           // what was sent has ended: there may be more to carry out
	depths      map[string]int // of the events that commands of the model follow from, by their ids
	migrated    bool           // to another model: the run ends
	moving      *Migration     // while it is taken over
	deleted     bool
	deletion    Deletion // by whom, once deleted

	attributesFault string   // the last one of writing the attributes
	leftOut         []string // attributes of which values were left out
	replaying       func() bool

	groups      *GroupModels // that the worker has
	begun       bool         // the run has acted
	lessons     int          // how often it learned of groups
	learnedAt   time.Time    // of them, or when it began
	recording   *recording   // nil: no activity writes records
	moves       []groupMove  // since the last reports to groups
	newIdentity bool         // what decides of which groups the device is a member may have changed
	newFeeds    bool         // the model has changed, and what groups hear of the device with it
	// learnFeeds records what find returns, as recordFeeds does.
	learnFeeds func(find func() []groupFeed)
	reporting  *reporting // nil: no activity sends reports
	now        func() time.Time
	readZones  func(names []string) (calendar.Zones, error) // and records them
	// zoneDatabase is what readZones reads, for queries.
	zoneDatabase func(names []string, at time.Time) (calendar.Zones, error)
	counts       *Counts

	journal   Journal // nil: there is none
	took      took    // the message that is stepped next; of any other event, zero
	batchLog  string  // the log of the latest batch
	twinTaken bool    // the journal has the twin as it is
}

// effect is an action, or a message that needs no more thought.
type effect struct {
	devicefsm.Action
	message *Outgoing
}

// takeSignals applies everything that waits in the inbox.
func (d *run) takeSignals(ctx workflow.Context) {
	var batch device.Batch
	for d.takesSignals(ctx) && d.inbox.ReceiveAsync(&batch) {
		d.apply(ctx, batch)
		batch = device.Batch{}
	}
}

func (d *run) inboxIsEmpty() bool { return d.inbox.Len() == 0 }

// apply steps the statechart through a batch.
func (d *run) apply(ctx workflow.Context, batch device.Batch) {
	if batch.ID != "" && batch.ID == d.state.Batch {
		// The bridge did not hear that it had arrived, and sent it again.
		d.state.Delivery.Duplicates += uint64(len(batch.Messages))
		return
	}
	d.state.Batch = batch.ID
	d.applyMessages(workflow.GetInfo(ctx).GetCurrentHistoryLength(), batch)
}

func (d *run) applyMessages(started int, batch device.Batch) {
	d.batchLog = batch.Log
	var last *device.Message
	for i, m := range batch.Messages {
		if batch.First > 0 {
			m.Pos = batch.First + int64(i)
		}
		if d.deliveredAgain(batch.Log, m) {
			continue
		}
		last = &batch.Messages[i]
		if !d.follows(rulesMessages) {
			m.Connection = "" // the run began when only the exact word counted
		}
		d.receive(started, m)
	}
	if d.back && last != nil {
		d.resendDelta(last.Time)
	}
}

// take applies one message.
func (d *run) take(m device.Message) {
	if d.takeFaults(m) {
		return
	}
	d.hearModel(m)
	if m.Alive() && d.slept(m.Time) { // as it was until now
		d.back = true
	}
	d.hearAddress(m)
	m, ok := d.ofCommand(m)
	d.data = m.Data
	if !ok { // an answer to nothing that is known
		d.observe(m)
		d.step(d.ofDevice(devicefsm.Event{Alive: m.Alive()}, m))
		return
	}
	d.reportAt(m.Time, device.FaultExpression, d.model.WhenFaults(m))
	for _, f := range d.model.WordFaults(m) {
		d.report(f)
	}
	d.reportUnknown(m)
	d.identify(m)
	d.observe(m)
	d.recoveryHears(m)
	d.noteAck(m)
	d.recordAck(m)
	if m.Channel == device.ChannelTwin {
		d.step(d.ofDevice(devicefsm.Event{Alive: m.Alive()}, m))
		d.setCause(Cause{Kind: CauseMessage, Channel: string(m.Channel), Name: m.Name})
		d.request(m)
		d.stepRaised(m.Time)
		return
	}
	name, _ := d.classify(m) // a message without an event still renews liveness
	d.took = took{m.Channel, m.Name, d.batchLog, m.Pos}
	d.step(d.ofDevice(devicefsm.Event{Name: name, Data: m.Data, Alive: m.Alive()}, m))
	d.keepRecent(m)
}

// identify takes over what a birth message says of the device.
func (d *run) identify(m device.Message) {
	if m.Channel != device.ChannelStatus {
		return
	}
	if v, ok := d.identity(m, "firmware"); ok {
		d.state.Firmware = v
	}
	if v, ok := d.identity(m, "site"); ok {
		d.newIdentity = d.newIdentity || v != d.state.Site
		d.state.Site = v
	}
	if v, ok := d.identity(m, "parent"); ok {
		d.newIdentity = d.newIdentity || v != d.state.Parent
		d.state.Parent = v
	}
}

// step gives the state machine an event, and then what the service makes of the
// actions: changes of the twin, ends of commands.
func (d *run) step(ev devicefsm.Event) {
	d.stepOnce(ev)
	d.stepRaised(received(ev))
}

func (d *run) stepOnce(ev devicefsm.Event) {
	ev.Twin = d.expressionTwin()
	of := d.took
	d.took = took{}
	snapshot, outcome := d.model.Step(d.state.Snapshot, ev)
	d.journalStep(ev, of, outcome)
	d.accept(snapshot, outcome)
}

func (d *run) accept(snapshot *devicefsm.Snapshot, outcome devicefsm.Outcome) {
	before := d.state.Snapshot
	d.state.Snapshot = snapshot
	d.noteMoves(before, outcome)
	for _, t := range outcome.Transitions {
		d.transitions++
		d.recoveryExpires(t)
		d.points = append(d.points, d.transitionPoint(t))
		d.recordTransition(t)
		d.explain(t)
	}
	// After the transitions, which may be of timers that were due before: points only get
	// later.
	d.notePatterns(outcome.Matched)
	d.noteAlarms(outcome.Alarms)
	d.noteStepFaults(device.FaultExpression, outcome.Faults...)
	d.reportStep(device.FaultLateWindow, outcome.Late)
	for _, a := range outcome.Actions {
		if a.Type == devicefsm.ActionCommand {
			a = d.queued(a)
		}
		a = d.named(a)
		topic, toKafka := kafkaTopic(a.Name)
		switch {
		case a.Type == devicefsm.ActionPublish && toKafka && d.settings.Records.Published:
			d.recordPublished(topic, a.Data)
		case a.Type == devicefsm.ActionProcess:
			d.toProcess(a)
		case a.Type == devicefsm.ActionDesire:
			d.desireFromModel(a)
		case a.Type == devicefsm.ActionCommand && a.TTL > 0:
			d.orderFromModel(a)
		case a.Type == devicefsm.ActionCommand:
			d.noteDepth(d.effectID(a.ID))
			d.pending = append(d.pending, effect{Action: a})
		default:
			d.pending = append(d.pending, effect{Action: a})
		}
	}
}

// advance fires the timers that are due.
func (d *run) advance(ctx workflow.Context) {
	now := workflow.Now(ctx)
	if d.zonesAreOld(now) {
		d.renewZones()
	}
	if at, ok := d.model.NextDeadline(d.state.Snapshot); ok && !at.After(now) {
		d.setCause(Cause{Kind: CauseTimer})
		d.step(d.ofService(devicefsm.Event{}, now))
	}
	d.expire(now)
	d.exhaust(now)
	d.diverge(now)
}

const (
	// maxChain is how many events of the service's own may follow from one another:
	// a model may answer a change of desired properties with another.
	maxChain = 16
	// maxRaised is how many may wait.
	maxRaised = 4096
)

// raised is an event of the service's own that waits for its step.
type raised struct {
	event devicefsm.Event
	cause Cause
	depth int
}

// raise queues an event that follows from what is being done, with its cause.
func (d *run) raise(ev devicefsm.Event) {
	if d.depth >= maxChain || len(d.raised) >= maxRaised {
		d.noteStepFaults(device.FaultAction, fmt.Sprintf("event %s was left out: more than %d in a row that follow from one another", ev.Name, maxChain))
		return
	}
	d.raised = append(d.raised, raised{ev, d.cause, d.depth + 1})
}

// stepRaised steps what was raised, and what follows from that.
func (d *run) stepRaised(now time.Time) {
	for len(d.raised) > 0 {
		next := d.raised[0]
		d.raised = d.raised[1:]
		d.cause, d.depth = next.cause, next.depth
		d.stepOnce(d.ofService(next.event, now))
	}
	d.depth = 0
}

// setCause says what causes the steps from here on.
func (d *run) setCause(c Cause) { d.cause = c }
