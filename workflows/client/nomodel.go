package client

import (
	"context"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// A worker that does not have the model of a device fails the device's workflow task.
// What callers then see of Temporal (1.32, with SDK 1.50):
//   - A query of a device without a task fails with the worker's message.
//   - The first failure of a task is an event of the run's history, with the message. The
//     worker reports no further ones: each ends after 10 seconds, and until then queries
//     and updates wait. After the third one, they are refused at once as not ready.
//
// So a request that is not answered soon looks at the pending task and the history.

// noModelAsked is the time in which a query that met a worker without the model is
// repeated: while workers are replaced, another one may have it.
const noModelAsked = time.Second

// unlessNoModel makes a request to the workflow of a device, and ends it as soon as the
// device waits for its model: the error is then a *device.Refused with code 409.
func (c *Client) unlessNoModel(ctx context.Context, id device.ID, request func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- request(ctx) }()
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		select {
		case err := <-done:
			return c.orNoModel(ctx, id, err)
		case <-time.After(pause):
		}
		if refused := c.waitsForModel(ctx, id); refused != nil {
			cancel()
			if err := <-done; err == nil { // it was answered after all
				return nil
			}
			return refused
		}
	}
}

// orNoModel makes a refusal of an error that means that there is no model.
func (c *Client) orNoModel(ctx context.Context, id device.ID, err error) error {
	if err == nil {
		return nil
	}
	if hash, ok := missingModel(err); ok {
		return refuseNoModel(id, hash)
	}
	if notReady(err) {
		if refused := c.waitsForModel(ctx, id); refused != nil {
			return refused
		}
	}
	return err
}

// missingModel is the model that a worker does not have, if that is the error.
func missingModel(err error) (hash string, ok bool) {
	if err == nil {
		return "", false
	}
	return deviceworkflow.MissingModel(err.Error())
}

// otherWorkerError is that of a request which another worker may answer.
type otherWorkerError struct{ error }

func (e otherWorkerError) Unwrap() error { return e.error }

func refuseNoModel(id device.ID, hash string) *device.Refused {
	return device.Refuse(409, "device %s waits for its model: no worker that was asked has the one with hash %s; give the workers its file, "+
		"or its copy. A change that was requested meanwhile may then be made", id, hash)
}

// waitsForModel is the refusal for a device whose workflow task has failed for want of
// its model, and is being tried again.
func (c *Client) waitsForModel(ctx context.Context, id device.ID) *device.Refused {
	desc, err := c.temporal.DescribeWorkflowExecution(ctx, deviceworkflow.WorkflowID(id), "")
	if err != nil || desc.GetPendingWorkflowTask().GetAttempt() < 2 {
		return nil
	}
	page, err := c.temporal.WorkflowService().GetWorkflowExecutionHistoryReverse(ctx, &workflowservice.GetWorkflowExecutionHistoryReverseRequest{
		Namespace: c.namespace, Execution: desc.GetWorkflowExecutionInfo().GetExecution(), MaximumPageSize: 100,
	})
	if err != nil {
		return nil
	}
	for _, e := range page.GetHistory().GetEvents() { // the newest first
		switch e.GetEventType() {
		case enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
			return nil
		case enums.EVENT_TYPE_WORKFLOW_TASK_FAILED:
			failure := e.GetWorkflowTaskFailedEventAttributes().GetFailure()
			hash, ok := deviceworkflow.MissingModel(c.failures.FailureToError(failure).Error())
			if !ok {
				return nil
			}
			return refuseNoModel(id, hash)
		}
	}
	return nil
}
