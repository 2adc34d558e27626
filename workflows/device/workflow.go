package device

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/replay"
)

// Names that workers, clients and people use.
const (
	WorkflowType  = "Device"
	SignalEvents  = "events"
	QuerySnapshot = "snapshot"
	QueryApplied  = "applied"
	QueryRoom     = "room"    // answered with Room
	UpdateOperate = "operate" // carries Operations, answered with OperationResults

	// MemoErase is in the memo of a workflow that has ended if its device was deleted with
	// all its data: whoever keeps some erases what there is from before the end.
	MemoErase = "erase"
)

// WorkflowID is the id of an entity's workflow: its kind and its name, device/pump-7 or
// customer/4711.
func WorkflowID(id device.ID) string { return IDPrefix(id.Kind()) + id.Name() }

// IDPrefix is how the ids of the workflows of a kind begin, and no others.
func IDPrefix(kind device.Kind) string { return kind.Word() + "/" }

// EntityOf is the entity whose workflow has an id.
func EntityOf(workflowID string) device.ID {
	return device.ID(strings.TrimPrefix(workflowID, IDPrefix(device.KindDevice)))
}

// The server takes 10,000 signals, 2,000 updates and 51,200 history events of one run.
const (
	// DefaultRunEvents is how many messages a run applies before it is continued as
	// new, where Workflow.RunEvents is zero.
	DefaultRunEvents = 10_000

	softHistory = 8_000  // history events, likewise
	hardHistory = 20_000 // history events, at which not even a running activity is waited for
	hardUpdates = 1_800  // updates, likewise
)

// Models finds a model by its hash.
type Models interface {
	ByHash(hash string) (*devicefsm.Model, bool)
}

// Workflow is the device workflow's code with what it needs from its worker.
type Workflow struct {
	Models Models
	// NewModel is the hash of the model of new entities of a kind, for those that are started by
	// who knows no models, such as the API. Nil: there is none.
	NewModel func(device.Kind) (hash string, ok bool)
	// RunEvents is how many messages a run applies before it is continued as
	// new; 0 means 10,000. A run keeps the bound that it began with.
	RunEvents int
	// MaxDeliveries is how often a command is sent that does not say so itself; 0 means
	// that of command.DefaultLimits. A run keeps the bound that it began with.
	MaxDeliveries int
	// Recent is how many of a device's last messages its run keeps, at most MaxRecent, so that a
	// migration can have a pattern see them again. A run keeps the number that it began with.
	Recent int
	// Twin is how twins are kept; a run keeps what it began with.
	Twin TwinSettings
	// Groups are the models of groups of which devices may be members; nil: none.
	Groups *GroupModels
	// Records are which records for readers of Kafka are made; a run keeps what it began with.
	Records RecordSettings
	// Counts is what runs count; nil: nothing.
	Counts *Counts
	// Journal takes what runs do; nil: nobody does.
	Journal Journal
	// Zones reads time zones for the years around a time, as zonedata.Record does, which is
	// what nil stands for. A run keeps what it recorded: see recordZones.
	Zones func(names []string, at time.Time) (calendar.Zones, error)
}

// Device is the workflow of one device; its argument is an Input. It ends only by continue-as-new, or
// when the device is deleted, or it is cancelled or terminated. Its result is what
// deleted it; nil if the run began before there was one.
func (w *Workflow) Device(ctx workflow.Context, in json.RawMessage) (*Deletion, error) {
	d, err := w.begin(ctx, in)
	if err != nil {
		return nil, err
	}
	if d.first != nil {
		if refused, err := d.isRefused(ctx, *d.first); refused != nil || err != nil {
			return refused, err
		}
	}
	for {
		d.carryOut(ctx)
		for d.processNext(ctx) {
			d.carryOut(ctx)
		}
		if d.deleted || d.runIsLong(ctx) {
			if err := d.awaitHandlers(ctx); err != nil {
				return nil, err
			}
		}
		switch idle := d.inboxIsEmpty() && len(d.updates) == 0 && !d.again; {
		case d.deleted && idle:
			d.journaled(&replay.Entry{Do: replay.DoEnd, Arrived: d.now()})
			return d.end(), nil
		case d.runIsLong(ctx) && idle && d.recalled():
			d.state.Runs++
			return nil, workflow.NewContinueAsNewError(ctx, WorkflowType, Input{Device: d.state.Device, Model: d.state.Model, State: d.state})
		}
		if d.again {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		} else if err := d.wait(ctx); err != nil {
			return nil, err
		}
		d.takeSignals(ctx)
		d.carryOutUpdates(ctx)
		d.advance(ctx)
	}
}

