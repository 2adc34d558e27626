package device

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/twin/command"
)

const (
	keptRequests = 256
	keptPaths    = 256 // bytes of the paths of a kept Desired
)

// appliedOperation is an operation that was carried out, or refused.
type appliedOperation struct {
	ID string `json:"id"`
	// Print is the operation's; empty of one that was applied under earlier rules.
	Print  string          `json:"print,omitempty"`
	Result OperationResult `json:"result"`
}

// Deletion is the result of a device's workflow: the operation that deleted it.
type Deletion struct {
	ID    string `json:"id"`
	Print string `json:"print"`
	// Refused is of a workflow that ended before it did anything: the operation is Input.First,
	// and this is its result.
	Refused *device.Refused `json:"refused,omitempty"`
}

// Of reports whether the operation has the id of the one that deleted the device,
// and whether it is that operation.
func (d Deletion) Of(op Operation) (sameID, same bool) {
	return op.ID != "" && op.ID == d.ID, op.ID == d.ID && op.print() == d.Print
}

// end is the workflow's result: there is none under earlier rules.
func (d *run) end() *Deletion {
	if !d.follows(rulesCorners) {
		return nil
	}
	return &d.deletion
}

// operateOnce gives an operation that is repeated its first result, and refuses
// another one with the same id: neither changes the run, so both hold under all rules.
func (d *run) operateOnce(ctx workflow.Context, op Operation) OperationResult {
	if d.deleted {
		return d.afterDeletion(op)
	}
	print := op.print()
	if i := slices.IndexFunc(d.state.Requests, func(a appliedOperation) bool { return a.ID == op.ID }); i >= 0 {
		known := d.state.Requests[i]
		if !known.is(op, print) {
			return otherRequest()
		}
		return d.complete(known.Result)
	}
	d.receivedOperation(op)
	r := d.operate(ctx, op)
	if r.Refused != nil && r.Refused.Code == codeTryAgain {
		return r
	}
	kept := append(d.state.Requests, appliedOperation{ID: op.ID, Print: print, Result: r.short()})
	if extra := len(kept) - keptRequests; extra > 0 {
		kept = slices.Delete(kept, 0, extra)
	}
	d.state.Requests = kept
	return r
}

// afterDeletion is the result of an operation that came after the one that deleted
// the device, before the workflow ended.
func (d *run) afterDeletion(op Operation) OperationResult {
	sameID, same := d.deletion.Of(op)
	switch {
	case !sameID:
		return refusal(404, "the device was deleted")
	case !same:
		return otherRequest()
	}
	return OperationResult{Erase: op.Data}
}

// otherRequest refuses an operation with the id of another one.
func otherRequest() OperationResult { return OperationResult{Refused: OtherRequest()} }

// OtherRequest is the refusal of an operation whose id belongs to another one.
func OtherRequest() *device.Refused {
	return device.Refuse(422, "the idempotency key was used for another request to this device; each request needs a key of its own")
}

// is reports whether the operation is this one. Of an operation without a print only
// its result can be compared; it was not a deletion, after which there is no state.
func (a appliedOperation) is(op Operation, print string) bool {
	if a.Print == "" {
		return op.Fits(a.Result) && !op.Delete
	}
	return a.Print == print
}

// print identifies what the operation is to do, whoever wants it, why, and under
// whichever id: equal for the same JSON values, in whatever order and with whatever
// spaces.
func (o Operation) print() string {
	o.ID, o.Who, o.Note = "", "", ""
	if o.Desire != nil {
		desire := *o.Desire
		desire.Patch = canonical(desire.Patch)
		o.Desire = &desire
	}
	if o.Command != nil {
		order := *o.Command
		order.Data = canonical(order.Data)
		o.Command = &order
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return "" // not of anything that came as JSON
	}
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// canonical is a JSON value with its keys in order, and its numbers as they were
// written; what is not JSON becomes a string.
func canonical(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil || decoder.More() {
		v = string(raw)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return out
}

// Fits reports whether the result may be that of the operation: a run of an earlier
// release returns that of any operation with the same id.
func (o Operation) Fits(r OperationResult) bool {
	switch {
	case r.Refused != nil:
		return true
	case r.Desired != nil:
		return o.Desire != nil
	case r.Command != nil:
		return o.Command != nil || o.Cancel != nil
	case r.Taken != nil:
		return o.Event != nil
	case r.Reprovisioning != nil:
		return o.Reprovision != nil
	case r.Migrated != nil:
		return o.Migrate != nil
	case r.Decided != nil:
		return o.Process != nil
	case r.Tags != nil:
		return o.Tags != nil
	}
	return o.Tags != nil || o.Delete // no tags are left, or nothing is
}

// short is what has to be kept of a result.
func (r OperationResult) short() OperationResult {
	if r.Refused != nil {
		r.Refused = &device.Refused{Code: r.Refused.Code, Message: bounded(r.Refused.Message)}
	}
	if c := r.Command; c != nil {
		r.Command = &command.Command{ID: c.ID, Name: c.Name, By: c.By, Status: c.Status, Created: c.Created, Expires: c.Expires, Ended: c.Ended, Reason: c.Reason}
	}
	if d := r.Desired; d != nil {
		r.Desired = &Desired{Version: d.Version}
		if len(strings.Join(slices.Concat(d.Changed, d.Open), ",")) <= keptPaths {
			r.Desired = d
		}
	}
	if r.Tags != nil {
		r.Tags = map[string]string{}
	}
	if m := r.Migrated; m != nil {
		short := *m
		short.Note, short.Lost = "", nil
		short.States = EventTaken{From: bounded(m.States.From), To: bounded(m.States.To)}
		r.Migrated = &short
	}
	return r
}

// complete gives a kept result what has been left out of it, as it is now.
func (d *run) complete(r OperationResult) OperationResult {
	if r.Command != nil {
		if c, ok := d.state.Commands.Find(r.Command.ID); ok {
			r.Command = &c
		}
	}
	if r.Tags != nil {
		r.Tags = maps.Clone(d.state.Tags)
	}
	return r
}
