package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// Only a device has a connection, and credentials with which it makes it. Any other entity
// hears of what it is sent by its stream in the API, and by a topic where one is configured
// (wire.Config.EntityTopics). There were no such entities under any earlier rules, so runs of
// devices replay as they did.

// newModel is the model of an entity that was started without one. It is recorded: other workers
// may have another one later.
func (w *Workflow) newModel(ctx workflow.Context, id device.ID) (hash string, err error) {
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any {
		if w.NewModel != nil {
			if hash, ok := w.NewModel(id.Kind()); ok {
				return hash
			}
		}
		// As without a model: the entity waits for a worker that has one.
		panic(fmt.Sprintf("%s: this worker has no model for new entities of kind %s (--kinds)", id.Entity(), id.Kind().Word()))
	})
	if err := recorded.Get(&hash); err != nil {
		return "", fmt.Errorf("read the model of %s: %w", id.Entity(), err)
	}
	return hash, nil
}

// isRefused carries out the operation with which an entity begins. As long as all that came is
// refused, there is no entity, and the workflow ends with that result before it does anything.
func (d *run) isRefused(ctx workflow.Context, op Operation) (*Deletion, error) {
	d.applied++
	r := d.operateOnce(ctx, op)
	for d.isNobody() {
		if err := d.awaitHandlers(ctx); err != nil {
			return nil, err
		}
		if d.inboxIsEmpty() && len(d.updates) == 0 {
			return &Deletion{ID: op.ID, Print: op.print(), Refused: r.Refused}, nil
		}
		d.takeSignals(ctx)
		d.carryOutUpdates(ctx)
	}
	return nil, nil
}

// isNobody reports whether nothing has happened to the entity yet.
func (d *run) isNobody() bool {
	return d.state.Delivery.Applied == 0 && !slices.ContainsFunc(d.state.Requests, func(a appliedOperation) bool { return a.Result.Refused == nil })
}

// onlyDevices refuses what needs credentials.
func onlyDevices(id device.ID) *device.Refused {
	if id.Kind() == device.KindDevice {
		return nil
	}
	return device.Refuse(409, "%s cannot be reprovisioned: only devices have credentials", id.Entity())
}

// connected reports whether the entity is of the kind that has a connection.
func (d *run) connected() bool { return d.state.Device.Kind() == device.KindDevice }

// queued is a command of the model as it is carried out: what an entity without a connection
// is sent is in its stream, so each of its commands is in the queue.
func (d *run) queued(a devicefsm.Action) devicefsm.Action {
	if !d.connected() && a.TTL == 0 {
		a.TTL = defaultTTL
	}
	return a
}

// operateMessage takes a message that the entity's source handed over as an operation.
func (d *run) operateMessage(in OperatorEvent, now time.Time, cause Cause) OperationResult {
	m := device.Message{Channel: device.ChannelEvents, Name: in.Name, Data: in.Data, Time: now.UTC().Truncate(time.Millisecond)}
	switch {
	case !device.ValidName(in.Name):
		return refusal(400, "event name: expected 1 to %d letters, digits, _, - and .", device.MaxEventName)
	case device.ReservedName(in.Name):
		return refusal(409, "event %s is reserved for the service", in.Name)
	}
	if raw, err := json.Marshal(in.Data); err != nil || len(raw) > maxEventData {
		return refusal(413, "the data of event %s has more than %d bytes", in.Name, maxEventData)
	}
	name, ok := d.classify(m)
	if !ok || !d.model.Takes(name) {
		return refusal(422, "%s", d.model.WhyUnknown(in.Name))
	}
	if refused := d.refusesMore(name); refused != nil {
		return *refused
	}
	d.setCause(cause)
	taken := EventTaken{From: d.model.StateName(d.state.Snapshot)}
	d.take(m)
	taken.To = d.model.StateName(d.state.Snapshot)
	return OperationResult{Taken: &taken}
}
