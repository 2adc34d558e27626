package workflows

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
)

// UpdateOperate is the name of the update that carries operations.
const UpdateOperate = "operate"

// operate gives an operation to the device's workflow.
func (c *Client) operate(ctx context.Context, id device.ID, by device.By, op operation) (operationResult, error) {
	op.ID, op.Who = by.ID, by.Who
	if op.ID == "" {
		op.ID = rand.Text()
	}
	if refused := op.check(); refused != nil {
		return operationResult{}, refused
	}
	raw, err := json.Marshal(op)
	if err != nil {
		return operationResult{}, device.Refuse(400, "%v", err)
	}
	if len(raw) > maxOperation {
		return operationResult{}, device.Refuse(413, "the request has %d bytes, the limit is %d", len(raw), maxOperation)
	}
	return c.desk.do(ctx, id, op, len(raw))
}

const (
	maxOperation = 64 << 10 // bytes of one operation
	maxWho       = 128
	maxRequestID = 128
)

// check refuses what no device's workflow would take, before it is sent.
func (o operation) check() *device.Refused {
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
// met the end of one. What was carried out all the same is not carried out
// twice, by the operations' ids.
func (c *Client) update(ctx context.Context, id device.ID, list []operation) ([]operationResult, error) {
	updateID := rand.Text()
	var results []operationResult
	err := whileNotReady(ctx, updatePatience, func() (err error) {
		results, err = c.updateOnce(ctx, id, updateID, list)
		return err
	})
	return results, updateError(err)
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

func (c *Client) updateOnce(ctx context.Context, id device.ID, updateID string, list []operation) ([]operationResult, error) {
	handle, err := c.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		UpdateID: updateID, WorkflowID: WorkflowID(id), UpdateName: UpdateOperate,
		Args: []any{operations{List: list}}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	var results operationResults
	if err == nil {
		err = handle.Get(ctx, &results)
	}
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) && c.runs(ctx, id) {
		return nil, runEndedError{err}
	}
	if err != nil {
		return nil, err
	}
	return results.List, nil
}

// runEndedError is that of a request which met the end of a run, of a workflow
// that is running: the next run takes the request.
type runEndedError struct{ error }

func (e runEndedError) Unwrap() error { return e.error }

// runs reports whether the device's workflow is running. An update that finds no
// run to take it is told "not found" in all of three cases: there is no workflow,
// it has ended (the device was deleted), or the run that was asked has ended and
// another continues it. Only the workflow's present status tells them apart.
func (c *Client) runs(ctx context.Context, id device.ID) bool {
	desc, err := c.temporal.DescribeWorkflowExecution(ctx, WorkflowID(id), "")
	if err != nil {
		return false
	}
	switch desc.GetWorkflowExecutionInfo().GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		return true
	}
	return false
}

// updateEndedType is the type by which the server says that a run ended after it
// had accepted an update, and before it answered.
const updateEndedType = "AcceptedUpdateCompletedWorkflow"

// notReady reports whether a request met a run that was ending, or that could
// not take anything at that moment.
func notReady(err error) bool {
	var ended runEndedError
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Type() == updateEndedType
	}
	var busy *serviceerror.WorkflowNotReady
	var aborted *serviceerror.Aborted
	return errors.As(err, &ended) || errors.As(err, &busy) || errors.As(err, &aborted)
}

// updateError gives a failure the name by which callers know it.
func updateError(err error) error {
	if err == nil {
		return nil
	}
	return availability(err)
}

// availability tells an unknown device and a server that is away from other
// errors.
func availability(err error) error {
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) && !notReady(err) {
		return fmt.Errorf("%w: %w", device.ErrUnknown, err)
	}
	var (
		unavailable *serviceerror.Unavailable
		deadline    *serviceerror.DeadlineExceeded
		exhausted   *serviceerror.ResourceExhausted
		cancelled   *serviceerror.Canceled
		query       *serviceerror.QueryFailed
		update      *client.WorkflowUpdateServiceTimeoutOrCanceledError
	)
	switch {
	case errors.As(err, &unavailable), errors.As(err, &deadline), errors.As(err, &exhausted), errors.As(err, &cancelled), errors.As(err, &query),
		errors.As(err, &update), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), notReady(err):
		return fmt.Errorf("%w: %w", device.ErrUnavailable, err)
	}
	return err
}
