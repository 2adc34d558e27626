package device

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/twin"
	"devicetwin/twin/command"
)

const (
	maxEventName = 128
	maxEventData = 16 << 10
	maxWhy       = 256 // bytes of a note in a reason
	defaultTTL   = 24 * time.Hour
)

// update is a call of the update operate that waits for the main coroutine.
type update struct {
	list    []Operation
	results []OperationResult
	done    workflow.Settable
}

// setUpdateHandler lets the update's handlers queue what they are asked; the main
// coroutine, which owns the state, carries it out.
func (d *run) setUpdateHandler(ctx workflow.Context) error {
	d.wake = workflow.NewBufferedChannel(ctx, 1)
	err := workflow.SetUpdateHandler(ctx, UpdateOperate, func(ctx workflow.Context, in Operations) (OperationResults, error) {
		future, done := workflow.NewFuture(ctx)
		u := &update{list: in.List, done: done}
		d.updates = append(d.updates, u)
		d.wake.SendAsync(struct{}{})
		if err := future.Get(ctx, nil); err != nil {
			return OperationResults{}, err
		}
		return OperationResults{List: u.results}, nil
	})
	if err != nil {
		return fmt.Errorf("set update handler %s of device %s: %w", UpdateOperate, d.state.Device, err)
	}
	return nil
}

// carryOutUpdates carries out what was asked, in the order of asking.
func (d *run) carryOutUpdates(ctx workflow.Context) {
	updates := d.updates
	d.updates = nil
	d.asked += len(updates)
	for _, u := range updates {
		for _, op := range u.list {
			d.applied++
			u.results = append(u.results, d.operateOnce(ctx, op))
		}
		u.done.SetValue(nil)
	}
}

func (d *run) operate(ctx workflow.Context, op Operation) OperationResult {
	now := workflow.Now(ctx)
	cause := Cause{Kind: CauseOperation, ID: bounded(op.ID), Who: bounded(op.Who), Note: device.Clip(op.Note, maxWhy)}
	switch {
	case op.Desire != nil:
		cause.Name = "desire"
		return d.operateDesire(*op.Desire, now, cause)
	case op.Command != nil:
		cause.Name = "command"
		return d.operateCommand(*op.Command, op.Who, now, cause)
	case op.Cancel != nil:
		ended, refused := d.state.Commands.Cancel(op.Cancel.Command, "by "+bounded(op.Who), now)
		if refused != nil {
			return OperationResult{Refused: refused}
		}
		cause.Name = "cancel"
		d.setCause(cause)
		d.commandsEnded([]command.Command{ended})
		d.stepRaised(now)
		return OperationResult{Command: &ended}
	case op.Event != nil:
		cause.Name = "event"
		return d.operateEvent(*op.Event, now, cause)
	case op.Tags != nil:
		return d.operateTags(*op.Tags)
	case op.Process != nil:
		cause.Name = "process"
		return d.operateProcess(*op.Process, now, cause)
	case op.Reprovision != nil:
		cause.Name = "reprovision"
		return d.operateReprovision(*op.Reprovision, op.Who, now, cause)
	case op.Migrate != nil:
		return d.operateMigrate(ctx, op, now)
	case op.Delete:
		if op.Data {
			if err := workflow.UpsertMemo(ctx, map[string]any{MemoErase: true}); err != nil {
				return refusal(500, "mark the end of the workflow: %v", err)
			}
		}
		d.leaveAllGroups(now)
		d.delete(op)
		return OperationResult{Erase: op.Data}
	}
	return unknownOperation()
}

// unknownOperation is what workers of earlier releases say of later ones' operations.
func unknownOperation() OperationResult {
	return refusal(400, "this worker does not know the operation; it may be older than who asked")
}

func (d *run) operateDesire(in Desire, now time.Time, cause Cause) OperationResult {
	doc := d.document(in.Shadow, now)
	switch {
	case in.Shadow != "" && !twin.ValidShadowName(in.Shadow):
		return refusal(400, "shadow name: expected 1 to 64 letters, digits, and any of : _ -")
	case !bytes.HasPrefix(bytes.TrimSpace(in.Patch), []byte("{")):
		return refusal(400, "desired properties: expected a JSON object")
	case in.Within < 0:
		return refusal(400, "the deadline of desired properties is over already")
	case in.Version != nil && *in.Version != presentVersion(doc):
		return refusal(412, "the shadow has version %d", presentVersion(doc))
	}
	if refused := d.roomFor(in.Shadow, doc); refused != nil {
		return OperationResult{Refused: &refused.Refused}
	}
	payload := slices.Concat([]byte(`{"state":{"desired":`), in.Patch, []byte(`}}`))
	next, answers, refused := twin.Update(doc, payload, now, d.settings.Limits)
	if refused != nil {
		return refusal(refused.Code, "%s", strings.TrimPrefix(refused.Error(), fmt.Sprint(refused.Code)+" "))
	}
	d.setCause(cause)
	d.desired(in.Shadow, doc, next, answers, now)
	d.watch(in.Shadow, next, answers.Asked(), in.Within, now)
	d.stepRaised(now)
	return OperationResult{Desired: &Desired{
		Version: next.Version(), Changed: twin.ChangedPaths(doc, next).Desired, Open: twin.DeltaPaths(next),
	}}
}

// presentVersion is 0 where there is no shadow.
func presentVersion(doc twin.Document) int64 {
	if !doc.Exists() {
		return 0
	}
	return doc.Version()
}

