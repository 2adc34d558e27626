package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// A device that never pauses is continued as new many times, and each of its
// messages is applied once and in order.
func TestContinueAsNewUnderAConstantStream(t *testing.T) {
	const messages, runEvents = 3000, 50
	s := startSystem(t, runEvents)
	pump := connect(t, s.MQTT.URL(), "stream-1")
	for seq := 1; seq <= messages; seq++ {
		payload := fmt.Sprintf(`{"epoch":1,"seq":%d,"status":"boot"}`, seq)
		token := pump.client.Publish("devices/stream-1/status", 1, false, payload)
		if seq%3 == 0 {
			pump.await("publish", token)
		}
	}
	eventually(t, "all messages applied", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, "stream-1")
		return err == nil && view.Delivery.Applied == messages
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	view, err := s.twins.Snapshot(ctx, "stream-1")
	if err != nil {
		t.Fatal(err)
	}
	if view.Runs < 2 || view.Delivery.Duplicates != 0 || view.Delivery.Late != 0 {
		t.Errorf("%d runs, %d duplicates, %d late; want several, none, none", view.Runs, view.Delivery.Duplicates, view.Delivery.Late)
	}
	applied, err := s.twins.Applied(ctx, "stream-1")
	if err != nil {
		t.Fatal(err)
	}
	if len(applied.Entries) != messages {
		t.Fatalf("%d messages in the runs' logs, want %d", len(applied.Entries), messages)
	}
	for i, e := range applied.Entries {
		if e.Seq != uint64(i+1) || e.Durable.IsZero() {
			t.Fatalf("entry %d is message %d, durable at %v", i, e.Seq, e.Durable)
		}
	}
	eventually(t, "its search attributes in the last run", func(ctx context.Context) bool {
		counts, err := s.twins.CountStates(ctx, []string{"online"})
		return err == nil && counts["online"] == 1
	})
	t.Logf("%d messages in %d signals over %d runs", messages, applied.Signals, view.Runs+1)
}
