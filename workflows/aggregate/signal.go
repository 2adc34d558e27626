package aggregate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Signal is a signal to a workflow, which is started with Input if there is none.
type Signal struct {
	Workflow string          `json:"workflow"`
	Type     string          `json:"type"`
	Name     string          `json:"name"`
	Arg      json.RawMessage `json:"arg"`
	Input    json.RawMessage `json:"input"`
}

// Temporal is what the activity needs of a Temporal client.
type Temporal interface {
	SignalWithStartWorkflow(ctx context.Context, workflowID, signalName string, signalArg any, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
}

// Activities are what aggregators, and those that report to them, do to the world.
type Activities struct {
	Temporal  Temporal
	TaskQueue string
}

// blobTooLarge is what the server says of a payload that it never takes.
const blobTooLarge = "Blob data size exceeds limit"

// Signal sends a signal. It may run twice: what it carries has numbers.
func (a *Activities) Signal(ctx context.Context, s Signal) error {
	_, err := a.Temporal.SignalWithStartWorkflow(ctx, s.Workflow, s.Name, s.Arg, client.StartWorkflowOptions{TaskQueue: a.TaskQueue}, s.Type, s.Input)
	var invalid *serviceerror.InvalidArgument
	if errors.As(err, &invalid) && strings.Contains(invalid.Message, blobTooLarge) {
		return temporal.NewNonRetryableApplicationError("signal "+s.Workflow+": the signal is too large for Temporal", "too_large", err)
	}
	if err != nil {
		return fmt.Errorf("signal workflow %s: %w", s.Workflow, err)
	}
	return nil
}

// IsFinal reports whether an error of an activity says that the server never takes the signal.
func IsFinal(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.NonRetryable()
}

// Send sends a signal in a local activity, which costs next to nothing, and is tried three
// times.
func Send(ctx workflow.Context, s Signal) error {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: 4 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, MaximumAttempts: 3},
	})
	return workflow.ExecuteLocalActivity(ctx, ActivitySignal, s).Get(ctx, nil)
}

// SendPatiently sends a signal in an activity that is tried for as long as it takes, or for
// a time if that is not 0. It blocks no worker meanwhile.
func SendPatiently(ctx workflow.Context, s Signal, within time.Duration) workflow.Future {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second, ScheduleToCloseTimeout: within,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 30 * time.Second},
	})
	return workflow.ExecuteActivity(ctx, ActivitySignal, s)
}