func (d *run) operateCommand(in Order, who string, now time.Time, cause Cause) OperationResult {
	ttl := in.TTL
	if ttl == 0 {
		ttl = defaultTTL
	}
	c := command.Command{
		ID: d.effectID(d.orderID()), Name: in.Name, Data: in.Data, Key: in.Key,
		Print: Operation{Command: &in}.print(), By: bounded(who), Created: now, Expires: now.Add(ttl), MaxDeliveries: in.MaxDeliveries,
	}
	added, superseded, refused := d.state.Commands.Add(c, in.Replace, d.settings.Commands)
	if refused != nil {
		return OperationResult{Refused: refused}
	}
	d.setCause(cause)
	d.commandsEnded(superseded)
	d.stepRaised(now)
	return OperationResult{Command: &added}
}

// orderID is the id of the next command or reprovisioning of an operator.
func (d *run) orderID() string {
	d.state.Orders++
	return d.named(devicefsm.Action{Type: actionOperator, ID: fmt.Sprintf("order-%d", d.state.Orders)}).ID
}

func (d *run) operateEvent(in OperatorEvent, now time.Time, cause Cause) OperationResult {
	if in.Source && !d.connected() {
		return d.operateMessage(in, now, cause)
	}
	switch {
	case in.Name == "" || len(in.Name) > maxEventName || !utf8.ValidString(in.Name) || strings.Contains(in.Name, "*"):
		return refusal(400, "event name: expected 1 to %d bytes without *", maxEventName)
	case device.ReservedName(in.Name):
		return refusal(409, "event %s is reserved for the service", in.Name)
	case d.model.MessageOnly(in.Name):
		return refusal(409, "event %s comes from the device only, by the model %s", in.Name, d.model.Name())
	case d.follows(rulesCorners) && !d.model.Takes(in.Name):
		return refusal(422, "%s", d.model.WhyUnknown(in.Name))
	}
	if raw, err := json.Marshal(in.Data); err != nil || len(raw) > maxEventData {
		return refusal(413, "the data of event %s has more than %d bytes", in.Name, maxEventData)
	}
	if refused := d.refusesMore(in.Name); refused != nil {
		return *refused
	}
	d.setCause(cause)
	taken := EventTaken{From: d.model.StateName(d.state.Snapshot)}
	d.step(d.ofService(devicefsm.Event{Name: in.Name, Data: in.Data}, now))
	taken.To = d.model.StateName(d.state.Snapshot)
	return OperationResult{Taken: &taken}
}

// operateTags sets tags, or replaces them all. Only what is asked for has to
// follow the rule: a tag of an older rule stays until it is removed.
func (d *run) operateTags(in TagChanges) OperationResult {
	tags := map[string]string{}
	if !in.Replace {
		maps.Copy(tags, d.state.Tags)
	}
	for _, key := range slices.Sorted(maps.Keys(in.Set)) {
		value := in.Set[key]
		if value == nil {
			delete(tags, key)
			continue
		}
		if err := device.CheckTag(key, *value); err != nil {
			return refusal(400, "%v", err)
		}
		tags[key] = *value
	}
	if len(tags) > device.MaxTags {
		return refusal(413, "the device would have %d tags, the limit is %d", len(tags), device.MaxTags)
	}
	if size := device.SizeOfTags(tags); d.follows(rulesCorners) && size > device.MaxTagBytes && size > device.SizeOfTags(d.state.Tags) {
		return refusal(413, "the device would have tags of %d bytes as a JSON list of \"key=value\", the limit is %d", size, device.MaxTagBytes)
	}
	d.state.Tags, d.newIdentity = tags, true
	return OperationResult{Tags: maps.Clone(tags)}
}

// actionOperator is the activity of an operator: its end is not an event of the model.
const actionOperator = "operator"

// operateReprovision asks the model first.
func (d *run) operateReprovision(in ReprovisionReason, who string, now time.Time, cause Cause) OperationResult {
	if refused := onlyDevices(d.state.Device); refused != nil {
		return OperationResult{Refused: refused}
	}
	reason := bounded(in.Reason)
	r := Reprovisioning{EventTaken: EventTaken{From: d.model.StateName(d.state.Snapshot)}}
	d.setCause(cause)
	asked, moves := len(d.pending), d.transitions
	d.step(d.ofService(devicefsm.Event{
		Name: device.EventReprovision, Data: map[string]any{"reason": reason, "who": bounded(who)},
	}, now))
	r.To = d.model.StateName(d.state.Snapshot)
	r.ByModel = d.transitions > moves || slices.ContainsFunc(d.pending[asked:], func(e effect) bool {
		return e.Type == devicefsm.ActionInvoke && e.Name == ActivityReprovision
	})
	if slices.ContainsFunc(d.running, func(i *invocation) bool { return i.name == ActivityReprovision }) {
		r.ByModel = true // one is under way
	}
	if !r.ByModel {
		d.pending = append(d.pending, effect{Action: devicefsm.Action{
			Type: actionOperator, ID: d.orderID(), Name: ActivityReprovision,
			Data: map[string]any{"reason": reason},
		}})
	}
	return OperationResult{Reprovisioning: &r}
}

// delete makes the workflow end. What is retained of the device is cleared.
func (d *run) delete(op Operation) {
	d.deleted, d.deletion = true, Deletion{ID: op.ID, Print: op.print()}
	for _, s := range d.state.Twins {
		if d.settings.Retain && s.Document.Exists() {
			d.pending = append(d.pending, effect{message: &Outgoing{Retain: true, Shadow: &ShadowMessage{Shadow: s.Name, Rest: twin.RestCurrent}}})
		}
	}
	d.state.Twins, d.changed = nil, nil
}
