package operator

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/client"
)

func TestWhyLeavesOutAnEmptyMatch(t *testing.T) {
	var out bytes.Buffer
	whyText(&out, api.Why{ID: "room-1", State: "alarm", Transitions: []api.Transition{
		{Event: "crash_loop", Data: map[string]any{"events": 4.0, "matched": map[string]any{}}},
		{Event: "climb", Data: map[string]any{"matched": map[string]any{"first": []any{}}}},
	}})
	for _, want := range []string{"room-1 is in alarm\n", `crash_loop {"events":4}`, `climb {"matched":{"first":[]}}`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, out.String())
		}
	}
}

func TestLinesOfAWatchHaveTimes(t *testing.T) {
	var out bytes.Buffer
	at := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	if err := (lineWatcher{&out, at}).show(context.Background(), client.Event{Type: api.EventGone}); err != nil {
		t.Fatal(err)
	}
	if want := "2026-03-01 12:00:00Z  gone       the device is gone\n"; out.String() != want {
		t.Errorf("%q, expected %q", out.String(), want)
	}
}
