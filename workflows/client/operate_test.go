package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	temporalclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// fakeTemporal answers updates with an error each, and says which status the
// workflow has. What it does not have panics.
type fakeTemporal struct {
	temporalclient.Client
	updates []error // of one update after the other; the last one repeats
	status  enums.WorkflowExecutionStatus
	// statusError is that of asking for the status.
	statusError error
	asked       int
}

func (f *fakeTemporal) UpdateWorkflow(context.Context, temporalclient.UpdateWorkflowOptions) (temporalclient.WorkflowUpdateHandle, error) {
	err := f.updates[min(f.asked, len(f.updates)-1)]
	f.asked++
	if err != nil {
		return nil, err
	}
	return fakeHandle{}, nil
}

func (f *fakeTemporal) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	switch {
	case f.statusError != nil:
		return nil, f.statusError
	case f.status == 0:
		return nil, serviceerror.NewNotFound("workflow not found")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{Status: f.status},
	}, nil
}

type fakeHandle struct {
	temporalclient.WorkflowUpdateHandle
}

func (fakeHandle) Get(_ context.Context, into any) error {
	into.(*deviceworkflow.OperationResults).List = []deviceworkflow.OperationResult{{}}
	return nil
}

// A request that finds no run to take it is repeated only as long as the
// device's workflow runs. That of a deleted device is over at once: Temporal
// remembers an ended workflow for as long as the namespace keeps it.
func TestARequestThatFindsNoRun(t *testing.T) {
	completed := serviceerror.NewNotFound("workflow execution already completed")
	missing := serviceerror.NewNotFound("workflow not found for ID: device/p")
	ended := temporal.NewApplicationError("the workflow completed first", "AcceptedUpdateCompletedWorkflow")
	for name, c := range map[string]struct {
		updates []error
		status  enums.WorkflowExecutionStatus
		want    error
		asked   int
		within  time.Duration
	}{
		"no workflow":              {[]error{missing}, 0, device.ErrUnknown, 1, 0},
		"deleted":                  {[]error{completed}, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, device.ErrUnknown, 1, 0},
		"deleted, in another word": {[]error{missing}, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, device.ErrUnknown, 1, 0},
		"terminated":               {[]error{completed}, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, device.ErrUnknown, 1, 0},
		"continued as new":         {[]error{completed, missing, nil}, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil, 3, time.Second},
		"accepted, then continued": {[]error{ended, nil}, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil, 2, time.Second},
		"accepted, then deleted":   {[]error{ended, completed}, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, device.ErrUnknown, 2, time.Second},
		"ends again and again":     {[]error{completed}, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, device.ErrUnavailable, 0, updatePatience + time.Second},
		"no task at the moment":    {[]error{serviceerror.NewWorkflowNotReady("failed task"), nil}, 0, nil, 2, time.Second},
		"the server is not there":  {[]error{serviceerror.NewUnavailable("away")}, 0, device.ErrUnavailable, 1, 0},
		"another error":            {[]error{serviceerror.NewPermissionDenied("no", "")}, 0, nil, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeTemporal{updates: c.updates, status: c.status}
				began := time.Now()
				err := New(f, "default", "devices", "").Delete(t.Context(), "p", device.By{})
				denied := false
				if c.want == nil && c.updates[len(c.updates)-1] != nil {
					var p *serviceerror.PermissionDenied
					denied = errors.As(err, &p)
				}
				if !errors.Is(err, c.want) && !denied {
					t.Errorf("error %v, want %v", err, c.want)
				}
				if took := time.Since(began); took > c.within || c.asked > 0 && f.asked != c.asked {
					t.Errorf("asked %d times in %v, want %d within %v", f.asked, took, c.asked, c.within)
				}
				synctest.Wait()
			})
		})
	}
}

// As long as the status cannot be read, nobody knows that the device is gone.
func TestARequestThatFindsNoRunAndNoStatus(t *testing.T) {
	f := &fakeTemporal{
		updates:     []error{serviceerror.NewNotFound("workflow execution already completed")},
		statusError: serviceerror.NewUnavailable("away"),
	}
	c := New(f, "default", "devices", "")
	defer c.Close()
	if err := c.Delete(t.Context(), "p", device.By{}); !errors.Is(err, device.ErrUnavailable) || errors.Is(err, device.ErrUnknown) {
		t.Errorf("error %v, want %v", err, device.ErrUnavailable)
	}
}
