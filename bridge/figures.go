package bridge

import (
	"context"
	"time"

	"devicetwin/internal/measure"
	"devicetwin/points"
)

// figures writes the bridge's own figures as points of the measurement
// "bridge", and says in the log what was refused since the last time.
func (b *Bridge) figures(ctx context.Context) {
	tick := time.NewTicker(b.cfg.FiguresEvery)
	defer tick.Stop()
	var before Stats
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			b.loop.look(ctx, func(c *core) { c.counts.silent.Store(int64(c.silent(at))) })
			now := b.Stats()
			if refused := now.DeadLetters - before.DeadLetters; refused > 0 {
				b.log.Warn("messages were refused; see the dead letters", "count", refused, "total", now.DeadLetters,
					"by_reason", now.DeadLettersByReason)
			}
			if b.deps.Points != nil {
				fields := now.fields()
				if signals := now.Signals - before.Signals; signals > 0 {
					fields[measure.BridgeBatch] = float64(now.Events-before.Events) / float64(signals)
				}
				if w, ok := b.deps.Points.(interface{ Stats() points.Stats }); ok {
					w.Stats().AddTo(fields)
				}
				b.deps.Points.WritePoint(measure.Bridge, map[string]string{measure.TagBridge: b.cfg.ID}, fields, at.UTC())
			}
			before = now
		}
	}
}

// fields are the figures by the names of their metrics. Beside them stands
// batch_messages, the mean since the last point.
func (s Stats) fields() map[string]any {
	f := map[string]any{
		measure.BridgeReceived:               s.Received,
		measure.BridgeRepeated:               s.Repeated,
		measure.BridgeIgnored:                s.Ignored,
		measure.BridgeForeign:                s.Foreign,
		measure.BridgeMessages:               s.Messages,
		measure.BridgeGaps:                   s.Gaps,
		measure.BridgeRelevant:               s.Relevant,
		measure.BridgeEvents:                 s.Events,
		measure.BridgeSignals:                s.Signals,
		measure.BridgeSignalFailures:         s.SignalFailures,
		measure.BridgeDeadLetters:            s.DeadLetters,
		measure.BridgeDeadLettersUnpublished: s.DeadLettersUnpublished,
		measure.BridgeConnects:               s.Connects,
		measure.BridgeConnectionsLost:        s.ConnectionsLost,
		measure.BridgeSessionsLost:           s.SessionsLost,
		measure.BridgeConnected:              s.Connected,
		measure.BridgeTemporalOutage:         s.TemporalOutage,
		measure.BridgeWindow:                 s.Window,
		measure.BridgeHeld:                   s.Held,
		measure.BridgeOldest:                 s.Oldest.Seconds(),
		measure.BridgeSignalsInFlight:        s.InFlight,
		measure.BridgeSignalsLimit:           s.InFlightLimit,
		measure.BridgeLinger:                 s.Linger.Seconds(),
		measure.BridgeDevicesResting:         s.Resting,
		measure.BridgeDevicesWaiting:         s.Waiting,
		measure.BridgeDevicesStuck:           s.Stuck,
		measure.BridgeDevicesSilent:          s.Silent,
		measure.BridgeDevicesKnown:           s.Devices,
	}
	for reason, n := range s.DeadLettersByReason {
		f[measure.BridgeDeadLettersOf+string(reason)] = n
	}
	return f
}
