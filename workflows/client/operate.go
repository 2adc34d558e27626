package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	temporalclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
	"devicetwin/twin/command"
	deviceworkflow "devicetwin/workflows/device"
)

// The methods of this file change one device. Each returns when the change is
// durable. Their errors wrap device.ErrUnknown, device.ErrUnavailable, or are a
// *device.Refused.

// Desire changes desired properties.
func (c *Client) Desire(ctx context.Context, id device.ID, by device.By, d deviceworkflow.Desire) (deviceworkflow.Desired, error) {
	r, err := c.operate(ctx, id, by, deviceworkflow.Operation{Desire: &d})
	if err != nil {
		return deviceworkflow.Desired{}, fmt.Errorf("change desired properties of device %s: %w", id, err)
	}
	return *r.Desired, nil
}

// Command gives the device an order. What is returned is the command as it
// stands: it waits its turn.
func (c *Client) Command(ctx context.Context, id device.ID, by device.By, o deviceworkflow.Order) (command.Command, error) {
	r, err := c.operate(ctx, id, by, deviceworkflow.Operation{Command: &o})
	if err != nil {
		return command.Command{}, fmt.Errorf("order command %s of device %s: %w", o.Name, id, err)
	}
	return *r.Command, nil
}

// CommandStatus returns a command with its status. One that is not known, or not
// any more, is a *device.Refused with code 404.
func (c *Client) CommandStatus(ctx context.Context, id device.ID, commandID string) (command.Command, error) {
	view, err := c.Describe(ctx, id)
	if err != nil {
		return command.Command{}, err
	}
	found, ok := view.Commands.Find(commandID)
	if !ok {
		return command.Command{}, fmt.Errorf("find command of device %s: %w", id,
			device.Refuse(404, "no such command of this id, or it was forgotten: %s", commandID))
	}
	return found, nil
}

// CancelCommand takes back a command that has not ended.
func (c *Client) CancelCommand(ctx context.Context, id device.ID, by device.By, commandID string) (command.Command, error) {
	r, err := c.operate(ctx, id, by, deviceworkflow.Operation{Cancel: &deviceworkflow.CancelOperation{Command: commandID}})
	if err != nil {
		return command.Command{}, fmt.Errorf("cancel command of device %s: %w", id, err)
	}
	return *r.Command, nil
}

// SendEvent gives the state machine an event. Events that only the service or
// only the device may make are refused (409).
func (c *Client) SendEvent(ctx context.Context, id device.ID, by device.By, e deviceworkflow.OperatorEvent) (deviceworkflow.EventTaken, error) {
	r, err := c.operate(ctx, id, by, deviceworkflow.Operation{Event: &e})
	if err != nil {
		return deviceworkflow.EventTaken{}, fmt.Errorf("send event %s to device %s: %w", e.Name, id, err)
	}
	return *r.Taken, nil
}

// maxIntroductions is how often an entity is started for an event: its workflow may end before it
// takes the event, because another one was refused at the same time.
const maxIntroductions = 3

// Introduce hands over an event of an entity whose source is the API. The first one that is not
// refused starts the entity.
func (c *Client) Introduce(ctx context.Context, id device.ID, by device.By, e deviceworkflow.OperatorEvent) (deviceworkflow.EventTaken, error) {
	if by.ID == "" {
		by.ID = rand.Text() // both are one operation
	}
	e.Source = true
	taken, err := c.SendEvent(ctx, id, by, e)
	for range maxIntroductions {
		if !errors.Is(err, device.ErrUnknown) {
			break
		}
		if err = c.start(ctx, id, deviceworkflow.Operation{ID: by.ID, Who: by.Who, Note: by.Note, Event: &e}); err == nil {
			taken, err = c.SendEvent(ctx, id, by, e)
		}
	}
	return taken, err
}

// SetTags sets tags, and removes those that are nil. It returns all tags.
func (c *Client) SetTags(ctx context.Context, id device.ID, by device.By, tags map[string]*string) (map[string]string, error) {
	return c.changeTags(ctx, id, by, deviceworkflow.TagChanges{Set: tags})
}

// ReplaceTags makes these the device's only tags, in one operation.
func (c *Client) ReplaceTags(ctx context.Context, id device.ID, by device.By, tags map[string]string) error {
	in := deviceworkflow.TagChanges{Set: make(map[string]*string, len(tags)), Replace: true}
	for key, value := range tags {
		in.Set[key] = &value
	}
	_, err := c.changeTags(ctx, id, by, in)
	return err
}

