package bridge

import (
	"context"
	"time"
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
			now := b.Stats()
			if refused := now.DeadLetters - before.DeadLetters; refused > 0 {
				b.log.Warn("messages were refused; see the dead letters", "count", refused, "total", now.DeadLetters,
					"by_reason", now.DeadLettersByReason)
			}
			if b.deps.Points != nil {
				fields := now.fields()
				if signals := now.Signals - before.Signals; signals > 0 {
					fields["batch_messages"] = float64(now.Events-before.Events) / float64(signals)
				}
				if w, ok := b.deps.Points.(interface{ Stats() InfluxStats }); ok {
					w.Stats().addTo(fields)
				}
				b.deps.Points.WritePoint("bridge", map[string]string{"bridge": b.cfg.ID}, fields, at.UTC())
			}
			before = now
		}
	}
}

// fields are the figures by the names of their metrics. Beside them stands
// batch_messages, the mean since the last point.
func (s Stats) fields() map[string]any {
	f := map[string]any{
		"received":                      s.Received,
		"repeated":                      s.Repeated,
		"ignored":                       s.Ignored,
		"foreign":                       s.Foreign,
		"messages":                      s.Messages,
		"gaps":                          s.Gaps,
		"relevant":                      s.Relevant,
		"events":                        s.Events,
		"signals":                       s.Signals,
		"signal_failures":               s.SignalFailures,
		"dead_letters":                  s.DeadLetters,
		"dead_letters_unpublished":      s.DeadLettersUnpublished,
		"connects":                      s.Connects,
		"connections_lost":              s.ConnectionsLost,
		"sessions_lost":                 s.SessionsLost,
		"connected":                     s.Connected,
		"temporal_outage":               s.TemporalOutage,
		"window_messages":               s.Window,
		"held_messages":                 s.Held,
		"oldest_unacknowledged_seconds": s.Oldest.Seconds(),
		"signals_in_flight":             s.InFlight,
		"signals_limit":                 s.InFlightLimit,
		"linger_seconds":                s.Linger.Seconds(),
		"devices_resting":               s.Resting,
		"devices_waiting":               s.Waiting,
		"devices_stuck":                 s.Stuck,
		"devices_known":                 s.Devices,
	}
	for reason, n := range s.DeadLettersByReason {
		f["dead_letters_"+string(reason)] = n
	}
	return f
}
