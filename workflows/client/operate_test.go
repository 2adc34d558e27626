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
	"devicetwin/twin/command"
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
	result      deviceworkflow.OperationResult // of every operation
	deletion    deviceworkflow.Deletion        // result of the workflow
	started     []deviceworkflow.Input
}

func (f *fakeTemporal) ExecuteWorkflow(_ context.Context, o temporalclient.StartWorkflowOptions, _ any, args ...any) (temporalclient.WorkflowRun, error) {
	if o.WorkflowIDConflictPolicy != enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING {
		return nil, errors.New("a workflow that is there is an error")
	}
	f.started = append(f.started, args[0].(deviceworkflow.Input))
	return nil, nil
}

func (f *fakeTemporal) UpdateWorkflow(context.Context, temporalclient.UpdateWorkflowOptions) (temporalclient.WorkflowUpdateHandle, error) {
	err := f.updates[min(f.asked, len(f.updates)-1)]
	f.asked++
	if err != nil {
		return nil, err
	}
	return fakeHandle{result: f.result}, nil
}

func (f *fakeTemporal) GetWorkflow(context.Context, string, string) temporalclient.WorkflowRun {
	return fakeRun{deletion: f.deletion}
}

type fakeRun struct {
	temporalclient.WorkflowRun
	deletion deviceworkflow.Deletion
}

func (r fakeRun) Get(_ context.Context, into any) error {
	*into.(*deviceworkflow.Deletion) = r.deletion
	return nil
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
	result deviceworkflow.OperationResult
}

func (h fakeHandle) Get(_ context.Context, into any) error {
	into.(*deviceworkflow.OperationResults).List = []deviceworkflow.OperationResult{h.result}
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

// changes are all changes of a device, with one id.
func changes(c *Client, id string) map[string]func(context.Context) error {
	by := device.By{Who: "ann", ID: id}
	return map[string]func(context.Context) error{
		"desire": func(ctx context.Context) error {
			_, err := c.Desire(ctx, "p", by, deviceworkflow.Desire{Patch: []byte(`{}`)})
			return err
		},
		"command": func(ctx context.Context) error {
			_, err := c.Command(ctx, "p", by, deviceworkflow.Order{Name: "a"})
			return err
		},
		"cancel": func(ctx context.Context) error { _, err := c.CancelCommand(ctx, "p", by, "x"); return err },
		"event": func(ctx context.Context) error {
			_, err := c.SendEvent(ctx, "p", by, deviceworkflow.OperatorEvent{Name: "a"})
			return err
		},
		"set tags":    func(ctx context.Context) error { _, err := c.SetTags(ctx, "p", by, nil); return err },
		"tags":        func(ctx context.Context) error { return c.ReplaceTags(ctx, "p", by, nil) },
		"reprovision": func(ctx context.Context) error { _, err := c.Reprovision(ctx, "p", by, ""); return err },
		"delete":      func(ctx context.Context) error { return c.Delete(ctx, "p", by) },
	}
}

func refusedWith(err error) int {
	var refused *device.Refused
	if errors.As(err, &refused) {
		return refused.Code
	}
	return 0
}

// A run of an earlier release returns the result of another operation with the same
// id: a refusal for all pairs of operations, and never a nil pointer or a success.
func TestResultsOfAnotherOperation(t *testing.T) {
	for of, result := range map[string]deviceworkflow.OperationResult{
		"desire": {Desired: &deviceworkflow.Desired{}}, "command": {Command: &command.Command{}}, "event": {Taken: &deviceworkflow.EventTaken{}},
		"tags": {Tags: map[string]string{"a": "b"}}, "reprovision": {Reprovisioning: &deviceworkflow.Reprovisioning{}}, "delete": {},
	} {
		c := New(&fakeTemporal{updates: []error{nil}, result: result}, "default", "devices", "")
		for kind, change := range changes(c, "k") {
			tags := kind == "tags" || kind == "set tags"
			fits := kind == of || kind == "cancel" && of == "command" || tags && (of == "tags" || of == "delete")
			if err := change(t.Context()); fits != (err == nil) || !fits && refusedWith(err) != 422 {
				t.Errorf("%s got the result of %s: %v", kind, of, err)
			}
		}
		c.Close()
	}
}

// A worker of an earlier release deletes the device, and leaves its data: whoever asked
// has to know.
func TestDeletionWithDataNeedsAWorkerThatKnowsIt(t *testing.T) {
	for marked, want := range map[bool]int{true: 0, false: 409} {
		c := New(&fakeTemporal{updates: []error{nil}, result: deviceworkflow.OperationResult{Erase: marked}}, "default", "devices", "")
		err := c.Erase(t.Context(), "p", device.By{ID: "k"})
		if refusedWith(err) != want || want == 0 && err != nil {
			t.Errorf("the end is marked: %v; error %v, want code %d", marked, err, want)
		}
		c.Close()
	}
}

// The deletion that is requested again was successful; anything else with its id is
// refused, and with another one meets a device that is not there.
func TestADeletedDeviceRemembersItsDeletion(t *testing.T) {
	for _, id := range []string{"k", "another", ""} {
		f := &fakeTemporal{
			updates: []error{serviceerror.NewNotFound("workflow execution already completed")}, status: enums.WORKFLOW_EXECUTION_STATUS_COMPLETED,
			deletion: deviceworkflow.Deletion{ID: "k", Print: "C3AbcrCHXV55NHEm"},
		}
		c := New(f, "default", "devices", "")
		for kind, change := range changes(c, id) {
			err := change(t.Context())
			switch {
			case id == "k" && kind == "delete" && err == nil:
			case id == "k" && kind != "delete" && refusedWith(err) == 422:
			case id != "k" && errors.Is(err, device.ErrUnknown):
			default:
				t.Errorf("%s with id %q of a deleted device: %v", kind, id, err)
			}
		}
		c.Close()
	}
}
