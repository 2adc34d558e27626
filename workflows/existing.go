package workflows

import (
	"context"
	"errors"
	"fmt"

	"devicetwin/device"

	"go.temporal.io/api/serviceerror"
)

// notFoundError is that of a device without a workflow.
type notFoundError struct{ error }

func (notFoundError) NotFound() bool  { return true }
func (e notFoundError) Unwrap() error { return e.error }

// SignalExisting gives a batch to the device's workflow, if there is one. If not,
// the error's method NotFound says true.
func (c *Client) SignalExisting(ctx context.Context, device string, batch device.Batch) error {
	err := c.temporal.SignalWorkflow(ctx, WorkflowID(device), "", SignalEvents, batch)
	if err == nil {
		return nil
	}
	var unknown *serviceerror.NotFound
	if errors.As(err, &unknown) {
		return notFoundError{fmt.Errorf("signal workflow of device %s: %w", device, err)}
	}
	return signalError(device, err)
}
