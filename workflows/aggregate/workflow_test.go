package aggregate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// server is Temporal as far as the activity knows it.
type server struct {
	env     *testsuite.TestWorkflowEnvironment
	fail    func(attempt int) error
	attempt int
	batches []Batch
	at      []time.Duration // since the start
	starts  []string
	began   time.Time
}

func (s *server) SignalWithStartWorkflow(_ context.Context, id, name string, arg any, o client.StartWorkflowOptions, kind any, args ...any) (client.WorkflowRun, error) {
	s.attempt++
	if s.fail != nil {
		if err := s.fail(s.attempt); err != nil {
			return nil, err
		}
	}
	var b Batch
	if err := json.Unmarshal(arg.(json.RawMessage), &b); err != nil {
		return nil, err
	}
	s.batches = append(s.batches, b)
	s.at = append(s.at, s.env.Now().Sub(s.began).Round(100*time.Millisecond))
	s.starts = append(s.starts, fmt.Sprintf("%s %s %v %s on %s", id, name, kind, args[0], o.TaskQueue))
	return nil, nil
}

func newEnv(t *testing.T, runSignals int) (*testsuite.TestWorkflowEnvironment, *server) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(20 * time.Second)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 20 * time.Second})
	s := &server{env: env, began: env.Now()}
	Register(env, &Workflow{RunSignals: runSignals}, &Activities{Temporal: s, TaskQueue: "queue"})
	return env, s
}

var site = Receiver{Workflow: "site/north", Type: "Device", Signal: "events", Input: json.RawMessage(`{"device":"site/north"}`)}

// report signals a report after a time.
func report(env *testsuite.TestWorkflowEnvironment, after time.Duration, from string, n uint64) {
	env.RegisterDelayedCallback(func() {
		env.SignalWorkflow(SignalReports, Reports{From: from, Epoch: 1, List: []Report{{n, json.RawMessage(fmt.Sprintf(`"%s%d"`, from, n))}}})
	}, after)
}

func values(batches []Batch) []string {
	var all []string
	for _, b := range batches {
		var one []string
		for _, v := range b.Values {
			one = append(one, strings.Trim(string(v), `"`))
		}
		all = append(all, fmt.Sprintf("%d: %s", b.First, strings.Join(one, " ")))
	}
	return all
}

func TestTheFirstAtOnceAndThenOnceASecond(t *testing.T) {
	env, s := newEnv(t, 0)
	report(env, 0, "a", 1)
	for i := range 5 {
		report(env, time.Duration(100+i)*time.Millisecond, "b", uint64(i+1))
		report(env, time.Duration(150+i)*time.Millisecond, "b", uint64(i+1)) // again
	}
	report(env, 3*time.Second, "a", 2)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
	env.ExecuteWorkflow(WorkflowType, Input{Index: 3, To: site})
	if want := []string{"1: a1", "2: b1 b2 b3 b4 b5", "7: a2"}; !slices.Equal(values(s.batches), want) {
		t.Errorf("batches %q, want %q", values(s.batches), want)
	}
	if want := []time.Duration{0, time.Second, 3 * time.Second}; !slices.Equal(s.at, want) {
		t.Errorf("at %v, want %v", s.at, want)
	}
	for i, b := range s.batches {
		if !strings.HasPrefix(b.Log, "aggregator-3-") || len(b.Log) > 32 || b.Log != s.batches[0].Log || s.starts[i] != `site/north events Device {"device":"site/north"} on queue` {
			t.Errorf("log %q, %s", b.Log, s.starts[i])
		}
	}
}

func TestAReceiverThatCannotBeReached(t *testing.T) {
	env, s := newEnv(t, 0)
	s.fail = func(attempt int) error {
		if attempt <= 8 {
			return errors.New("unavailable")
		}
		return nil
	}
	report(env, 0, "a", 1)
	report(env, time.Second, "a", 2)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(WorkflowType, Input{To: site})
	if want := []string{"1: a1", "2: a2"}; !slices.Equal(values(s.batches), want) {
		t.Errorf("batches %q, want %q", values(s.batches), want)
	}
}

// What the server never takes is not in the way of what comes after it.
func TestATooLargeBatchIsDropped(t *testing.T) {
	env, s := newEnv(t, 0)
	s.fail = func(attempt int) error {
		if attempt <= 2 { // of the local activity, and of the other
			return serviceerror.NewInvalidArgument("Blob data size exceeds limit.")
		}
		return nil
	}
	report(env, 0, "a", 1)
	report(env, 10*time.Second, "a", 2)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(WorkflowType, Input{To: site})
	if want := []string{"2: a2"}; !slices.Equal(values(s.batches), want) {
		t.Errorf("batches %q, want %q", values(s.batches), want)
	}
}

// A run that ends hands everything on: numbers, what waits, and its log.
func TestContinueAsNew(t *testing.T) {
	env, s := newEnv(t, 3)
	report(env, 0, "a", 1)
	report(env, 100*time.Millisecond, "b", 1)
	report(env, 200*time.Millisecond, "a", 2)
	env.ExecuteWorkflow(WorkflowType, Input{Index: 1, To: site})
	var next *workflow.ContinueAsNewError
	if err := env.GetWorkflowError(); !errors.As(err, &next) {
		t.Fatalf("the run ended with %v", err)
	}
	var in Input
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); err != nil {
		t.Fatal(err)
	}
	if in.State == nil || len(in.State.Waiting) != 2 || in.State.Last != 3 || in.State.Runs != 1 || in.To.Workflow != site.Workflow || in.Index != 1 {
		t.Fatalf("%+v", in.State)
	}
	again, s2 := newEnv(t, 0)
	report(again, 0, "a", 2) // once more
	report(again, 2*time.Second, "a", 3)
	again.RegisterDelayedCallback(again.CancelWorkflow, time.Minute)
	again.ExecuteWorkflow(WorkflowType, in)
	if got, want := values(append(s.batches, s2.batches...)), []string{"1: a1", "2: b1 a2", "4: a3"}; !slices.Equal(got, want) {
		t.Errorf("batches %q, want %q", got, want)
	}
	if s2.batches[0].Log != s.batches[0].Log {
		t.Error("the log has another name")
	}
}

func TestTheActivityKeepsItsErrors(t *testing.T) {
	s := &server{fail: func(int) error { return serviceerror.NewInvalidArgument("Blob data size exceeds limit.") }}
	a := &Activities{Temporal: s}
	var app *temporal.ApplicationError
	if err := a.Signal(context.Background(), Signal{}); !errors.As(err, &app) || !app.NonRetryable() {
		t.Error(err)
	}
	s.fail = func(int) error {
		return serviceerror.NewInvalidArgument("exceeded workflow execution limit for signal events")
	}
	if err := a.Signal(context.Background(), Signal{}); err == nil || errors.As(err, &app) {
		t.Error(err)
	}
}
