package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	temporalclient "go.temporal.io/sdk/client"

	"devicetwin/device"
	"devicetwin/workflows/registry"
)

// fakeRegistry is a Temporal with the registry of models alone: no other workflow is asked.
type fakeRegistry struct {
	fakeTemporal
	t *testing.T
}

func (f *fakeRegistry) UpdateWorkflow(ctx context.Context, o temporalclient.UpdateWorkflowOptions) (temporalclient.WorkflowUpdateHandle, error) {
	if o.WorkflowID != registry.WorkflowID {
		f.t.Errorf("workflow %s is changed", o.WorkflowID)
	}
	if _, err := f.fakeTemporal.UpdateWorkflow(ctx, o); err != nil {
		return nil, err
	}
	return changedModels{}, nil
}

func (f *fakeRegistry) DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if id != registry.WorkflowID || run != "" {
		f.t.Errorf("the status of run %q of workflow %s is read", run, id)
	}
	return f.fakeTemporal.DescribeWorkflowExecution(ctx, id, run)
}

type changedModels struct {
	temporalclient.WorkflowUpdateHandle
}

func (changedModels) Get(context.Context, any) error { return nil }

// A change that finds no run of the registry is repeated if the registry is there. Otherwise there
// is none; and while its status cannot be read, nobody knows.
func TestAChangeOfModelsThatFindsNoRun(t *testing.T) {
	completed := serviceerror.NewNotFound("workflow execution already completed")
	for name, c := range map[string]struct {
		updates     []error
		status      enums.WorkflowExecutionStatus
		statusError error
		want        error
		asked       int
	}{
		"no registry":      {[]error{completed}, 0, nil, ErrNoRegistry, 1},
		"ended":            {[]error{completed}, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, nil, ErrNoRegistry, 1},
		"terminated":       {[]error{completed}, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, nil, ErrNoRegistry, 1},
		"continued as new": {[]error{completed, completed, nil}, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil, nil, 3},
		"nobody knows":     {[]error{completed}, 0, serviceerror.NewUnavailable("away"), device.ErrUnavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeRegistry{fakeTemporal{updates: c.updates, status: c.status, statusError: c.statusError}, t}
				client := New(f, "default", "devices", "")
				defer client.Close()
				_, err := client.ChangeModels(t.Context(), registry.Change{Key: "k", Rules: &registry.Rules{}})
				if !errors.Is(err, c.want) || c.want != ErrNoRegistry && errors.Is(err, ErrNoRegistry) {
					t.Errorf("error %v, want %v", err, c.want)
				}
				if f.asked != c.asked {
					t.Errorf("asked %d times, want %d", f.asked, c.asked)
				}
			})
		})
	}
}
