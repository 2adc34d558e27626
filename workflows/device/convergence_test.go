package device

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"devicetwin/device"
)

const watchingModel = `
context: {failed: 0}
initial: a
states:
  a:
    on:
      high: {actions: [{desire: {fan: "'high'"}, within: 5m}]}
      low: {actions: [{desire: {fan: "'low'"}, within: 5m}]}
      twin.diverged: {actions: [{assign: {failed: context.failed + 1}}]}
`

// A deadline is that of the newest change, and a change that is repeated has one too.
func TestDeadlinesFollowTheWishes(t *testing.T) {
	for name, tt := range map[string]struct {
		second string
		at     time.Duration // of the second change
		until  time.Duration
		want   float64
	}{
		"another value": {"low", 4 * time.Minute, 8 * time.Minute, 0},
		"too late":      {"low", 4 * time.Minute, 10 * time.Minute, 1},
		"repeated":      {"high", 6 * time.Minute, 10 * time.Minute, 1},
		"and again":     {"high", 6 * time.Minute, 12 * time.Minute, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTwinHarness(t, watchingModel, 0)
			h.at(time.Second, event("high"))
			h.at(tt.at, event(tt.second))
			view := h.runUntil(tt.until)
			if got := view.Snapshot.Context()["failed"]; got != tt.want {
				t.Errorf("%v times diverged, want %v", got, tt.want)
			}
		})
	}
}

// flaky is a broker that is down for a while, and says how much it was given at
// once.
type flaky struct {
	*sentLog
	until   time.Time
	now     func() time.Time
	refused int
}

func (f *flaky) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	if f.now().Before(f.until) {
		f.refused++
		return errors.New("the broker is down")
	}
	return f.sentLog.Publish(ctx, topic, qos, retained, payload)
}

// A batch of many large updates leaves in parts that the server would take while
// the broker is down, and all of it in order.
func TestManyDocumentsLeaveInParts(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	f := &flaky{sentLog: h.wire, now: h.Now}
	h.activities.Publisher = f
	const updates = 120
	largest := 0 // bytes of one local activity
	h.SetOnLocalActivityStartedListener(func(_ *activity.Info, _ context.Context, args []any) {
		size := 0
		for _, m := range args[0].(Emission).Messages {
			size += len(m.Shadow.Payload)
		}
		largest = max(largest, size)
	})
	h.RegisterDelayedCallback(func() {
		f.until = h.Now().Add(10 * time.Second)
		var messages []device.Message
		for range updates {
			messages = append(messages, h.request("", "update", `{"state":{"reported":{"x":"`+strings.Repeat("x", 7000)+`"}}}`))
		}
		h.signalRaw(messages...)
	}, time.Second)
	h.runUntil(time.Hour)
	accepted := strings.Count(h.wire.topics(), "shadow/update/accepted")
	if largest == 0 || largest > maxEmission || f.refused == 0 || accepted != updates {
		t.Errorf("%d bytes in one part, %d refused, %d of %d accepted", largest, f.refused, accepted, updates)
	}
}
