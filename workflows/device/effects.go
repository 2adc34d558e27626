package device

import (
	"encoding/json"
	"fmt"
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
	// Arrived is when the message arrived that a transition is due to; zero of anything
	// else.
	Arrived time.Time `json:"arrived,omitzero"`
}

// Emission is what leaves in one local activity.
type Emission struct {
	Device device.ID `json:"device"`
	// Address is how the device is reached, where something is said in its dialect.
	Address  *device.Address `json:"address,omitempty"`
	Messages []Outgoing      `json:"messages,omitempty"`
	Points   []Point         `json:"points,omitempty"`
	// Records are the next ones for readers of Kafka.
	Records []Record `json:"records,omitempty"`
}

// Emitted is the result of an Emission.
type Emitted struct {
	// Refused describes the messages that the worker's configuration forbids.
	Refused []string `json:"refused,omitempty"`
	// Sent is what is known of the ends of commands.
	Sent []SentCommand `json:"sent,omitempty"`
	// Recorded is how many of the first records are written, or refused.
	Recorded int `json:"recorded,omitempty"`
}

// SentCommand is what is known of the end of a command when it is sent. One that a device
// answers has none.
type SentCommand struct {
	ID string `json:"id"`
	// Done says that the command has succeeded, because nobody answers.
	Done bool `json:"done,omitempty"`
	// Shows is a JSON object; the command has succeeded when the classic shadow's reported
	// state has all of it. Only commands with a time to live wait for that.
	Shows json.RawMessage `json:"shows,omitempty"`
	// Failed is why it was not sent, and never will be.
	Failed string `json:"failed,omitempty"`
}

// carryOut does what the steps decided, in their order. Messages are sent
// before a later invoke starts; points need no order and go last.
func (d *run) carryOut(ctx workflow.Context) {
	var messages []Outgoing
	actions := d.pending
	d.pending, d.again = nil, false
	for _, a := range actions {
		if a.message != nil {
			messages = append(messages, d.leaving(*a.message, workflow.Now(ctx)))
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
			d.emit(ctx, messages, nil, nil)
			messages = nil
			d.state.Invocations = append(d.state.Invocations, a.Action)
			d.recoveryBegins(ctx, a.Action)
			if !d.migrated { // else the next run starts it, which begins at once
				d.start(ctx, a.Action)
			}
		case devicefsm.ActionCancel:
			d.cancelInvocation(a.ID)
		case devicefsm.ActionLog:
			workflow.GetLogger(ctx).Info("model log", "device", d.state.Device, "message", a.Data["message"])
		default:
			d.notCarriedOut(workflow.Now(ctx), fmt.Sprintf("action %s is not supported yet", a.Type))
		}
	}
	messages = append(messages, d.dispatch(ctx)...)
	messages = append(messages, d.currentDocuments(workflow.Now(ctx))...)
	points := d.withAsides(workflow.Now(ctx), messages, d.points)
	d.points = nil
	d.emit(ctx, messages, points, d.recordsToSend())
	d.finishRecords(ctx)
	d.reportToGroups(ctx)
	d.writeAttributes(ctx)
}

// effectID makes an action's id, unique for one device, unique for all.
func (d *run) effectID(id string) string { return d.state.Instance + "-" + id }

// maxEmission is about how many bytes of documents leave in one local activity:
// where an ordinary one takes over, the server stores them, and takes 2 MiB.
const maxEmission = 512 << 10

// emit sends messages, in parts of a bounded size, and then points and records.
func (d *run) emit(ctx workflow.Context, messages []Outgoing, points []Point, records []Record) {
	size, from := 0, 0
	for i, m := range messages {
		n := 0
		if m.Shadow != nil {
			n = len(m.Shadow.Payload)
		}
		if size += n; size > maxEmission && i > from {
			d.emitPart(ctx, messages[from:i], nil, nil)
			size, from = n, i
		}
	}
	d.emitPart(ctx, messages[from:], points, records)
}

// emitPart sends messages, points and records in a local activity, which costs next to
// nothing. Where that keeps failing, because the broker is down, an ordinary
// activity takes over: it is tried for as long as it takes, and blocks no worker.
func (d *run) emitPart(ctx workflow.Context, messages []Outgoing, points []Point, records []Record) {
	if len(messages) == 0 && len(points) == 0 && len(records) == 0 {
		return
	}
	// What was decided is sent also when the workflow is being cancelled.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	e := Emission{Device: d.state.Device, Address: d.addressFor(messages), Messages: messages, Points: points, Records: records}
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
	d.notCarriedOut(workflow.Now(ctx), done.Refused...)
	d.takeRecorded(ctx, records, done.Recorded)
	if err == nil && (e.Address != nil || !d.connected()) {
		d.takeSent(workflow.Now(ctx), messages, done.Sent)
	}
	d.forgetDepths(messages)
}
