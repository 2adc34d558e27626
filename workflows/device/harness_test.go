package device

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/credentials"
)

const testDevice = "pump-1"

func loadPump(t *testing.T) *devicefsm.Model {
	t.Helper()
	const file = "../../models/pump.yaml"
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	model, err := devicefsm.Load(file, src)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// world is what a workflow under test acts upon.
type world struct {
	mu       sync.Mutex
	commands []sentCommand
	points   []Point
	refuse   func(attempt int) error
	attempts int
	answer   func(sentCommand) // called for each command, in the order sent
}

type sentCommand struct {
	Topic   string
	Message struct {
		ID   string
		Name string
		Data struct {
			Credentials Credentials
			Config      map[string]any
			Reason      string
		}
	}
}

func (w *world) Publish(_ context.Context, topic string, qos byte, retained bool, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attempts++
	if w.refuse != nil {
		if err := w.refuse(w.attempts); err != nil {
			return err
		}
	}
	if qos != 1 || retained {
		return errors.New("a command is QoS 1 and not retained")
	}
	c := sentCommand{Topic: topic}
	if err := json.Unmarshal(payload, &c.Message); err != nil {
		return err
	}
	w.commands = append(w.commands, c)
	if w.answer != nil {
		w.answer(c)
	}
	return nil
}

func (w *world) WritePoint(measurement string, tags map[string]string, fields map[string]any, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.points = append(w.points, Point{Measurement: measurement, Tags: tags, Fields: fields, At: at})
}

func (w *world) count(measurement string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range w.points {
		if p.Measurement == measurement {
			n++
		}
	}
	return n
}

// harness runs the device workflow in Temporal's test environment, whose clock
// skips ahead whenever nothing happens.
type harness struct {
	*testsuite.TestWorkflowEnvironment
	t     *testing.T
	model *devicefsm.Model
	world *world
	state *State // that the run inherits; nil of a first run
	seq   uint64
	id    device.ID

	workflow   *Workflow
	activities *Activities
	journal    *testJournal
}

func newHarness(t *testing.T, runEvents int) *harness {
	t.Helper()
	return newHarnessFor(t, loadPump(t), runEvents)
}

func newHarnessFor(t *testing.T, model *devicefsm.Model, runEvents int) *harness {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	h := &harness{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, model: model, world: &world{}, id: testDevice}
	h.SetTestTimeout(20 * time.Second)
	// The race detector on a busy machine is slow, and not a deadlock.
	h.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 20 * time.Second})
	store, err := credentials.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	models := NewRegistry(h.model)
	h.journal = new(testJournal)
	h.workflow = &Workflow{Models: models, RunEvents: runEvents, Journal: h.journal}
	t.Cleanup(func() { h.journal.check(t, h.workflow.Models) })
	h.activities = &Activities{Dialect: standardDialect(), Publisher: h.world, Points: h.world, Provisioner: store, Models: models}
	Register(h.TestWorkflowEnvironment, h.workflow, h.activities)
	h.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Maybe()
	return h
}

// at signals messages of the device after a time, each with the next number.
func (h *harness) at(after time.Duration, messages ...device.Message) {
	h.RegisterDelayedCallback(func() { h.signal(messages...) }, after)
}

func (h *harness) signal(messages ...device.Message) {
	for i := range messages {
		messages[i].Time = h.Now().UTC().Truncate(time.Millisecond)
		if messages[i].Channel != device.ChannelSystem {
			h.seq++
			messages[i].Epoch, messages[i].Seq = 1, h.seq
		}
	}
	h.SignalWorkflow(SignalEvents, device.Batch{Messages: messages})
}

// runUntil cancels the workflow, which would otherwise run forever, after a
// time, and returns what it looks like then.
func (h *harness) runUntil(after time.Duration) View {
	h.t.Helper()
	var view View
	h.RegisterDelayedCallback(func() {
		view = h.view()
		h.CancelWorkflow()
	}, after)
	h.run(Input{Device: h.id, Model: h.model.Hash(), State: h.state})
	return view
}

func (h *harness) run(in Input) {
	h.t.Helper()
	h.ExecuteWorkflow(WorkflowType, in)
	if !h.IsWorkflowCompleted() {
		h.t.Fatalf("the workflow did not end: %v", h.GetWorkflowError())
	}
}

func (h *harness) view() View {
	h.t.Helper()
	value, err := h.QueryWorkflow(QuerySnapshot)
	if err != nil {
		h.t.Fatal(err)
	}
	var view View
	if err := value.Get(&view); err != nil {
		h.t.Fatal(err)
	}
	return view
}

// nextInput is what the run, which was continued as new, hands to the next one.
func (h *harness) nextInput() Input {
	h.t.Helper()
	var next *workflow.ContinueAsNewError
	if !errors.As(h.GetWorkflowError(), &next) {
		h.t.Fatalf("the run ended with %v, want continue-as-new", h.GetWorkflowError())
	}
	var in Input
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); err != nil {
		h.t.Fatal(err)
	}
	return in
}

// commandOf is the id of the command that the first activity of a workflow sends.
func commandOf(v View) string {
	d := run{state: &v.State}
	return d.invocationID(v.Invocations[0].ID)
}

func boot() device.Message {
	return device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot", "firmware": "1.4", "site": "north"}}
}

func born(credential string) device.Message {
	return device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot", "credential": credential}}
}

func fault(code float64) device.Message {
	return device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"code": code}}
}

func reading(temperature float64) device.Message {
	return device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"temperature": temperature}}
}

func crashLoop() []device.Message {
	return []device.Message{boot(), boot(), boot(), fault(117)}
}