func (c *Client) changeTags(ctx context.Context, id device.ID, by device.By, in deviceworkflow.TagChanges) (map[string]string, error) {
	r, err := c.operate(ctx, id, by, deviceworkflow.Operation{Tags: &in})
	if err != nil {
		return nil, fmt.Errorf("set tags of device %s: %w", id, err)
	}
	return r.Tags, nil
}

// Reprovision has the device reprovisioned: by its model, if that takes the event
// operator.reprovision, or else by the service.
func (c *Client) Reprovision(ctx context.Context, id device.ID, by device.By, reason string) (deviceworkflow.Reprovisioning, error) {
	r, err := c.operate(ctx, id, by, deviceworkflow.Operation{Reprovision: &deviceworkflow.ReprovisionReason{Reason: reason}})
	if err != nil {
		return deviceworkflow.Reprovisioning{}, fmt.Errorf("reprovision device %s: %w", id, err)
	}
	return *r.Reprovisioning, nil
}

// Delete ends the device's workflow, and forgets all that it knew. A device that
// says something afterwards is a new one.
func (c *Client) Delete(ctx context.Context, id device.ID, by device.By) error {
	if _, err := c.operate(ctx, id, by, deviceworkflow.Operation{Delete: true}); err != nil {
		return fmt.Errorf("delete device %s: %w", id, err)
	}
	return nil
}

// Erase deletes a device as Delete does, with all its data: parts that keep some see it
// from the end of its workflow (Ending.Erase), and erase them.
func (c *Client) Erase(ctx context.Context, id device.ID, by device.By) error {
	if _, err := c.operate(ctx, id, by, deviceworkflow.Operation{Delete: true, Data: true}); err != nil {
		return fmt.Errorf("delete device %s with its data: %w", id, err)
	}
	return nil
}

// operate gives an operation to the device's workflow.
func (c *Client) operate(ctx context.Context, id device.ID, by device.By, op deviceworkflow.Operation) (deviceworkflow.OperationResult, error) {
	op.ID, op.Who, op.Note = by.ID, by.Who, by.Note
	if op.ID == "" {
		op.ID = rand.Text()
	}
	if refused := checkOperation(op); refused != nil {
		return deviceworkflow.OperationResult{}, refused
	}
	raw, err := json.Marshal(op)
	if err != nil {
		return deviceworkflow.OperationResult{}, device.Refuse(400, "%v", err)
	}
	limit := maxOperation
	if op.Migrate != nil {
		limit += deviceworkflow.MaxPlan
	}
	if len(raw) > limit {
		return deviceworkflow.OperationResult{}, device.Refuse(413, "the request has %d bytes, the limit is %d", len(raw), limit)
	}
	result, err := c.batcher.do(ctx, id, op, len(raw))
	switch {
	case err != nil:
		return result, c.ifDeletedBy(ctx, id, op, err)
	case !op.Fits(result):
		return deviceworkflow.OperationResult{}, deviceworkflow.OtherRequest()
	case op.Data && !result.Erase:
		return deviceworkflow.OperationResult{}, device.Refuse(409, "the device was deleted, but its data were not: its worker is of an earlier release")
	}
	return result, nil
}

// deletedError is that of a request to a workflow that has ended.
type deletedError struct {
	error
	run string
}

func (e deletedError) Unwrap() error { return e.error }

// ifDeletedBy is nil if the error says that the device was deleted, and the operation
// did so; and a refusal if another operation with its id did, or if the operation was refused
// before there was an entity.
func (c *Client) ifDeletedBy(ctx context.Context, id device.ID, op deviceworkflow.Operation, err error) error {
	var deleted deletedError
	if !errors.As(err, &deleted) {
		return err
	}
	var by deviceworkflow.Deletion
	if c.temporal.GetWorkflow(ctx, deviceworkflow.WorkflowID(id), deleted.run).Get(ctx, &by) != nil {
		return err // the history is gone; so is the device
	}
	switch sameID, same := by.Of(op); {
	case same && by.Refused != nil:
		return by.Refused
	case same:
		return nil
	case sameID:
		return deviceworkflow.OtherRequest()
	}
	return err
}

const (
	maxOperation = 64 << 10 // bytes of one operation
	maxWho       = 128
	maxRequestID = 128
)

