package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/api/enums/v1"
	temporalclient "go.temporal.io/sdk/client"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// Describe returns the device as its workflow sees it. Its error wraps
// device.ErrUnknown, also for a device that was deleted, or device.ErrUnavailable.
func (c *Client) Describe(ctx context.Context, id device.ID) (deviceworkflow.View, error) {
	var view deviceworkflow.View
	err := c.query(ctx, deviceworkflow.QuerySnapshot, runOf{device: id, open: true}, &view)
	return view, err
}

// Snapshot is Describe, also for a device that was deleted, for as long as Temporal
// remembers its workflow.
func (c *Client) Snapshot(ctx context.Context, id device.ID) (deviceworkflow.View, error) {
	var view deviceworkflow.View
	err := c.query(ctx, deviceworkflow.QuerySnapshot, runOf{device: id}, &view)
	return view, err
}

// runOf is one run of a device's workflow.
type runOf struct {
	device device.ID
	id     string // "" is the newest
	open   bool   // only if it has not ended
}

// query asks a run, again and again while it can't answer at that moment: its
// workflow task failed and is tried again.
func (c *Client) query(ctx context.Context, name string, run runOf, into any, args ...any) error {
	request := &temporalclient.QueryWorkflowWithOptionsRequest{
		WorkflowID: deviceworkflow.WorkflowID(run.device), RunID: run.id, QueryType: name, Args: args,
	}
	if run.open {
		request.QueryRejectCondition = enums.QUERY_REJECT_CONDITION_NOT_OPEN
	}
	var answer *temporalclient.QueryWorkflowWithOptionsResponse
	asked := time.Now()
	err := c.unlessNoModel(ctx, run.device, func(ctx context.Context) error {
		return whileNotReady(ctx, queryPatience, func() (err error) {
			answer, err = c.temporal.QueryWorkflowWithOptions(ctx, request)
			if _, missing := missingModel(err); missing && time.Since(asked) < noModelAsked {
				return otherWorkerError{err}
			}
			return err
		})
	})
	switch {
	case err != nil:
		err = availability(err)
	case answer.QueryRejected != nil:
		err = device.ErrUnknown
	default:
		err = answer.QueryResult.Get(into)
	}
	if err != nil {
		return fmt.Errorf("query %s of device %s: %w", name, run.device, err)
	}
	return nil
}

// Applied is what a device's workflow says that it applied, over all its runs.
type Applied struct {
	// Entries are in the order of application; in one workflow task, those without
	// a number come after the others.
	Entries []AppliedEntry
	Signals int // signals that the workflow was sent
	// State is the present state's name, "" of a device without a workflow.
	State string
}

// AppliedEntry is one message.
type AppliedEntry struct {
	Epoch int64
	Seq   uint64 // 0: it has no number
	// Digest is the first 64 bits of that of a message without a number.
	Digest uint64
	// Durable is when the server had stored the workflow task that applied it.
	Durable time.Time
	// Task is the ordinal of that workflow task among those that applied anything.
	Task int
}

// Applied asks every run of the device's workflow what it applied. A device
// without a workflow has applied nothing. Runs that the server has deleted
// (retention) are an error.
func (c *Client) Applied(ctx context.Context, id device.ID) (Applied, error) {
	desc, err := c.temporal.DescribeWorkflowExecution(ctx, deviceworkflow.WorkflowID(id), "")
	if isNotFound(err) {
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
			at := run.completedAfter(task.Started)
			for _, span := range task.Spans {
				for seq := span.From; seq <= span.To; seq++ {
					all.Entries = append(all.Entries, AppliedEntry{Epoch: span.Epoch, Seq: seq, Durable: at, Task: tasks})
				}
			}
			for _, digest := range task.Digests {
				all.Entries = append(all.Entries, AppliedEntry{Digest: digest, Durable: at, Task: tasks})
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
	log       deviceworkflow.RunLog
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
	// The query goes first: its result is then surely in the history read after it.
	if err := c.query(ctx, deviceworkflow.QueryApplied, runOf{device: id, id: runID}, &run.log); err != nil {
		return run, fmt.Errorf("ask run %s: %w", runID, err)
	}
	events := c.temporal.GetWorkflowHistory(ctx, deviceworkflow.WorkflowID(id), runID, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
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
