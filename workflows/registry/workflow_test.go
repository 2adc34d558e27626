package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// world is what the activities see. They run on goroutines of their own.
type world struct {
	mu      sync.Mutex
	running map[string]int // by hash
	moving  string         // hash of a version to which devices are moved
	fail    error
	ended   []string
}

func (w *world) move(hash string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moving = hash
}

// set makes a version run on a number of devices, and activities fail with an error.
func (w *world) set(hash string, running int, fail error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[hash], w.fail = running, fail
}

func (w *world) hasEnded() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.ended)
}

func (w *world) activities() *Activities {
	return &Activities{
		Running: func(_ context.Context, hash string) (int, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.running[hash], w.fail
		},
		Moving: func(_ context.Context, hash string) (bool, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return hash == w.moving, nil
		},
		End: func(_ context.Context, id, _ string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ended = append(w.ended, id)
			return w.fail
		},
	}
}

func newEnv(t *testing.T) (*testsuite.TestWorkflowEnvironment, *world) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(20 * time.Second)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 20 * time.Second})
	env.SetStartTime(began)
	env.SetDetachedChildWait(false) // contents never end
	w := &world{running: map[string]int{}}
	Register(env, w.activities())
	return env, w
}

// answer is what an update was answered.
type answer struct {
	rejected, err error
	result        Result
}

// send sends a change after a time.
func send(env *testsuite.TestWorkflowEnvironment, after time.Duration, c Change) *answer {
	a := &answer{}
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(UpdateChange, c.Key, &testsuite.TestUpdateCallback{
			OnAccept: func() {},
			OnReject: func(err error) { a.rejected = err },
			OnComplete: func(result any, err error) {
				a.err = err
				a.result, _ = result.(Result)
			},
		}, c)
	}, after)
	return a
}

// run runs the workflow until it is cancelled after a time, or ends.
func runEnv(env *testsuite.TestWorkflowEnvironment, in Input, until time.Duration) {
	env.RegisterDelayedCallback(env.CancelWorkflow, until)
	env.ExecuteWorkflow(WorkflowType, in)
}

