package device

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
)

// steps are the reprovisioning's steps as the points tell them, in the order in
// which they were written; the activity's own is left out.
func (w *world) steps() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var steps []string
	for _, p := range w.points {
		for _, step := range []string{measure.ReprovisionStarted, measure.ReprovisionDone, measure.ReprovisionFailed} {
			if p.Measurement == measure.Reprovisions && p.Fields[step] != nil {
				steps = append(steps, step)
			}
		}
	}
	return strings.Join(steps, " ")
}

func (w *world) last(measurement string) Point {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.points) - 1; i >= 0; i-- {
		if w.points[i].Measurement == measurement {
			return w.points[i]
		}
	}
	return Point{}
}

func rejected(command string) device.Message {
	return device.Message{Channel: device.ChannelAck, Name: ActivityReprovision, Data: map[string]any{"id": command, "status": "rejected"}}
}

func TestRecoveryIsMeasuredOverAllAttempts(t *testing.T) {
	h := newHarness(t, 0)
	h.at(time.Second, crashLoop()...)
	h.RegisterDelayedCallback(func() { h.signal(rejected(h.world.commands[0].Message.ID)) }, 4*time.Second)
	h.RegisterDelayedCallback(func() { h.signal(born(h.world.commands[1].Message.ID)) }, 9*time.Second)
	view := h.runUntil(20 * time.Second)

	if got := h.world.steps(); got != "started failed started done" {
		t.Errorf("steps %q", got)
	}
	if answer := h.world.last(measure.Commands); h.world.count(measure.Commands) != 3 || answer.Tags[measure.TagStatus] != measure.CommandSent {
		t.Errorf("%d points of commands, the last %+v; want sent, rejected, sent", h.world.count(measure.Commands), answer)
	}
	done := h.world.last(measure.Reprovisions)
	// The environment's clock goes on while an activity runs. From the second
	// attempt on it would be 5 seconds.
	if seconds, ok := done.Fields[measure.RecoverySeconds].(float64); !ok || seconds < 7 || seconds > 9.5 {
		t.Errorf("recovered after %v seconds, want about 8: from the first attempt on", done.Fields[measure.RecoverySeconds])
	}
	if done.Fields[measure.ReprovisionAttempt] != int64(2) || done.Tags[measure.TagReason] != "crash_loop" || done.Tags[measure.TagSite] != "north" {
		t.Errorf("point %+v, want attempt 2, reason crash_loop, site north", done)
	}
	if view.Recovery != nil || len(view.Asides) != 0 {
		t.Errorf("recovery %+v and asides %v are left", view.Recovery, view.Asides)
	}
}

// Every step can be found by the site, also the one that the activity writes.
func TestEveryStepHasASite(t *testing.T) {
	h := newHarness(t, 0)
	h.at(time.Second, crashLoop()...)
	h.runUntil(2 * time.Minute)
	sent := 0
	for _, p := range h.world.points {
		if p.Measurement != measure.Reprovisions {
			continue
		}
		if p.Fields[measure.ReprovisionSent] != nil {
			sent++
		}
		if p.Tags[measure.TagSite] != "north" {
			t.Errorf("point %+v has no site", p)
		}
	}
	if sent == 0 {
		t.Error("nothing was sent")
	}
}

// Each of the three attempts that nothing comes of has failed, the last too,
// which no other follows.
func TestAttemptsWithoutAnswerHaveFailed(t *testing.T) {
	h := newHarness(t, 0)
	h.at(time.Second, crashLoop()...)
	h.runUntil(2 * time.Minute)
	if got := h.world.steps(); got != "started failed started failed started failed" {
		t.Errorf("steps %q", got)
	}
}

// What a message changed is known to be due to it, and what a timer changed is not:
// how long it took is measured when it is written.
func TestTransitionsKnowWhatArrived(t *testing.T) {
	h := newHarness(t, 0)
	h.activities.Counts = NewCounts()
	var points []Point
	h.OnActivity("emit", mock.Anything, mock.Anything).Return(func(ctx context.Context, e Emission) (Emitted, error) {
		points = append(points, e.Points...)
		return h.activities.Emit(ctx, e)
	})
	h.at(time.Second, crashLoop()...)
	h.runUntil(2 * time.Minute)
	caused := uint64(0)
	for _, p := range points {
		timer := p.Tags[measure.TagEvent] == "after"
		if due := p.Measurement == measure.Transitions && !timer; due == p.Arrived.IsZero() {
			t.Errorf("point %+v arrived at %v", p.Tags, p.Arrived)
		} else if due {
			caused++
		}
	}
	if n := h.activities.Counts.Value("event_to_state_seconds"); caused == 0 || n != float64(caused) {
		t.Errorf("%v observed of %d changes of state", n, caused)
	}
}

// The id of an invocation is not part of a tag: each would be a series of its own.
func TestTransitionPointsNameTheKindOfEvent(t *testing.T) {
	h := newHarness(t, 0)
	h.at(time.Second, crashLoop()...)
	h.runUntil(5 * time.Second)
	var kinds []string
	for _, p := range h.world.points {
		if p.Measurement == measure.Transitions {
			kinds = append(kinds, p.Tags[measure.TagEvent]+">"+p.Fields[measure.State].(string))
		}
	}
	if got := strings.Join(kinds, " "); got != "crash_loop>reprovisioning done.invoke>awaiting_birth" {
		t.Errorf("points %s", got)
	}
}

func TestAnActivityThatFailsIsAFailedAttempt(t *testing.T) {
	h := newHarness(t, 0)
	h.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(
		func(context.Context, Invocation) (Reprovisioned, error) {
			return Reprovisioned{}, temporal.NewNonRetryableApplicationError("no more credentials", "store", nil)
		})
	h.at(time.Second, crashLoop()...)
	if view := h.runUntil(time.Minute); view.StateName != "quarantined" {
		t.Errorf("state %s, want quarantined", view.StateName)
	}
	if got := h.world.steps(); got != "started failed" {
		t.Errorf("steps %q", got)
	}
}

// A pattern that matches makes a point; what is not worth a local activity waits
// for one, in a bounded place.
func TestPointsWaitForCompany(t *testing.T) {
	model, err := devicefsm.Load("quiet.yaml", []byte(`
model: quiet
events: {beat: {channel: telemetry, when: "has(msg.beat)"}, move: {channel: telemetry, when: "has(msg.move)"}}
patterns:
  pair: {sequence: [{event: beat, times: 2}], within: 1m}
initial: still
states:
  still: {on: {pair: {actions: [{log: "'two beats'"}]}, move: moving}}
  moving: {on: {pair: {actions: [{log: "'two beats'"}]}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	h := newHarnessFor(t, model, 0)
	beat := device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"beat": true}}
	for i := range 2 * (keptAsides + 3) {
		h.at(time.Duration(i+1)*time.Second, beat)
	}
	h.RegisterDelayedCallback(func() {
		if n := h.world.count(measure.Sequences); n != 0 {
			t.Errorf("%d points left on their own", n)
		}
		h.signal(device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"move": true}})
	}, 2*time.Minute)
	h.runUntil(3 * time.Minute)
	if n := h.world.count(measure.Sequences); n != keptAsides {
		t.Errorf("%d points of the pattern, want the newest %d", n, keptAsides)
	}
	if p := h.world.last(measure.Sequences); p.Tags[measure.TagPattern] != "pair" || p.Fields[measure.Count] != int64(1) {
		t.Errorf("point %+v", p)
	}
}

func (w *world) measurements() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, p := range w.points {
		names = append(names, p.Measurement)
	}
	return strings.Join(names, " ")
}
