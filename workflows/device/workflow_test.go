package device

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

func TestCrashLoopIsReprovisioned(t *testing.T) {
	h := newHarness(t, 0)
	h.at(time.Second, crashLoop()...)
	h.RegisterDelayedCallback(func() {
		if got := h.view().StateName; got != "awaiting_birth" {
			t.Errorf("state %s before the birth, want awaiting_birth", got)
		}
		h.signal(born(h.world.commands[0].Message.ID))
	}, 5*time.Second)
	view := h.runUntil(10 * time.Second)

	if view.StateName != "online" || view.Delivery.Applied != 5 || view.Firmware != "1.4" || view.Site != "north" {
		t.Errorf("state %s, %d applied, firmware %q, site %q; want online, 5, 1.4, north",
			view.StateName, view.Delivery.Applied, view.Firmware, view.Site)
	}
	if len(h.world.commands) != 1 {
		t.Fatalf("%d commands, want 1", len(h.world.commands))
	}
	c := h.world.commands[0]
	if c.Topic != "devices/pump-1/commands/reprovision" || c.Message.Data.Reason != "crash_loop" ||
		c.Message.Data.Credentials.ID != c.Message.ID || c.Message.Data.Credentials.Username != testDevice ||
		len(c.Message.Data.Credentials.Password) != 64 || !reflect.DeepEqual(c.Message.Data.Config, h.model.Config()) {
		t.Errorf("command %+v is not what the device needs", c)
	}
	if n := h.world.count("reprovisions"); n != 3 {
		t.Errorf("%d reprovision points, want 3: started, sent, done", n)
	}
	if n := h.world.count("transitions"); n != 3 {
		t.Errorf("%d transition points, want 3: to reprovisioning, awaiting_birth, online", n)
	}
}

// The device can be back before the activity's end has reached the workflow.
func TestBirthMayOvertakeTheActivity(t *testing.T) {
	h := newHarness(t, 0)
	h.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in Invocation) (Reprovisioned, error) {
			return Reprovisioned{Credential: in.ID, Command: in.ID}, nil
		}).After(3 * time.Second)
	h.at(time.Second, crashLoop()...)
	h.RegisterDelayedCallback(func() {
		view := h.view()
		if view.StateName != "reprovisioning" || len(view.Invocations) != 1 {
			t.Errorf("state %s with invocations %v, want reprovisioning with one", view.StateName, view.Invocations)
			return
		}
		h.signal(born(commandOf(view)))
	}, 2*time.Second)
	if view := h.runUntil(10 * time.Second); view.StateName != "online" || len(view.Invocations) != 0 {
		t.Errorf("state %s, invocations %v; want online, none", view.StateName, view.Invocations)
	}
}

func TestASilentDeviceIsTriedThreeTimes(t *testing.T) {
	h := newHarness(t, 0)
	h.at(time.Second, crashLoop()...)
	if view := h.runUntil(2 * time.Minute); view.StateName != "quarantined" {
		t.Errorf("state %s, want quarantined", view.StateName)
	}
	ids := map[string]bool{}
	for _, c := range h.world.commands {
		ids[c.Message.ID] = true
	}
	if len(ids) != 3 || len(h.world.commands) != 3 {
		t.Errorf("%d commands with %d ids, want 3 each", len(h.world.commands), len(ids))
	}
}

// A retry of the activity is the same command.
func TestARetriedReprovisionIsTheSameCommand(t *testing.T) {
	h := newHarness(t, 0)
	var first []string
	h.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in Invocation) (Reprovisioned, error) {
			first = append(first, in.ID)
			if len(first) < 3 {
				return Reprovisioned{}, errors.New("the broker is down")
			}
			return Reprovisioned{Credential: in.ID, Command: in.ID}, nil
		})
	h.at(time.Second, crashLoop()...)
	if view := h.runUntil(10 * time.Second); view.StateName != "awaiting_birth" {
		t.Errorf("state %s, want awaiting_birth", view.StateName)
	}
	if len(first) != 3 || first[0] != first[1] || first[1] != first[2] {
		t.Errorf("command ids %v, want one id three times", first)
	}
}

func TestDuplicatesAreAppliedOnce(t *testing.T) {
	h := newHarness(t, 0)
	batch := device.Batch{}
	h.RegisterDelayedCallback(func() {
		for i, m := range []device.Message{boot(), boot(), boot(), reading(95)} {
			m.Time, m.Epoch, m.Seq = h.Now(), 1, uint64(i+1)
			batch.Messages = append(batch.Messages, m)
		}
		h.SignalWorkflow(SignalEvents, batch)
		h.SignalWorkflow(SignalEvents, batch)
	}, time.Second)
	h.RegisterDelayedCallback(func() { h.SignalWorkflow(SignalEvents, batch) }, 20*time.Second)
	view := h.runUntil(30 * time.Second)
	if view.Delivery.Applied != 4 || view.Delivery.Duplicates != 8 {
		t.Errorf("%d applied, %d duplicates; want 4, 8", view.Delivery.Applied, view.Delivery.Duplicates)
	}
	// The hot reading of the third copy would have made it overheated again.
	if view.StateName != "online" {
		t.Errorf("state %s, want online", view.StateName)
	}
}

