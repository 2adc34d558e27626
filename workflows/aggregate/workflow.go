package aggregate

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const (
	// DefaultRunSignals is how many signals a run takes before it is continued as new.
	DefaultRunSignals = 2_000

	softHistory = 8_000 // history events, likewise
)

// Workflow is the aggregator's code with its settings.
type Workflow struct {
	// RunSignals is how many signals a run takes before it is continued as new; 0 means
	// DefaultRunSignals. A run keeps the bound that it began with.
	RunSignals int
}

// Register registers the workflow and its activity with a worker.
func Register(r worker.Registry, w *Workflow, a *Activities) {
	r.RegisterWorkflowWithOptions(w.Aggregator, workflow.RegisterOptions{Name: WorkflowType})
	r.RegisterActivityWithOptions(a.Signal, activity.RegisterOptions{Name: ActivitySignal})
}

// run is a run in progress.
type run struct {
	in         Input
	state      *State
	inbox      workflow.ReceiveChannel
	taken      int
	runSignals int
}

// Aggregator is the workflow; its argument is an Input. It ends only by continue-as-new, or
// when it is cancelled or terminated.
func (w *Workflow) Aggregator(ctx workflow.Context, raw json.RawMessage) error {
	a, err := w.begin(ctx, raw)
	if err != nil {
		return err
	}
	for {
		a.takeSignals()
		switch now := workflow.Now(ctx); {
		case len(a.state.Waiting) > 0 && !now.Before(a.state.Delivered.Add(Linger)):
			if err := a.deliver(ctx); err != nil {
				return err
			}
		case a.isLong(ctx) && a.inbox.Len() == 0:
			a.state.Runs++
			return workflow.NewContinueAsNewError(ctx, WorkflowType, Input{Index: a.in.Index, To: a.in.To, State: a.state})
		default:
			if err := a.wait(ctx); err != nil {
				return err
			}
		}
	}
}

func (w *Workflow) begin(ctx workflow.Context, raw json.RawMessage) (*run, error) {
	in, err := decodeInput(raw)
	if err != nil {
		panic(err.Error()) // the workflow task fails, and waits for another worker
	}
	a := &run{in: in, state: in.State, inbox: workflow.GetSignalChannel(ctx, SignalReports)}
	if a.state == nil {
		a.state = &State{Version: stateVersion, Log: logName(ctx, in.Index)}
	}
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any { return w.RunSignals })
	if err := recorded.Get(&a.runSignals); err != nil {
		return nil, fmt.Errorf("read settings of the run: %w", err)
	}
	if a.runSignals <= 0 {
		a.runSignals = DefaultRunSignals
	}
	err = workflow.SetQueryHandler(ctx, QuerySnapshot, func() (State, error) { return *a.state, nil })
	if err != nil {
		return nil, fmt.Errorf("set query handler %s of an aggregator: %w", QuerySnapshot, err)
	}
	return a, nil
}

// logName is the same over continue-as-new, and another one for an aggregator that was
// ended and started again: its positions begin at 1.
func logName(ctx workflow.Context, index int) string {
	id := strings.ReplaceAll(workflow.GetInfo(ctx).FirstRunID, "-", "")
	return fmt.Sprintf("aggregator-%d-%s", index, id[max(0, len(id)-12):])
}

// takeSignals takes in what waits in the inbox, as far as there is room.
func (a *run) takeSignals() {
	for a.state.hasRoom() && a.takeSignal() {
	}
}

// takeSignal takes in the first signal of the inbox. False: there is none.
func (a *run) takeSignal() bool {
	var reports Reports
	if !a.inbox.ReceiveAsync(&reports) {
		return false
	}
	a.taken++
	a.state.Take(reports)
	return true
}

// deliver delivers a batch. While that takes its time, signals wait in the inbox.
func (a *run) deliver(ctx workflow.Context) error {
	batch := a.state.Next()
	arg, err := json.Marshal(batch)
	if err != nil {
		return fmt.Errorf("write a batch: %w", err)
	}
	to := a.in.To
	s := Signal{Workflow: to.Workflow, Type: to.Type, Name: to.Signal, Arg: arg, Input: to.Input}
	if err := Send(ctx, s); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := SendPatiently(ctx, s, 0).Get(ctx, nil); err != nil {
			if ctx.Err() != nil || !IsFinal(err) {
				return ctx.Err() // it is tried again
			}
			// It would be in the way of all others.
			workflow.GetLogger(ctx).Error("a batch is dropped", "receiver", to.Workflow, "values", len(batch.Values), "error", err)
		}
	}
	a.state.Accepted(len(batch.Values), workflow.Now(ctx))
	return nil
}

func (a *run) isLong(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() >= softHistory || a.taken >= a.runSignals
}

// wait blocks until there is a signal, or the next batch may be delivered.
func (a *run) wait(ctx workflow.Context) error {
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	if a.state.hasRoom() {
		selector.AddReceive(a.inbox, func(workflow.ReceiveChannel, bool) { a.takeSignal() })
	}
	timer, cancel := workflow.WithCancel(ctx)
	defer cancel()
	if len(a.state.Waiting) > 0 {
		wait := max(a.state.Delivered.Add(Linger).Sub(workflow.Now(ctx)), time.Millisecond)
		selector.AddFuture(workflow.NewTimer(timer, wait), func(workflow.Future) {})
	}
	selector.Select(ctx)
	return ctx.Err()
}