// awaitHandlers lets the handlers of updates that were carried out give their
// answers, which would be lost with the run.
func (d *run) awaitHandlers(ctx workflow.Context) error {
	return workflow.Await(ctx, func() bool {
		return workflow.AllHandlersFinished(ctx) || len(d.updates) > 0 || !d.inboxIsEmpty()
	})
}

func (w *Workflow) begin(ctx workflow.Context, raw json.RawMessage) (*run, error) {
	in, err := decodeInput(raw)
	if err != nil {
		// A panic fails the workflow task, which the server tries again, on any
		// worker: the device waits for one that can go on, and loses nothing.
		panic(err.Error())
	}
	d := &run{
		models: w.Models, state: in.State, inbox: workflow.GetSignalChannel(ctx, SignalEvents),
		groups: w.Groups, newIdentity: true, counts: w.Counts, journal: w.Journal, replaying: func() bool { return workflow.IsReplaying(ctx) },
		now:       func() time.Time { return workflow.Now(ctx) },
		readZones: func(names []string) (calendar.Zones, error) { return w.recordZones(ctx, names) }, zoneDatabase: w.zoneDatabase(),
	}
	d.learnFeeds = func(find func() []groupFeed) { d.recordFeeds(ctx, find) }
	if d.state == nil && in.Model == "" && in.Device.Kind() != device.KindDevice {
		if in.Model, err = w.newModel(ctx, in.Device); err != nil {
			return nil, err
		}
	}
	if d.state == nil {
		d.first = in.First
		d.state = &State{Version: stateVersion, Device: in.Device, Model: in.Model, Provisional: in.Provisional, Instance: instance(ctx)}
	}
	d.model = d.loaded(d.state.Model)
	if err := d.setQueryHandlers(ctx); err != nil {
		return nil, err
	}
	if err := d.setUpdateHandler(ctx); err != nil {
		return nil, err
	}
	settings, err := w.recordSettings(ctx, d.model)
	if err != nil {
		return nil, fmt.Errorf("begin run of device %s: %w", d.state.Device, err)
	}
	d.settings = settings
	d.model = d.inEdition(d.model)
	d.knowGroups(workflow.Now(ctx), d.settings.Groups)
	if d.state.Snapshot == nil {
		d.setCause(Cause{Kind: CauseStart})
		zones := d.zonesOf(d.model)
		snapshot, outcome := d.model.StartIn(zones, workflow.Now(ctx))
		d.journalBegin(replay.DoStart, workflow.Now(ctx), zones, snapshot, outcome)
		d.accept(snapshot, outcome)
		d.stepRaised(workflow.Now(ctx))
	} else {
		d.renewZones()
	}
	for _, a := range d.state.Invocations {
		d.start(ctx, a)
	}
	d.takeSignals(ctx)
	d.advance(ctx)
	return d, nil
}

// loaded is the model of a hash. Without it, the workflow task fails, as with a state that
// cannot be read: the device waits for a worker that has the model.
func (d *run) loaded(hash string) *devicefsm.Model {
	model, ok := d.models.ByHash(hash)
	if !ok {
		panic(fmt.Sprintf("device %s: %s%s", d.state.Device, noModel, hash))
	}
	if kind := d.state.Device.Kind(); model.Kind() != kind { // as a model that is not there: the entity waits
		panic(fmt.Sprintf("%s cannot run model %s (%s), which is of kind %s", d.state.Device.Entity(), model.Name(), hash, model.Kind().Word()))
	}
	return model
}

// noModel is what a worker says that has not the model of a device, before the hash.
const noModel = "this worker has no model with hash "

