package points

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
)

// counts is what a Writer counts.
type counts struct {
	written  atomic.Uint64
	dropped  atomic.Uint64
	refused  atomic.Uint64
	failures atomic.Uint64

	spoolDropped  atomic.Uint64 // points, which are among the dropped
	spoolFailures atomic.Uint64
	spoolDamages  atomic.Uint64
	spoolBytes    atomic.Int64
	spoolSegments atomic.Int64
	spoolPoints   atomic.Int64
	spoolOldest   atomic.Int64 // Unix ms; 0: the spool is empty

	intakeBytes  atomic.Int64 // of points not yet in a batch
	queuedPoints atomic.Int64
	queuedBytes  atomic.Int64
	outage       atomic.Bool
}

// Stats is what a Writer has done, in points.
type Stats struct {
	Written  uint64
	Dropped  uint64 // because there was no room, or at the end
	Refused  uint64 // by InfluxDB, for good
	Failures uint64 // requests that failed
	Queued   int    // points that wait
	Bytes    int    // of the points that wait in memory
	Outage   bool   // InfluxDB does not take points now

	SpoolPoints   int           // of the points that wait
	SpoolBytes    int64         // of the spool's files
	SpoolSegments int           // its files
	SpoolOldest   time.Duration // age of the oldest point in it
	SpoolDropped  uint64        // of the dropped: because the spool was full, or could not be read
	SpoolFailures uint64        // batches that could not be put into it at first
}

// Stats reports what the writer has done and where it stands.
func (w *Writer) Stats() Stats {
	c := &w.counts
	return Stats{
		Written: c.written.Load(), Dropped: c.dropped.Load(), Refused: c.refused.Load(), Failures: c.failures.Load(),
		Queued: int(c.queuedPoints.Load()+c.spoolPoints.Load()) + len(w.intake), Bytes: int(c.queuedBytes.Load() + c.intakeBytes.Load()),
		Outage:      c.outage.Load(),
		SpoolPoints: int(c.spoolPoints.Load()), SpoolBytes: c.spoolBytes.Load(), SpoolSegments: int(c.spoolSegments.Load()),
		SpoolOldest: c.spoolAge(), SpoolDropped: c.spoolDropped.Load(), SpoolFailures: c.spoolFailures.Load(),
	}
}

func (c *counts) spoolAge() time.Duration {
	oldest := c.spoolOldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(time.Since(time.UnixMilli(oldest)), 0)
}

// AddTo adds the figures to the fields of a point.
func (s Stats) AddTo(fields map[string]any) {
	fields[measure.BridgeInfluxWritten] = s.Written
	fields[measure.BridgeInfluxDropped] = s.Dropped
	fields[measure.BridgeInfluxRefused] = s.Refused
	fields[measure.BridgeInfluxFailures] = s.Failures
	fields[measure.BridgeInfluxQueued] = s.Queued
	fields[measure.BridgeInfluxOutage] = s.Outage
	fields[measure.BridgeInfluxSpoolPoints] = s.SpoolPoints
	fields[measure.BridgeInfluxSpoolBytes] = s.SpoolBytes
	fields[measure.BridgeInfluxSpoolOldestSeconds] = s.SpoolOldest.Seconds()
	fields[measure.BridgeInfluxSpoolDropped] = s.SpoolDropped
}

func (c *counts) register(to prometheus.Registerer) error {
	const influx figures.Prefix = "devicetwin_influx_"
	return figures.RegisterAll(to, []prometheus.Collector{
		influx.Counter("points_written_total", "Points that InfluxDB has taken.", &c.written),
		influx.Counter("points_dropped_total", "Points lost because there was no room for them, or at the end.", &c.dropped),
		influx.Counter("points_refused_total", "Points that InfluxDB refused for good.", &c.refused),
		influx.Counter("failures_total", "Requests to InfluxDB that failed.", &c.failures),
		influx.Gauge("queued_points", "Points in memory, in batches that wait to be written.", &c.queuedPoints),
		influx.Gauge("queued_bytes", "Bytes of line protocol in memory that wait to be written.", &c.queuedBytes),
		influx.Gauge("spool_points", "Points in the spool.", &c.spoolPoints),
		influx.Gauge("spool_bytes", "Bytes of the spool's segments.", &c.spoolBytes),
		influx.Gauge("spool_segments", "Segments (files) of the spool.", &c.spoolSegments),
		influx.Counter("spool_points_dropped_total", "Of the points lost: those of the spool, because it was full or could not be read.", &c.spoolDropped),
		influx.Counter("spool_failures_total", "Batches that could not be put into the spool and waited in memory.", &c.spoolFailures),
		influx.Counter("spool_damages_total", "Places of the spool that could not be read.", &c.spoolDamages),
		influx.GaugeOf("spool_oldest_seconds", "Age of the oldest points in the spool.",
			func() float64 { return c.spoolAge().Seconds() }),
	})
}
