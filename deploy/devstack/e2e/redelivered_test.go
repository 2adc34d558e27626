package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"devicetwin/device"
)

// bridgeLog is a log whose bridge crashes: it delivers what it has recorded of one device,
// from any place on.
type bridgeLog struct {
	t        *testing.T
	s        *system
	id       device.ID
	name     string
	messages []device.Message
	batches  int
}

// record appends messages without numbers, like those of a device that has none.
func (l *bridgeLog) record(channel device.Channel, list ...map[string]any) {
	for _, data := range list {
		n := len(l.messages) + 1
		l.messages = append(l.messages, device.Message{
			Channel: channel, Data: data, Time: time.Now().UTC().Truncate(time.Millisecond),
			Digest: "00000000000000ff", Pos: int64(40 * n),
		})
	}
}

// deliver delivers the messages from a place on, in batches of seven.
func (l *bridgeLog) deliver(from int) {
	l.t.Helper()
	for ; from < len(l.messages); from += 7 {
		l.batches++
		batch := device.Batch{ID: fmt.Sprintf("%s-%d", l.name, l.batches), Log: l.name, Messages: l.messages[from:min(from+7, len(l.messages))]}
		if _, err := l.s.twins.Deliver(l.t.Context(), device.Delivery{ID: l.id, Start: true, Batch: batch}); err != nil {
			l.t.Fatal(err)
		}
	}
}

// redeliver has a device without numbers whose bridge is killed twice: its log delivers
// again what was applied, a reprovisioning with all that led to it, and more than the
// workflow keeps digests of, over the end of a run.
func redeliver(t *testing.T, s *system, reach func(name, state, before string) string) {
	t.Helper()
	const name = "redelivered"
	boot := map[string]any{"status": "boot"}
	first := &bridgeLog{t: t, s: s, id: name, name: "first-start"}
	first.record(device.ChannelStatus, boot, boot, boot)
	first.record(device.ChannelTelemetry, map[string]any{"code": 117.0})
	first.deliver(0)
	credential := reach(name, "awaiting_birth", "")
	first.record(device.ChannelStatus, map[string]any{"status": "boot", "credential": credential})
	first.deliver(2)
	reach(name, "online", "")
	first.deliver(0)

	second := &bridgeLog{t: t, s: s, id: name, name: "second-start"}
	for range 45 {
		second.record(device.ChannelStatus, map[string]any{"status": "online"})
	}
	second.deliver(0)
	eventually(t, "redelivered continued as new", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, name)
		return err == nil && view.Runs > 0
	})
	first.deliver(0)
	second.record(device.ChannelTelemetry, map[string]any{"temperature": 95.0})
	second.deliver(3)
	eventually(t, "redelivered applied each message once", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, name)
		return err == nil && view.StateName == "overheated" && view.Delivery.Applied == 5+46 && view.Delivery.Duplicates == 2+5+5+42
	})
}
