package bridge

import (
	"context"
	"log/slog"

	"devicetwin/device"
)

// trace logs each message that was received and understood, on the debug level:
// the bridge's own word on what it has seen, for whoever looks for a message
// that is missing.
func (c *core) trace(device string, m device.Message) {
	ctx := context.Background()
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "received", slog.String("device", device),
		slog.Int64("epoch", m.Epoch), slog.Uint64("seq", m.Seq), slog.String("channel", string(m.Channel)))
}
