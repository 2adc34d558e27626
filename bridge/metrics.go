package bridge

import (
	"context"
	"sync/atomic"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
)

// counters is what a bridge counts in addition to its ingest. The goroutines that do the
// work add to it, anyone may read.
type counters struct {
	*figures.Set
	*ingest.Counts

	unanswered, deadLettersUnpublished   *atomic.Uint64
	asked, unasked                       *atomic.Uint64
	connects, connectsLost, sessionsLost *atomic.Uint64
	connected, contended                 *atomic.Bool
	silent                               *atomic.Int64
}

func newCounters() *counters {
	s := figures.NewSet("devicetwin_bridge_")
	field := func(name string) figures.Field { return figures.Field{Measurement: measure.Bridge, Name: name} }
	return &counters{
		Set:    s,
		Counts: ingest.NewCounts(s),

		unanswered: s.Counter("answers_unpublished_total", "Responses of the bridge that could not be published."),
		asked:      s.Counter("questions_total", "Questions to devices, in the words of their dialects, that the broker has taken.", field("questions")),
		unasked:    s.Counter("questions_unpublished_total", "Questions to devices that could not be published, or for which there was no room."),

		deadLettersUnpublished: s.Counter("dead_letters_unpublished_total", "Dead letters that could not be published.",
			field("dead_letters_unpublished")),

		connects:     s.Counter("connects_total", "Connections to the broker.", field("connects")),
		connectsLost: s.Counter("connections_lost_total", "Connections to the broker that were lost.", field("connections_lost")),
		sessionsLost: s.Counter("sessions_lost_total", "Reconnections on which the broker had forgotten the session.", field("sessions_lost")),
		connected:    s.Switch("connected", "1 while connected to the broker and subscribed.", field("broker_connected")),
		contended:    s.Flag("contended", "1 while the broker ends each connection soon after it began: probably another client uses the same client id."),
		silent: s.Gauge("devices_silent", "Known devices that have sent nothing for longer than the liveness of their model allows.",
			field("devices_silent")),
	}
}

// Declared is the metrics of a bridge, for those who draw or write what it counts.
func Declared() *figures.Set { return newCounters().Set }

// report counts silent devices every so often, and logs what was refused since the
// last time.
func (b *Bridge) report(ctx context.Context) {
	tick := time.NewTicker(b.cfg.FiguresEvery)
	defer tick.Stop()
	var before uint64
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			b.counts.silent.Store(int64(b.ingest.Silent(at)))
			now, byReason := b.counts.Refused()
			if now > before {
				b.log.Warn("messages were refused; see the dead letters", "count", now-before, "total", now, "by_reason", byReason)
			}
			before = now
		}
	}
}