func index(t *testing.T, env *testsuite.TestWorkflowEnvironment, have uint64) Answer {
	t.Helper()
	value, err := env.QueryWorkflow(QueryIndex, have)
	if err != nil {
		t.Fatal(err)
	}
	var a Answer
	if err := value.Get(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAVersionIsPushedAndRemoved(t *testing.T) {
	env, world := newEnv(t)
	var kept []Text
	env.SetOnChildWorkflowStartedListener(func(info *workflow.Info, _ workflow.Context, args converter.EncodedValues) {
		var one Text
		if err := args.Get(&one); err != nil || info.WorkflowExecution.ID != TextID(one.Hash) || info.WorkflowType.Name != TextType {
			t.Errorf("%s %s, %v", info.WorkflowType.Name, info.WorkflowExecution.ID, err)
		}
		kept = append(kept, one)
	})
	one, two := text(t, "pump", 1), text(t, "pump", 2)
	world.set(two.Hash, 3, nil)
	first := send(env, 0, Change{Key: "1", Push: &one})
	again := send(env, time.Hour, Change{Key: "1", Push: &one})
	second := send(env, 2*time.Hour, Change{Key: "2", Push: &two})
	early := send(env, 2*time.Hour+time.Second, Change{Key: "3", Default: ref("pump", 2)})
	// While an activity runs, the clock of the environment goes with the wall clock: hours between
	// what depends on each other, so that a machine that stands still for a moment changes nothing.
	inUse := send(env, 3*time.Hour, Change{Key: "4", Remove: ref("pump", 2)})
	env.RegisterDelayedCallback(func() { world.set(two.Hash, 3, errors.New("down")) }, 4*time.Hour)
	unknown := send(env, 5*time.Hour, Change{Key: "5", Remove: ref("pump", 2)})
	env.RegisterDelayedCallback(func() { world.set(two.Hash, 0, nil) }, 6*time.Hour)
	env.RegisterDelayedCallback(func() { world.move(two.Hash) }, 6*time.Hour+10*time.Minute)
	isMoved := send(env, 6*time.Hour+20*time.Minute, Change{Key: "7", Remove: ref("pump", 2)})
	env.RegisterDelayedCallback(func() { world.move("") }, 6*time.Hour+40*time.Minute)
	removed := send(env, 7*time.Hour, Change{Key: "6", Remove: ref("pump", 2)})
	runEnv(env, Input{}, 8*time.Hour)

	if first.err != nil || first.result.Version != 1 || again.result != first.result || second.result.Version != 2 || len(kept) != 2 || kept[1].Hash != two.Hash {
		t.Errorf("pushed %+v, again %+v, then %+v; %d contents", first, again, second, len(kept))
	}
	wantRefused(t, Refusal(early.rejected), 409, "a moment ago")
	wantRefused(t, Refusal(inUse.err), 409, "3 devices run version 2 of model pump")
	wantRefused(t, Refusal(isMoved.err), 409, "devices are being moved to or from version 2 of model pump")
	wantRefused(t, Refusal(unknown.err), 503, "can't be found out")
	if ended := world.hasEnded(); removed.err != nil || !removed.result.Created || !slices.Equal(ended, []string{TextID(two.Hash)}) {
		t.Errorf("%+v, ended %v", removed, ended)
	}
	a := index(t, env, 0)
	if a.Index == nil || len(a.Index.Models) != 1 || len(a.Index.Models[0].Versions) != 1 || a.Revision != 3 {
		t.Errorf("%+v", a)
	}
	if same := index(t, env, 3); same.Index != nil || same.Revision != 3 {
		t.Errorf("%+v", same)
	}
	value, err := env.QueryWorkflow(QueryAudit)
	if err != nil {
		t.Fatal(err)
	}
	var records []Record
	if err := value.Get(&records); err != nil || len(records) != 3 || records[0].What != "remove" {
		t.Errorf("%+v, %v", records, err)
	}
}

// The text whose workflow is there already is that of the same model.
func TestATextThatIsKeptAlready(t *testing.T) {
	env, _ := newEnv(t)
	one := text(t, "pump", 1)
	first := send(env, 0, Change{Key: "1", Push: &one})
	two := text(t, "pump", 2)
	second := send(env, time.Hour, Change{Key: "2", Push: &two})
	removed := send(env, 2*time.Hour, Change{Key: "3", Remove: ref("pump", 2)}) // End is a fake: the text stays
	third := send(env, 3*time.Hour, Change{Key: "4", Push: &two})
	runEnv(env, Input{}, 4*time.Hour)
	for name, a := range map[string]*answer{"first": first, "second": second, "removed": removed, "pushed again": third} {
		if a.err != nil || a.rejected != nil || !a.result.Created {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if third.result.Version != 3 {
		t.Errorf("%+v", third)
	}
}

// A run hands all that it knows to the next one.
func TestRunsFollowEachOther(t *testing.T) {
	env, _ := newEnv(t)
	one := text(t, "pump", 1)
	for i := range runChanges {
		send(env, time.Duration(i)*time.Millisecond, Change{Key: fmt.Sprint(i), Push: &one})
	}
	runEnv(env, Input{}, time.Hour)
	var next *workflow.ContinueAsNewError
	if err := env.GetWorkflowError(); !errors.As(err, &next) || next.WorkflowType.Name != WorkflowType {
		t.Fatalf("%v, want continue-as-new", err)
	}
	var in Input
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); err != nil {
		t.Fatal(err)
	}
	env, _ = newEnv(t)
	again := send(env, 0, Change{Key: fmt.Sprint(runChanges - 1), Push: &one})
	runEnv(env, in, time.Minute)
	a := index(t, env, 0)
	if again.result.Version != 1 || a.Revision != 1 || len(a.Index.Models) != 1 {
		t.Errorf("%+v, %+v", again, a)
	}
}