// MissingModel finds in the message of a failure the hash of a model that a worker does
// not have.
func MissingModel(message string) (hash string, ok bool) {
	_, rest, ok := strings.Cut(message, noModel)
	if !ok {
		return "", false
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z') })
	if end < 0 {
		end = len(rest)
	}
	return rest[:end], end > 0
}

// instance is taken from the first run's id: the server chose it at random, and
// it stays the same over continue-as-new.
func instance(ctx workflow.Context) string {
	id := strings.ReplaceAll(workflow.GetInfo(ctx).FirstRunID, "-", "")
	return id[max(0, len(id)-12):]
}

func (d *run) setQueryHandlers(ctx workflow.Context) error {
	err := workflow.SetQueryHandler(ctx, QuerySnapshot, func() (View, error) {
		return View{
			State: *d.state, ModelName: d.model.Name(),
			Value: d.model.Value(d.state.Snapshot), StateName: d.model.StateName(d.state.Snapshot),
			Windows: d.model.Windows(d.state.Snapshot), Schedules: d.model.Schedules(d.state.Snapshot),
			Alarms: d.model.Alarms(d.state.Snapshot), ActiveAlarms: d.model.ActiveAlarms(d.state.Snapshot, shownAlarms),
		}, nil
	})
	if err != nil {
		return fmt.Errorf("set query handler %s of device %s: %w", QuerySnapshot, d.state.Device, err)
	}
	err = workflow.SetQueryHandler(ctx, QueryMigration, func(q MigrationQuestion) (OperationResult, error) { return d.askMigration(q), nil })
	if err != nil {
		return fmt.Errorf("set query handler %s of device %s: %w", QueryMigration, d.state.Device, err)
	}
	err = workflow.SetQueryHandler(ctx, QueryApplied, func() (RunLog, error) { return d.log, nil })
	if err != nil {
		return fmt.Errorf("set query handler %s of device %s: %w", QueryApplied, d.state.Device, err)
	}
	err = workflow.SetQueryHandler(ctx, QueryRoom, func() (Room, error) { return d.room(), nil })
	if err != nil {
		return fmt.Errorf("set query handler %s of device %s: %w", QueryRoom, d.state.Device, err)
	}
	return nil
}

// runIsLong reports whether the run should end now. While an activity runs it
// should not, up to a last bound; the next run starts the activity again. After a migration it
// ends in any case: a run that is rebuilt from its history would need the old model.
func (d *run) runIsLong(ctx workflow.Context) bool {
	if d.migrated {
		return true
	}
	info := workflow.GetInfo(ctx)
	return d.isLong(info.GetCurrentHistoryLength(), info.GetContinueAsNewSuggested())
}

func (d *run) isLong(history int, suggested bool) bool {
	if len(d.running) > 0 || d.processing != nil {
		return history >= hardHistory || d.asked >= hardUpdates
	}
	return suggested || history >= softHistory || d.applied >= d.settings.RunEvents
}

// wait blocks until there is a signal, the alarm rings, or an invocation ends,
// and takes that one thing in.
func (d *run) wait(ctx workflow.Context) error {
	at, ok := d.nextDeadline()
	d.alarm.set(ctx, at, ok)
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	if d.takesSignals(ctx) {
		selector.AddReceive(d.inbox, func(c workflow.ReceiveChannel, _ bool) {
			var batch device.Batch
			if c.ReceiveAsync(&batch) {
				d.apply(ctx, batch)
			}
		})
	}
	selector.AddReceive(d.wake, func(c workflow.ReceiveChannel, _ bool) { c.ReceiveAsync(nil) })
	if d.alarm.future != nil {
		selector.AddFuture(d.alarm.future, func(workflow.Future) { d.alarm.clear() })
	}
	if d.reporting != nil {
		selector.AddFuture(d.reporting.future, func(f workflow.Future) { d.reported(ctx, f) })
	}
	if d.recording != nil {
		selector.AddFuture(d.recording.future, func(workflow.Future) { _ = d.recorded(ctx) }) // what failed is sent again
	}
	if d.processing != nil {
		selector.AddFuture(d.processing.future, func(f workflow.Future) { d.processed(ctx, f) })
	}
	for _, inv := range d.running {
		selector.AddFuture(inv.future, func(f workflow.Future) { d.finish(ctx, inv, f) })
	}
	selector.Select(ctx)
	return ctx.Err()
}

// alarm is the one Temporal timer of a run. A deadline that moves to later, as
// that of liveness does with every message, leaves it standing: it rings early
// once, finds nothing due, and is set again. That saves two history events for
// each signal.
type alarm struct {
	at     time.Time
	future workflow.Future
	cancel workflow.CancelFunc
}

func (a *alarm) set(ctx workflow.Context, at time.Time, ok bool) {
	if !ok || a.future != nil && !at.Before(a.at) {
		return
	}
	if a.future != nil {
		a.cancel()
	}
	timerCtx, cancel := workflow.WithCancel(ctx)
	wait := max(at.Sub(workflow.Now(ctx)), time.Millisecond)
	*a = alarm{at: at, cancel: cancel, future: workflow.NewTimer(timerCtx, wait)}
}

func (a *alarm) clear() { *a = alarm{} }
