package workflows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"devicetwin/device"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// Client reaches the workflows of devices. Its methods may be called from any
// goroutine.
type Client struct {
	temporal  client.Client
	namespace string
	taskQueue string
	model     string
	desk      *desk
}

// NewClient makes a client that starts the workflow of a new device on the task
// queue with the model of the given hash.
func NewClient(c client.Client, namespace, taskQueue, model string) *Client {
	twins := &Client{temporal: c, namespace: namespace, taskQueue: taskQueue, model: model}
	twins.desk = &desk{send: twins.update}
	return twins
}

// Deliver hands a batch to the device's workflow. When it returns nil, the batch
// is durable. With Start, the workflow is started if there is none, with the model
// of the delivery or else the client's; one that is there goes on with its own.
// Without Start, and without a workflow, the error is device.ErrNoTwin. A batch
// that the server never takes is a *device.Refused with code 413. Any other error
// is one after which the same batch may be delivered again.
func (c *Client) Deliver(ctx context.Context, d device.Delivery) error {
	var err error
	if d.Start {
		model := d.Model
		if model == "" {
			model = c.model
		}
		_, err = c.temporal.SignalWithStartWorkflow(ctx, WorkflowID(d.ID), SignalEvents, d.Batch,
			client.StartWorkflowOptions{TaskQueue: c.taskQueue}, WorkflowType, Input{Device: d.ID, Model: model})
	} else {
		err = c.temporal.SignalWorkflow(ctx, WorkflowID(d.ID), "", SignalEvents, d.Batch)
	}
	return deliveryError(d.ID, err)
}

// blobTooLarge is what the server says of a payload that it never takes. It says
// InvalidArgument also of a run that is full of signals while its worker is away;
// only the message tells the two apart.
const blobTooLarge = "Blob data size exceeds limit"

func deliveryError(id device.ID, err error) error {
	var unknown *serviceerror.NotFound
	var invalid *serviceerror.InvalidArgument
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		err = fmt.Errorf("%w: %w", device.ErrNoTwin, err)
	case errors.As(err, &invalid) && strings.Contains(invalid.Message, blobTooLarge):
		err = fmt.Errorf("%w: %w", device.Refuse(413, "the batch is too large for Temporal"), err)
	}
	return fmt.Errorf("deliver a batch to device %s: %w", id, err)
}

// Snapshot asks the device's workflow for its state. An unknown device is a
// *serviceerror.NotFound.
func (c *Client) Snapshot(ctx context.Context, id device.ID) (View, error) {
	var view View
	value, err := c.temporal.QueryWorkflow(ctx, WorkflowID(id), "", QuerySnapshot)
	if err == nil {
		err = value.Get(&view)
	}
	if err != nil {
		return View{}, fmt.Errorf("query state of device %s: %w", id, err)
	}
	return view, nil
}

// Applied is what a device's workflow says that it applied, over all its runs.
type Applied struct {
	Entries []AppliedEntry // numbered messages, in the order of application
	Signals int            // signals that the workflow was sent
	// State is the present state's name, "" of a device without a workflow.
	State string
}

// AppliedEntry is one numbered message.
type AppliedEntry struct {
	Epoch int64
	Seq   uint64
	// Durable is when the server had stored the workflow task that applied it.
	Durable time.Time
	// Task is the ordinal of that workflow task among those that applied anything.
	Task int
}

// Applied asks every run of the device's workflow what it applied. A device
// without a workflow has applied nothing. Runs that the server has deleted
// (retention) are an error.
func (c *Client) Applied(ctx context.Context, id device.ID) (Applied, error) {
	desc, err := c.temporal.DescribeWorkflowExecution(ctx, WorkflowID(id), "")
	var unknown *serviceerror.NotFound
	if errors.As(err, &unknown) {
		return Applied{}, nil
	}
	if err != nil {
		return Applied{}, fmt.Errorf("describe workflow of device %s: %w", id, err)
	}
	var runs []runRecord
	for runID := desc.GetWorkflowExecutionInfo().GetExecution().GetRunId(); runID != ""; {
		run, err := c.readRun(ctx, id, runID)
		if err != nil {
			return Applied{}, err
		}
		runs = append(runs, run)
		runID = run.previous
	}
	var all Applied
	tasks := 0
	for _, run := range slices.Backward(runs) {
		all.Signals += run.signals
		for _, task := range run.log.Tasks {
			tasks++
			for _, span := range task.Spans {
				for seq := span.From; seq <= span.To; seq++ {
					all.Entries = append(all.Entries, AppliedEntry{
						Epoch: span.Epoch, Seq: seq, Durable: run.completedAfter(task.Started), Task: tasks,
					})
				}
			}
		}
	}
	view, err := c.Snapshot(ctx, id)
	if err != nil {
		return Applied{}, err
	}
	all.State = view.StateName
	return all, nil
}

// runRecord is one run: its own word of what it applied, and its history's word
// of when that became durable.
type runRecord struct {
	log       RunLog
	signals   int
	completed []taskTime // ascending
	previous  string     // id of the run that this one continues
}

type taskTime struct {
	event int64
	at    time.Time
}

func (r *runRecord) completedAfter(started int) time.Time {
	i, _ := slices.BinarySearchFunc(r.completed, int64(started), func(t taskTime, s int64) int { return int(t.event - s) })
	if i == len(r.completed) {
		return time.Time{}
	}
	return r.completed[i].at
}

func (c *Client) readRun(ctx context.Context, id device.ID, runID string) (runRecord, error) {
	var run runRecord
	// The query goes first: what it tells is then surely in the history read after it.
	value, err := c.temporal.QueryWorkflow(ctx, WorkflowID(id), runID, QueryApplied)
	if err == nil {
		err = value.Get(&run.log)
	}
	if err != nil {
		return run, fmt.Errorf("query run %s of device %s: %w", runID, id, err)
	}
	events := c.temporal.GetWorkflowHistory(ctx, WorkflowID(id), runID, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return run, fmt.Errorf("read history of run %s of device %s: %w", runID, id, err)
		}
		switch e.GetEventType() {
		case enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
			run.previous = e.GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId()
		case enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
			run.signals++
		case enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
			run.completed = append(run.completed, taskTime{e.GetEventId(), e.GetEventTime().AsTime()})
		}
	}
	return run, nil
}

// CountStates counts the running devices in each of the given states, by search
// attribute; the count trails the truth by some tens of milliseconds. A device
// in parallel states counts in each of them.
func (c *Client) CountStates(ctx context.Context, states []string) (map[string]int, error) {
	return c.countStates(ctx, "", states)
}

// CountModelStates counts as CountStates does, the devices of one model only.
func (c *Client) CountModelStates(ctx context.Context, model string, states []string) (map[string]int, error) {
	return c.countStates(ctx, " AND "+AttributeModel.GetName()+" = '"+strings.ReplaceAll(model, "'", "''")+"'", states)
}

func (c *Client) countStates(ctx context.Context, and string, states []string) (map[string]int, error) {
	counts := make(map[string]int, len(states))
	for _, state := range states {
		query := fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Running' AND %s = '%s'%s",
			WorkflowType, AttributeState.GetName(), strings.ReplaceAll(state, "'", "''"), and)
		answer, err := c.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: c.namespace, Query: query,
		})
		if err != nil {
			return nil, fmt.Errorf("count devices in state %s: %w", state, err)
		}
		counts[state] = int(answer.GetCount())
	}
	return counts, nil
}
