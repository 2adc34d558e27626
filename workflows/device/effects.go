package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// Outgoing is an MQTT message as the workflow decided it: a command to the
// device, or a message on any other topic.
type Outgoing struct {
	// ID is derived from the workflow's state, so that the same message always
	// has the same id, however often it is sent.
	ID      string         `json:"id,omitempty"`
	Command string         `json:"command,omitempty"`
	Topic   string         `json:"topic,omitempty"` // where there is no Command; {id} stands for the device
	Data    map[string]any `json:"data,omitempty"`
	// Body is a command's data where it need not be an object.
	Body   json.RawMessage `json:"body,omitempty"`
	At     time.Time       `json:"at"`
	TTL    time.Duration   `json:"ttl,omitempty"`
	Retain bool            `json:"retain,omitempty"`
	// Shadow is a message of the device shadow protocol, instead of all that.
	Shadow *ShadowMessage `json:"shadow,omitempty"`
}

// Point is one point for InfluxDB.
type Point struct {
	Measurement string            `json:"measurement"`
	Tags        map[string]string `json:"tags,omitempty"`
	Fields      map[string]any    `json:"fields"`
	At          time.Time         `json:"at"`
}

// Emission is what leaves in one local activity.
type Emission struct {
	Device   device.ID  `json:"device"`
	Messages []Outgoing `json:"messages,omitempty"`
	Points   []Point    `json:"points,omitempty"`
}

// Emitted is what came of an Emission that was carried out.
type Emitted struct {
	// Refused tells of messages that the worker's configuration forbids.
	Refused []string `json:"refused,omitempty"`
}

// Invocation is the argument of every activity that a model can invoke. The
// activity's name is the invoke's src; its result is a JSON object, the data of
// the done event.
type Invocation struct {
	Device device.ID `json:"device"`
	// Model is the hash of the device's model.
	Model string `json:"model"`
	// ID is the same for every attempt of this invocation.
	ID    string         `json:"id"`
	Input map[string]any `json:"input,omitempty"`
}

// invocation is an activity that runs.
type invocation struct {
	id     string
	name   string
	silent bool // the model does not hear of its end
	future workflow.Future
	cancel workflow.CancelFunc
}

// carryOut does what the steps decided, in their order. Messages are sent
// before a later invoke starts; points need no order and go last.
func (d *run) carryOut(ctx workflow.Context) {
	var messages []Outgoing
	actions := d.pending
	d.pending = nil
	for _, a := range actions {
		if a.message != nil {
			messages = append(messages, *a.message)
			continue
		}
		switch a.Type {
		case devicefsm.ActionCommand:
			messages = append(messages, Outgoing{
				ID: d.effectID(a.ID), Command: a.Name, Data: a.Data, At: workflow.Now(ctx), TTL: a.TTL,
			})
		case devicefsm.ActionPublish:
			messages = append(messages, Outgoing{
				ID: d.effectID(a.ID), Topic: a.Name, Data: a.Data, At: workflow.Now(ctx), Retain: a.Retain,
			})
		case devicefsm.ActionInvoke, devicefsm.ActionNotify, actionOperator:
			d.emit(ctx, messages, nil)
			messages = nil
			d.state.Invocations = append(d.state.Invocations, a.Action)
			d.recoveryBegins(ctx, a.Action)
			d.start(ctx, a.Action)
		case devicefsm.ActionCancel:
			d.cancelInvocation(a.ID)
		case devicefsm.ActionLog:
			workflow.GetLogger(ctx).Info("model log", "device", d.state.Device, "message", a.Data["message"])
		default:
			// A run that began before there were twins leaves desire out.
			d.state.noteFaults([]string{fmt.Sprintf("action %s is not supported yet", a.Type)})
		}
	}
	messages = append(messages, d.dispatch(ctx)...)
	messages = append(messages, d.currentDocuments(workflow.Now(ctx))...)
	points := d.withAsides(messages, d.points)
	d.points = nil
	d.emit(ctx, messages, points)
	d.writeAttributes(ctx)
}

// effectID makes an action's id, unique for one device, unique for all.
func (d *run) effectID(id string) string { return d.state.Instance + "-" + id }

// maxEmission is about how many bytes of documents leave in one local activity:
// where an ordinary one takes over, the server stores them, and takes 2 MiB.
const maxEmission = 512 << 10

// emit sends messages, in parts of a bounded size, and then points.
func (d *run) emit(ctx workflow.Context, messages []Outgoing, points []Point) {
	size, from := 0, 0
	for i, m := range messages {
		n := 0
		if m.Shadow != nil {
			n = len(m.Shadow.Payload)
		}
		if size += n; size > maxEmission && i > from {
			d.emitPart(ctx, messages[from:i], nil)
			size, from = n, i
		}
	}
	d.emitPart(ctx, messages[from:], points)
}