// Unnumbered messages cannot be distinguished, but a repeated batch is recognized.
func TestARepeatedBatchIsAppliedOnce(t *testing.T) {
	h := newHarness(t, 0)
	send := func(id string) func() {
		return func() {
			m := boot()
			m.Time, m.Digest = h.Now(), "the same"
			h.SignalWorkflow(SignalEvents, device.Batch{ID: id, Messages: []device.Message{m}})
		}
	}
	for i, id := range []string{"a-1", "a-1", "a-2", "a-2", "a-3"} {
		h.RegisterDelayedCallback(send(id), time.Duration(i+1)*time.Second)
	}
	if view := h.runUntil(10 * time.Second); view.Delivery.Applied != 3 || view.Delivery.Duplicates != 2 {
		t.Errorf("%d applied, %d duplicates; want 3, 2", view.Delivery.Applied, view.Delivery.Duplicates)
	}
}

func TestSilenceIsNoticedOnce(t *testing.T) {
	h := newHarness(t, 0)
	silentAfter, tolerance := h.model.Liveness()
	h.at(time.Second, boot())
	h.at(silentAfter/2, device.Message{Channel: device.ChannelSystem, Name: device.MessageSeen})
	var early, late []byte
	look := func(into *[]byte) func() { return func() { *into, _ = json.Marshal(h.view().Snapshot) } }
	h.RegisterDelayedCallback(look(&early), silentAfter+tolerance+2*time.Second)
	h.RegisterDelayedCallback(look(&late), silentAfter/2+silentAfter+tolerance+2*time.Second)
	h.runUntil(10 * silentAfter)
	if reflect.DeepEqual(early, late) {
		t.Errorf("the snapshot does not tell a silent device from a living one: %s", late)
	}
}

func TestContinueAsNewCarriesEverything(t *testing.T) {
	first := newHarness(t, 4)
	first.at(time.Second, boot(), boot(), boot())
	first.at(2*time.Second, reading(95)) // overheated, until 10 s later
	var before View
	first.RegisterDelayedCallback(func() { before = first.view() }, 1500*time.Millisecond)
	first.run(Input{Device: testDevice, Model: first.model.Hash()})

	in := first.nextInput()
	if in.State.Runs != 1 || in.State.Instance != before.Instance || in.State.Delivery.Applied != 4 {
		t.Errorf("carried over: run %d, instance %s, %d applied", in.State.Runs, in.State.Instance, in.State.Delivery.Applied)
	}
	throughJSON(t, *in.State)

	second := newHarness(t, 0)
	second.SetStartTime(first.Now())
	second.seq = first.seq
	var hot, cooled View
	second.RegisterDelayedCallback(func() {
		hot = second.view()
		second.SignalWorkflow(SignalEvents, device.Batch{Messages: []device.Message{
			{Channel: device.ChannelTelemetry, Data: reading(95).Data, Time: second.Now(), Epoch: 1, Seq: 4},
		}})
	}, time.Second)
	second.RegisterDelayedCallback(func() { cooled = second.view() }, 12*time.Second)
	second.at(13*time.Second, fault(117)) // with the three boots of the first run
	second.RegisterDelayedCallback(second.CancelWorkflow, 14*time.Second)
	second.run(in)

	if hot.StateName != "overheated" || cooled.StateName != "online" {
		t.Errorf("states %s and %s, want overheated, then online when the inherited timer rings", hot.StateName, cooled.StateName)
	}
	if cooled.Delivery.Duplicates != 1 {
		t.Errorf("%d duplicates, want 1: the window is inherited", cooled.Delivery.Duplicates)
	}
	if len(second.world.commands) != 1 {
		t.Errorf("%d commands, want 1: the partial match is inherited", len(second.world.commands))
	}
}

