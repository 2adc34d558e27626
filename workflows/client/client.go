// Package client reaches the workflows of devices from other processes: it delivers
// messages, asks for states, has operations carried out, and lists devices. Its
// errors are those of package devicetwin/device.
package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	temporalclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// Client reaches the workflows of devices. Its methods may be called from any
// goroutine.
type Client struct {
	temporal  temporalclient.Client
	namespace string
	taskQueue string
	model     string
	batcher   *batcher
	rooms     *rooms
	database  databaseName
	failures  converter.FailureConverter
	payloads  converter.DataConverter
}

// New makes a client that starts the workflow of a new device on the task
// queue with the model of the given hash.
func New(c temporalclient.Client, namespace, taskQueue, model string) *Client {
	twins := &Client{temporal: c, namespace: namespace, taskQueue: taskQueue, model: model,
		failures: temporal.GetDefaultFailureConverter(), payloads: converter.GetDefaultDataConverter()}
	twins.batcher = newBatcher(twins.update)
	twins.rooms = newRooms(twins.room)
	return twins
}

// ReadFailures lets the client read failures in histories that another converter than the
// default one has written, because they are encrypted. It returns the client.
func (c *Client) ReadFailures(with converter.FailureConverter) *Client {
	c.failures = with
	return c
}

// Close ends the requests that are under way, and waits for them. The connection to
// Temporal stays open: it is the caller's.
func (c *Client) Close() { c.batcher.close() }

// Deliver hands a batch to the device's workflow. When it returns no error, the batch
// is durable. With Start, it returns the id of the run that took the batch, which
// changes when the workflow is deleted and started again, and when it is continued as
// new. With Start, the workflow is started if there is none, with the model
// of the delivery or else the client's; one that is there goes on with its own.
// Without Start, and without a workflow, the error is device.ErrNoTwin. A batch
// that the server never takes is a *device.Refused with code 413. With OneByOne, the error
// is device.ErrNoRoom if too many events wait to be processed, or nobody says how many. Any
// other error is one after which the same batch may be delivered again.
func (c *Client) Deliver(ctx context.Context, d device.Delivery) (run string, err error) {
	if d.OneByOne {
		if err := c.rooms.take(ctx, d.ID, len(d.Batch.Messages)); err != nil {
			return "", fmt.Errorf("deliver a batch to device %s: %w", d.ID, err)
		}
	}
	if d.Start {
		model := d.Model
		if model == "" {
			model = c.model
		}
		var taken temporalclient.WorkflowRun
		taken, err = c.temporal.SignalWithStartWorkflow(ctx, deviceworkflow.WorkflowID(d.ID), deviceworkflow.SignalEvents, d.Batch,
			temporalclient.StartWorkflowOptions{TaskQueue: c.taskQueue}, deviceworkflow.WorkflowType, deviceworkflow.Input{Device: d.ID, Model: model, Provisional: d.Provisional})
		if err == nil {
			run = taken.GetRunID()
		}
	} else {
		err = c.temporal.SignalWorkflow(ctx, deviceworkflow.WorkflowID(d.ID), "", deviceworkflow.SignalEvents, d.Batch)
	}
	return run, deliveryError(d, err)
}

// start starts the workflow of an entity that is not a device, unless there is one, with the model
// that the worker has for new entities of its kind. If its first event is refused, it ends with
// that, and has done nothing.
func (c *Client) start(ctx context.Context, id device.ID, first deviceworkflow.Operation) error {
	_, err := c.temporal.ExecuteWorkflow(ctx, temporalclient.StartWorkflowOptions{
		ID: deviceworkflow.WorkflowID(id), TaskQueue: c.taskQueue, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, deviceworkflow.WorkflowType, deviceworkflow.Input{Device: id, First: &first})
	if err != nil {
		return fmt.Errorf("start %s: %w", id.Entity(), availability(err))
	}
	return nil
}

// blobTooLarge is what the server says of a payload that it never takes. It says
// InvalidArgument also of a run that is full of signals while its worker is down;
// only the message distinguishes the two.
const blobTooLarge = "Blob data size exceeds limit"

func deliveryError(d device.Delivery, err error) error {
	var invalid *serviceerror.InvalidArgument
	switch {
	case err == nil:
		return nil
	case !d.Start && isNotFound(err): // with Start, it met the end of a run
		err = fmt.Errorf("%w: %w", device.ErrNoTwin, err)
	case errors.As(err, &invalid) && strings.Contains(invalid.Message, blobTooLarge):
		err = fmt.Errorf("%w: %w", device.Refuse(413, "the batch is too large for Temporal"), err)
	}
	return fmt.Errorf("deliver a batch to device %s: %w", d.ID, err)
}

// availability distinguishes an unknown device and an unavailable server from other
// errors. No error stays none.
func availability(err error) error {
	if isNotFound(err) && !notReady(err) {
		return fmt.Errorf("%w: %w", device.ErrUnknown, err)
	}
	var (
		unavailable *serviceerror.Unavailable
		deadline    *serviceerror.DeadlineExceeded
		exhausted   *serviceerror.ResourceExhausted
		cancelled   *serviceerror.Canceled
		query       *serviceerror.QueryFailed
		update      *temporalclient.WorkflowUpdateServiceTimeoutOrCanceledError
	)
	switch {
	case errors.As(err, &unavailable), errors.As(err, &deadline), errors.As(err, &exhausted), errors.As(err, &cancelled), errors.As(err, &query),
		errors.As(err, &update), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), notReady(err):
		return fmt.Errorf("%w: %w", device.ErrUnavailable, err)
	}
	return err
}