// check refuses what no device's workflow would take, before it is sent.
func checkOperation(o deviceworkflow.Operation) *device.Refused {
	switch {
	case len(o.ID) > maxRequestID:
		return device.Refuse(400, "request id of %d bytes: expected at most %d", len(o.ID), maxRequestID)
	case len(o.Who) > maxWho:
		return device.Refuse(400, "the caller's name has %d bytes: expected at most %d", len(o.Who), maxWho)
	case o.Desire != nil && !json.Valid(o.Desire.Patch):
		return device.Refuse(400, "the desired properties are not JSON")
	case o.Command != nil && len(o.Command.Data) > 0 && !json.Valid(o.Command.Data):
		return device.Refuse(400, "the command's data is not JSON")
	}
	return nil
}

// How long a request is repeated that met a workflow which could not take it at
// that moment. A busy device's run may fail to end several times over, because
// something new arrived while it was ending: each time the server gives back
// what was on its way to it.
const (
	updatePatience = 30 * time.Second
	queryPatience  = 3 * time.Second
)

// update sends operations to the device's workflow, and to its next run if they
// met the end of one. What was executed nevertheless is not executed
// twice, by the operations' ids.
func (c *Client) update(ctx context.Context, id device.ID, list []deviceworkflow.Operation) ([]deviceworkflow.OperationResult, error) {
	updateID := rand.Text()
	var results []deviceworkflow.OperationResult
	err := c.unlessNoModel(ctx, id, func(ctx context.Context) error {
		return whileNotReady(ctx, updatePatience, func() (err error) {
			results, err = c.updateOnce(ctx, id, updateID, list)
			return err
		})
	})
	return results, availability(err)
}

// whileNotReady repeats a request until the workflow can take it, at growing
// intervals. It returns the request's last error.
func whileNotReady(ctx context.Context, patience time.Duration, request func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := request()
		if err == nil || !notReady(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (c *Client) updateOnce(ctx context.Context, id device.ID, updateID string, list []deviceworkflow.Operation) ([]deviceworkflow.OperationResult, error) {
	handle, err := c.temporal.UpdateWorkflow(ctx, temporalclient.UpdateWorkflowOptions{
		UpdateID: updateID, WorkflowID: deviceworkflow.WorkflowID(id), UpdateName: deviceworkflow.UpdateOperate,
		Args: []any{deviceworkflow.Operations{List: list}}, WaitForStage: temporalclient.WorkflowUpdateStageCompleted,
	})
	var results deviceworkflow.OperationResults
	if err == nil {
		err = handle.Get(ctx, &results)
	}
	if err != nil {
		return nil, c.whyNotFound(ctx, deviceworkflow.WorkflowID(id), err)
	}
	return results.List, nil
}

// runEndedError is that of a request which met the end of a run, of a workflow
// that is running: the next run takes the request.
type runEndedError struct{ error }

func (e runEndedError) Unwrap() error { return e.error }

// whyNotFound explains the error of an update of a workflow. One that finds no run to take
// it gets "not found" in all of three cases: there is no workflow, it has ended (as that of a
// device that was deleted), or the run that was asked has ended and another continues
// it. Only the workflow's present status distinguishes them; while that cannot be
// read, nobody knows. It is a deletedError in the second case, and a runEndedError in the third.
func (c *Client) whyNotFound(ctx context.Context, workflowID string, err error) error {
	if !isNotFound(err) {
		return err
	}
	desc, failed := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	switch {
	case isNotFound(failed):
		return err
	case failed != nil:
		return fmt.Errorf("read the status of workflow %s: %w", workflowID, failed)
	}
	switch info := desc.GetWorkflowExecutionInfo(); info.GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		return runEndedError{err}
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return deletedError{err, info.GetExecution().GetRunId()}
	}
	return err
}

func isNotFound(err error) bool {
	var notFound *serviceerror.NotFound
	return errors.As(err, &notFound)
}

// updateEndedType is the type by which the server says that a run ended after it
// had accepted an update, and before it answered.
const updateEndedType = "AcceptedUpdateCompletedWorkflow"

// notReady reports whether a request met a run that was ending, or that could
// not take anything at that moment.
func notReady(err error) bool {
	var ended runEndedError
	var other otherWorkerError
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Type() == updateEndedType
	}
	var busy *serviceerror.WorkflowNotReady
	var aborted *serviceerror.Aborted
	return errors.As(err, &ended) || errors.As(err, &other) || errors.As(err, &busy) || errors.As(err, &aborted)
}