// emitPart sends messages and points in a local activity, which costs next to
// nothing. Where that keeps failing, because the broker is away, an ordinary
// activity takes over: it is tried for as long as it takes, and blocks no worker.
func (d *run) emitPart(ctx workflow.Context, messages []Outgoing, points []Point) {
	if len(messages) == 0 && len(points) == 0 {
		return
	}
	// What was decided is sent also when the workflow is being cancelled.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	e := Emission{Device: d.state.Device, Messages: messages, Points: points}
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: 4 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, MaximumAttempts: 3},
	})
	var done Emitted
	err := workflow.ExecuteLocalActivity(local, ActivityEmit, e).Get(ctx, &done)
	if err != nil {
		patient := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: 30 * time.Second,
			RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 30 * time.Second},
		})
		err = workflow.ExecuteActivity(patient, ActivityEmit, e).Get(ctx, &done)
	}
	if err != nil {
		done.Refused = append(done.Refused, fmt.Sprintf("emit: %v", cause(err)))
	}
	d.state.noteFaults(done.Refused)
}

// start starts the activity of an invoke, or of a notification, which is one
// whose end the model does not hear of.
func (d *run) start(ctx workflow.Context, a devicefsm.Action) {
	name, input := a.Name, a.Data
	if a.Type == devicefsm.ActionNotify {
		name, input = ActivityNotify, map[string]any{"to": a.Name, "data": a.Data}
	}
	ctx, cancel := workflow.WithCancel(ctx)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: time.Hour,
		StartToCloseTimeout:    30 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, MaximumInterval: 30 * time.Second},
	})
	future := workflow.ExecuteActivity(ctx, name, Invocation{
		Device: d.state.Device, Model: d.state.Model, ID: d.effectID(a.ID), Input: input,
	})
	d.running = append(d.running, &invocation{id: a.ID, name: name, silent: a.Type != devicefsm.ActionInvoke, future: future, cancel: cancel})
}

// finish gives the end of an invocation to the statechart.
func (d *run) finish(ctx workflow.Context, inv *invocation, f workflow.Future) {
	d.forget(inv.id)
	d.because(Cause{Kind: CauseActivity, Name: inv.name})
	var data map[string]any
	err := f.Get(ctx, &data)
	switch {
	case err != nil && inv.silent:
		d.state.noteFaults([]string{cause(err)})
	case err != nil:
		if d.state.Recovery != nil && d.effectID(inv.id) == d.state.Recovery.Command {
			d.recoveryFailed(workflow.Now(ctx))
		}
		d.step(devicefsm.ErrorEvent(inv.id, cause(err), workflow.Now(ctx)))
	case !inv.silent:
		d.step(devicefsm.DoneEvent(inv.id, data, workflow.Now(ctx)))
	}
}

// cancelInvocation drops an invocation whose state was left; nobody waits for
// its end.
func (d *run) cancelInvocation(id string) {
	for _, inv := range d.running {
		if inv.id == id {
			inv.cancel()
		}
	}
	d.forget(id)
}

func (d *run) forget(id string) {
	d.running = slices.DeleteFunc(d.running, func(inv *invocation) bool { return inv.id == id })
	d.state.Invocations = slices.DeleteFunc(d.state.Invocations, func(a devicefsm.Action) bool { return a.ID == id })
}

// cause is the innermost message of an activity's error, without the ids and
// host names that Temporal wraps around it.
func cause(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		return "timed out: " + timeout.TimeoutType().String()
	}
	return err.Error()
}

// writeAttributes writes the search attributes when one of them changed: an
// upsert costs the server a third of a signal.
func (d *run) writeAttributes(ctx workflow.Context) {
	want := Attributes{
		States:   strings.Split(d.model.StateName(d.state.Snapshot), ","),
		Model:    d.model.Name(),
		Firmware: d.state.Firmware,
		Site:     d.state.Site,
	}
	if d.settings.Version > 0 {
		want.Connection, want.Properties = d.state.Connection, d.searchable()
		for _, key := range slices.Sorted(maps.Keys(d.state.Tags)) {
			want.Tags = append(want.Tags, key+"="+d.state.Tags[key])
		}
	}
	have := d.state.Attributes
	if want.equal(have) {
		return
	}
	var updates []temporal.SearchAttributeUpdate
	if !slices.Equal(want.States, have.States) {
		updates = append(updates, AttributeState.ValueSet(want.States))
	}
	if want.Model != have.Model {
		updates = append(updates, AttributeModel.ValueSet(want.Model))
	}
	if want.Firmware != have.Firmware {
		updates = append(updates, AttributeFirmware.ValueSet(want.Firmware))
	}
	if want.Site != have.Site {
		updates = append(updates, AttributeSite.ValueSet(want.Site))
	}
	if want.Connection != have.Connection {
		updates = append(updates, AttributeConnection.ValueSet(want.Connection))
	}
	if !slices.Equal(want.Tags, have.Tags) {
		updates = append(updates, AttributeTags.ValueSet(want.Tags))
	}
	if !slices.Equal(want.Properties, have.Properties) {
		updates = append(updates, AttributeProperties.ValueSet(want.Properties))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		d.state.noteFaults([]string{fmt.Sprintf("write search attributes: %v", err)})
		return
	}
	d.state.Attributes = want
}