// A run that inherits an invocation starts it again as the same command.
func TestInheritedInvocationsStartAgain(t *testing.T) {
	first := newHarness(t, 0)
	first.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(Reprovisioned{}, nil).After(time.Hour)
	first.at(time.Second, crashLoop()...)
	view := first.runUntil(5 * time.Second)
	if len(view.Invocations) != 1 {
		t.Fatalf("invocations %v, want one", view.Invocations)
	}

	second := newHarness(t, 0)
	second.SetStartTime(first.Now())
	second.RegisterDelayedCallback(second.CancelWorkflow, 5*time.Second)
	state := view.State
	second.run(Input{Device: testDevice, Model: state.Model, State: &state})
	if len(second.world.commands) != 1 || second.world.commands[0].Message.ID != commandOf(view) {
		t.Errorf("commands %+v, want the inherited one", second.world.commands)
	}
}

// While the broker is down, points and commands wait in an ordinary activity,
// and the workflow neither fails nor goes on without them.
func TestEmissionOutlivesAnOutage(t *testing.T) {
	h := newHarness(t, 0)
	attempts := 0
	h.OnActivity(ActivityEmit, mock.Anything, mock.Anything).Return(func(context.Context, Emission) (Emitted, error) {
		if attempts++; attempts <= 6 {
			return Emitted{}, errors.New("not now")
		}
		return Emitted{}, nil
	})
	h.at(time.Second, reading(95))
	if view := h.runUntil(3 * time.Minute); view.StateName != "online" || view.ReportCount != 0 {
		t.Errorf("state %s, faults %v; want online again, none", view.StateName, view.Reports)
	}
	if attempts != 8 {
		t.Errorf("%d attempts, want 8: six that failed, one for each of the two transitions", attempts)
	}
}

func TestAnUnknownModelFailsTheTask(t *testing.T) {
	h := newHarness(t, 0)
	h.run(Input{Device: testDevice, Model: "no such hash"})
	if err := h.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "no model with hash") {
		t.Errorf("error %v, want one that names the missing model", err)
	}
}

func TestAttributesAreWrittenWhenTheyChange(t *testing.T) {
	h := newHarness(t, 0)
	h.at(time.Second, boot())
	h.at(2*time.Second, boot())
	h.at(3*time.Second, reading(95))
	h.at(4*time.Second, fault(101))
	h.runUntil(30 * time.Second)
	// At the start; with the first boot; overheated; online again.
	h.AssertNumberOfCalls(t, "workflow.UpsertTypedSearchAttributes", 4)
}

func TestTheRunLogIsTheWorkflowsWord(t *testing.T) {
	h := newHarness(t, 0)
	h.at(time.Second, boot(), boot())
	h.at(2*time.Second, fault(101))
	var applied RunLog
	h.RegisterDelayedCallback(func() {
		value, err := h.QueryWorkflow(QueryApplied)
		if err == nil {
			err = value.Get(&applied)
		}
		if err != nil {
			t.Error(err)
		}
	}, 3*time.Second)
	h.runUntil(4 * time.Second)
	var spans []device.Span
	for _, task := range applied.Tasks {
		spans = append(spans, task.Spans...)
	}
	if total := len(spans); total == 0 || spans[0].From != 1 || spans[total-1].To != 3 {
		t.Errorf("spans %v, want 1 to 3", spans)
	}
}

const talkingModel = `
model: talking
events: {reading: {channel: telemetry}}
initial: idle
states:
  idle:
    on:
      reading:
        actions:
          - command: {name: first}
          - publish: {topic: "alarms/{id}", data: {n: 1}}
          - notify: {to: nobody, data: {text: "'hello'"}}
          - publish: {topic: "forbidden"}
          - command: {name: second}
`

// Everything that a model says leaves in its order; what may not be said is noted.
func TestActionsLeaveInOrder(t *testing.T) {
	model, err := devicefsm.Load("talking.yaml", []byte(talkingModel))
	if err != nil {
		t.Fatal(err)
	}
	h := newHarnessFor(t, model, 0)
	h.at(time.Second, reading(20))
	var emitted []string
	h.OnActivity(ActivityEmit, mock.Anything, mock.Anything).Return(func(_ context.Context, e Emission) (Emitted, error) {
		var done Emitted
		for _, m := range e.Messages {
			emitted = append(emitted, m.Command+m.Topic)
			if m.Topic == "forbidden" {
				done.Refused = append(done.Refused, "no")
			}
		}
		return done, nil
	})
	view := h.runUntil(10 * time.Second)
	if got := strings.Join(emitted, " "); got != "first alarms/{id} forbidden second" {
		t.Errorf("emitted %s", got)
	}
	sameTexts(t, reports(view), []string{
		" action no ", " action notify nobody: no receiver of that name in the worker's configuration ",
	})
	if view.FaultCount != 0 || len(view.Faults) != 0 {
		t.Errorf("%d faults %q are kept twice", view.FaultCount, view.Faults)
	}
	if len(view.Invocations) != 0 {
		t.Errorf("invocations %v are left", view.Invocations)
	}
}
