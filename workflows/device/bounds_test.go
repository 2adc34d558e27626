package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"devicetwin/devicefsm"
)

// Of too many deadlines of desired properties the oldest is dropped, and that is
// noted as a fault.
func TestConvergenceIsBounded(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	var list []Operation
	for i := range maxConvergence + 2 {
		patch := fmt.Appendf(nil, `{"p%d":1}`, i)
		list = append(list, Operation{Desire: &Desire{Patch: patch, Within: time.Hour}})
	}
	h.operate(time.Second, list...)
	view := h.runUntil(2 * time.Second)
	if n := len(view.Convergence); n != maxConvergence || view.Convergence[0].Paths[0] != "p2" || view.ReportCount != 2 {
		t.Errorf("%d deadlines from %v on, %d faults; want %d from p2 on, and 2", n, view.Convergence[0].Paths, view.ReportCount, maxConvergence)
	}
}

// Only so many events of the service's own wait for their steps.
func TestRaisedEventsAreBounded(t *testing.T) {
	model, err := devicefsm.Load("quiet.yaml", []byte(quietModel))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, _ := model.Start(time.Unix(0, 0))
	d := &run{model: model, state: &State{Device: testDevice, Snapshot: snapshot}}
	for range maxRaised + 3 {
		d.raise(devicefsm.Event{Name: "x"})
	}
	if len(d.raised) != maxRaised || d.state.FaultCount != 3 {
		t.Errorf("%d wait, %d faults; want %d and 3", len(d.raised), d.state.FaultCount, maxRaised)
	}
}

// A run ends before the server's own bounds of its history, and while an activity
// runs only close to them: the next run starts the activity again.
func TestLongRunsAreContinuedAsNew(t *testing.T) {
	history := func(n int) func(*twinHarness) {
		return func(h *twinHarness) {
			h.RegisterDelayedCallback(func() { h.SetCurrentHistoryLength(n) }, 2*time.Second)
		}
	}
	suggest := func(h *twinHarness) {
		h.RegisterDelayedCallback(func() { h.SetContinueAsNewSuggested(true) }, 2*time.Second)
	}
	for name, c := range map[string]struct {
		busy  bool // an activity runs
		begin func(*twinHarness)
		ends  bool
	}{
		"a short history":                   {false, history(softHistory - 1), false},
		"a long history":                    {false, history(softHistory), true},
		"a long history, and an activity":   {true, history(hardHistory - 1), false},
		"a longer history, and an activity": {true, history(hardHistory), true},
		"the server suggests it":            {false, suggest, true},
		"the server suggests it earlier":    {true, suggest, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTwinHarness(t, busyModel, 100_000)
			h.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(Reprovisioned{}, errors.New("not now")) // again and again
			if c.busy {
				h.RegisterDelayedCallback(func() { h.signalRaw(event("go")) }, time.Second)
			}
			c.begin(h)
			h.RegisterDelayedCallback(func() { h.signalRaw(event("other")) }, 2500*time.Millisecond)
			h.RegisterDelayedCallback(h.CancelWorkflow, 3*time.Second)
			h.run(Input{Device: testDevice, Model: h.model.Hash()})
			var next *workflow.ContinueAsNewError
			if ended := errors.As(h.GetWorkflowError(), &next); ended != c.ends {
				t.Errorf("continued as new: %t, want %t (%v)", ended, c.ends, h.GetWorkflowError())
			}
		})
	}
}

const busyModel = `
model: busy
initial: idle
states:
  idle: {on: {go: working}}
  working: {invoke: {src: reprovision, onDone: idle, onError: idle}}
`

// The server takes 2,000 updates of a run: also of one that waits for an activity.
func TestManyUpdatesEndARun(t *testing.T) {
	d := &run{running: []*invocation{{}}, settings: runSettings{}.withDefaults()}
	if d.asked = hardUpdates - 1; d.isLong(0, true) {
		t.Errorf("a run with an activity ends after %d updates", d.asked)
	}
	if d.asked = hardUpdates; !d.isLong(0, false) {
		t.Errorf("a run with an activity goes on after %d updates", d.asked)
	}
}

// A worker that is older than a device's state does not touch it: the workflow
// task fails, and is tried again until a newer worker takes it.
func TestAStateOfAnotherVersionFailsTheTask(t *testing.T) {
	snapshot := func(v int) string { return fmt.Sprintf(`{"v":%d,"model":"x"}`, v) }
	for name, c := range map[string]struct{ state, want string }{
		"a newer state":    {`{"v":2,"snapshot":{"shape":"unknown"},"delivery":[1]}`, "its state has version 2, and this worker reads version 1: upgrade the worker"},
		"an older state":   {`{"v":0}`, "run a release of the worker that reads both"},
		"a newer snapshot": {`{"v":1,"device":"pump-1","snapshot":` + snapshot(2) + `}`, "version 2; this program reads version 1: upgrade this program"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, 0)
			h.ExecuteWorkflow(WorkflowType, json.RawMessage(`{"device":"pump-1","model":"`+h.model.Hash()+`","state":`+c.state+`}`))
			err := h.GetWorkflowError()
			var panicked *temporal.PanicError
			if !errors.As(err, &panicked) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "device pump-1") {
				t.Errorf("%v; want a panic, which fails the workflow task, that says %q", err, c.want)
			}
		})
	}
}

func TestInvocableIsTheTableOfKinds(t *testing.T) {
	if got := Invocable(); len(got) != len(invokeKinds) || got[0] != ActivityCall || got[1] != ActivityReprovision {
		t.Errorf("%v", got)
	}
}
