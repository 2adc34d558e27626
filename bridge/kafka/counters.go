package kafka

import (
	"sync/atomic"

	"devicetwin/bridge/ingest"
	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
)

// counters is what a Source counts in addition to its ingest.
type counters struct {
	*figures.Set
	*ingest.Counts

	holes, lost, dropped            *atomic.Uint64
	rebalances                      *atomic.Uint64
	commits, commitsFailed          *atomic.Uint64
	letters, lettersFailed          *atomic.Uint64
	partitions, stopped, still, lag *atomic.Int64
}

// Declared is the metrics of a source, those of its ingest too.
func Declared() *figures.Set { return newCounters().Set }

func newCounters() *counters {
	s := figures.NewSet("devicetwin_bridge_")
	field := func(name string) figures.Field { return figures.Field{Measurement: measure.Bridge, Name: name} }
	return &counters{
		Set:    s,
		Counts: ingest.NewCounts(s),

		holes:         s.Counter("kafka_holes_total", "Assignments of a partition whose first record was not at the offset that the group had committed.", field("kafka_holes")),
		lost:          s.Counter("kafka_records_lost_total", "Records that were gone before they could be read, as far as their number is known.", field("kafka_records_lost")),
		dropped:       s.Counter("kafka_records_dropped_total", "Records that were fetched and not taken, because their partition was lost.", field("kafka_records_dropped")),
		rebalances:    s.Counter("kafka_rebalances_total", "Changes of the partitions that the bridge has.", field("kafka_rebalances")),
		commits:       s.Counter("kafka_commits_total", "Commits of offsets.", field("kafka_commits")),
		commitsFailed: s.Counter("kafka_commits_failed_total", "Commits of offsets that failed; they are repeated.", field("kafka_commits_failed")),
		letters:       s.Counter("kafka_dead_letters_total", "Dead letters that were written to their topic.", field("kafka_dead_letters")),
		lettersFailed: s.Counter("kafka_dead_letters_failed_total", "Attempts to write a dead letter that failed; they are repeated.", field("kafka_dead_letters_failed")),
		partitions:    s.Gauge("kafka_partitions", "Partitions that the bridge has.", field("kafka_partitions")),
		stopped:       s.Gauge("kafka_partitions_stopped", "Partitions of which nothing is read, because records are gone.", field("kafka_partitions_stopped")),
		still:         s.Gauge("kafka_partitions_still", "Partitions with records that have not moved for some time.", field("kafka_partitions_still")),
		lag:           s.Gauge("kafka_lag", "Offsets from what was accepted to the end of the partitions, as far as it is known.", field("kafka_lag")),
	}
}
