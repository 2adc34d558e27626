package points

import (
	"sync/atomic"

	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
)

// counts is what a Writer counts. Its goroutines add to it, anyone may read.
type counts struct {
	*figures.Set

	written, dropped, refused, failures *atomic.Uint64
	queuedPoints, queuedBytes           *atomic.Int64

	backlogBytes, backlogSince          *atomic.Int64
	logDropped, logFailures, logDamages *atomic.Uint64

	outage      atomic.Bool  // InfluxDB is not accepting points
	intake      func() int   // points not yet in a batch
	intakeBytes atomic.Int64 // of them
}

func newCounts(intake func() int) *counts {
	s := figures.NewSet("devicetwin_influx_")
	process := func(name string) figures.Field {
		return figures.Field{Measurement: measure.Process, Name: name, Float: true}
	}
	return &counts{
		Set:    s,
		intake: intake,

		written: s.Counter("points_written_total", "Points that InfluxDB has accepted.", process("points_written")),
		dropped: s.Counter("points_dropped_total", "Points dropped because there was no room for them, or at shutdown.",
			process("points_dropped")),
		refused:  s.Counter("points_refused_total", "Points that InfluxDB rejected permanently.", process("points_refused")),
		failures: s.Counter("failures_total", "Requests to InfluxDB that failed.", process("influx_failures")),

		queuedPoints: s.Gauge("queued_points", "Points in memory, in batches that wait to be written.", process("queued_points")),
		queuedBytes:  s.Gauge("queued_bytes", "Bytes of line protocol in memory that wait to be written."),

		backlogBytes: s.Gauge("backlog_bytes", "Bytes of the log from which points are not yet written to InfluxDB.", process("points_backlog_bytes")),
		backlogSince: s.Age("backlog_seconds", "How long ago the oldest of the points in the log was appended that are not yet written.", process("points_backlog_seconds")),
		logDropped:   s.Counter("log_points_dropped_total", "Of the points dropped: those of the log, because it was full or could not be read, as far as they can be counted."),
		logFailures:  s.Counter("log_failures_total", "Batches that the log did not take, and that waited in memory.", process("points_log_failures")),
		logDamages:   s.Counter("log_damages_total", "Places in the log that could not be read when points were."),
	}
}

// bytes are those of the points that wait in memory.
func (c *counts) bytes() int { return int(c.intakeBytes.Load() + c.queuedBytes.Load()) }

// waiting is how many points wait in memory.
func (c *counts) waiting() int { return c.intake() + int(c.queuedPoints.Load()) }

// Declared is the metrics of a Writer, for those who draw or write what it counts.
func Declared() *figures.Set { return newCounts(func() int { return 0 }).Set }

// Metric reads one of the metrics devicetwin_influx_…, by the rest of its name, such
// as "points_written_total". It panics if there is no such metric.
func (w *Writer) Metric(name string) float64 { return w.counts.Value(name) }
