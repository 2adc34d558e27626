package device

import (
	"errors"
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// invokeKind carries out an invoke of a model: it begins what the model's src names,
// under the invocation's id, and its future has the data of the done event. It ends
// when ctx is cancelled. Each of them starts again where a run is continued as new.
type invokeKind func(ctx workflow.Context, src string, in Invocation) workflow.Future

// invokeKinds are the kinds by the src of a model's invoke: what else a model may
// wait for comes here, next to activities (a task for a person, a child workflow).
var invokeKinds = map[string]invokeKind{
	ActivityReprovision: asActivity,
	ActivityCall:        asActivity,
}

// Invocable are the names that a model's invoke, or its process, may give as src, sorted.
func Invocable() []string { return slices.Sorted(maps.Keys(invokeKinds)) }

// asActivity carries out an invoke by the activity of its name.
func asActivity(ctx workflow.Context, src string, in Invocation) workflow.Future {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: time.Hour,
		StartToCloseTimeout:    30 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, MaximumInterval: 30 * time.Second},
	})
	return workflow.ExecuteActivity(ctx, src, in)
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
	// Site is what the device's last birth message said.
	Site string `json:"site,omitempty"`
	// Address is how the device is reached, if it speaks a dialect of its own.
	Address *device.Address `json:"address,omitempty"`
	// At is when a notification was decided, and Arrived when that was on the service's
	// clock, if it is another time; zero of anything else, and of runs of an earlier
	// release.
	At      time.Time `json:"at,omitzero"`
	Arrived time.Time `json:"arrived,omitzero"`
}

// invocation is an activity that runs.
type invocation struct {
	id     string
	name   string
	silent bool // the model does not hear of its end
	future workflow.Future
	cancel workflow.CancelFunc
}

// start starts the activity of an invoke, or of a notification, which is one
// whose end the model does not hear of.
func (d *run) start(ctx workflow.Context, a devicefsm.Action) {
	name, input := a.Name, a.Data
	if a.Type == devicefsm.ActionNotify {
		name, input = ActivityNotify, map[string]any{"to": a.Name, "data": a.Data}
	}
	carryOut, ok := invokeKinds[name]
	if !ok {
		carryOut = asActivity // notify, and what a model asks of a newer worker
	}
	ctx, cancel := workflow.WithCancel(ctx)
	in := Invocation{Device: d.state.Device, Model: d.state.Model, ID: d.invocationID(a.ID), Input: input, Site: d.state.Site}
	if d.follows(rulesCorners) {
		in.At, in.Arrived = a.At, a.Arrived
	}
	if d.follows(rulesDialects) && name == ActivityReprovision {
		in.Address = d.state.Address
	}
	future := carryOut(ctx, name, in)
	d.running = append(d.running, &invocation{id: a.ID, name: name, silent: a.Type != devicefsm.ActionInvoke, future: future, cancel: cancel})
}

// finish gives the end of an invocation to the statechart.
func (d *run) finish(ctx workflow.Context, inv *invocation, f workflow.Future) {
	id := d.invocationID(inv.id)
	d.forget(inv.id)
	d.setCause(Cause{Kind: CauseActivity, Name: inv.name})
	now := workflow.Now(ctx)
	var data map[string]any
	err := f.Get(ctx, &data)
	switch {
	case err != nil && inv.silent:
		d.notCarriedOut(now, cause(err))
	case err != nil:
		if d.state.Recovery != nil && id == d.state.Recovery.Command {
			d.recoveryFailed(workflow.Now(ctx))
		}
		d.step(d.ofService(devicefsm.ErrorEvent(inv.id, cause(err), now), now))
	case !inv.silent:
		d.step(d.ofService(devicefsm.DoneEvent(inv.id, data, now), now))
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
	delete(d.state.Origins, id)
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
