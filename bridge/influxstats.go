package bridge

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/internal/measure"
)

// influxCounts is what an InfluxWriter counts.
type influxCounts struct {
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

// InfluxStats is what an InfluxWriter has done, in points.
type InfluxStats struct {
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

// Stats tells what the writer has done and where it stands.
func (w *InfluxWriter) Stats() InfluxStats {
	c := &w.counts
	return InfluxStats{
		Written: c.written.Load(), Dropped: c.dropped.Load(), Refused: c.refused.Load(), Failures: c.failures.Load(),
		Queued: int(c.queuedPoints.Load()+c.spoolPoints.Load()) + len(w.intake), Bytes: int(c.queuedBytes.Load() + c.intakeBytes.Load()),
		Outage:      c.outage.Load(),
		SpoolPoints: int(c.spoolPoints.Load()), SpoolBytes: c.spoolBytes.Load(), SpoolSegments: int(c.spoolSegments.Load()),
		SpoolOldest: c.spoolAge(), SpoolDropped: c.spoolDropped.Load(), SpoolFailures: c.spoolFailures.Load(),
	}
}

func (c *influxCounts) spoolAge() time.Duration {
	oldest := c.spoolOldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(time.Since(time.UnixMilli(oldest)), 0)
}

// addTo adds the figures to the fields of a point.
func (s InfluxStats) addTo(fields map[string]any) {
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

func (c *influxCounts) register(to prometheus.Registerer) error {
	const influx metricPrefix = "devicetwin_influx_"
	return registerAll(to, []prometheus.Collector{
		influx.counter("points_written_total", "Points that InfluxDB has taken.", &c.written),
		influx.counter("points_dropped_total", "Points lost because there was no room for them, or at the end.", &c.dropped),
		influx.counter("points_refused_total", "Points that InfluxDB refused for good.", &c.refused),
		influx.counter("failures_total", "Requests to InfluxDB that failed.", &c.failures),
		influx.gauge("queued_points", "Points in memory, in batches that wait to be written.", &c.queuedPoints),
		influx.gauge("queued_bytes", "Bytes of line protocol in memory that wait to be written.", &c.queuedBytes),
		influx.gauge("spool_points", "Points in the spool.", &c.spoolPoints),
		influx.gauge("spool_bytes", "Bytes of the spool's segments.", &c.spoolBytes),
		influx.gauge("spool_segments", "Segments (files) of the spool.", &c.spoolSegments),
		influx.counter("spool_points_dropped_total", "Of the points lost: those of the spool, because it was full or could not be read.", &c.spoolDropped),
		influx.counter("spool_failures_total", "Batches that could not be put into the spool and waited in memory.", &c.spoolFailures),
		influx.counter("spool_damages_total", "Places of the spool that could not be read.", &c.spoolDamages),
		influx.gaugeOf("spool_oldest_seconds", "Age of the oldest points in the spool.",
			func() float64 { return c.spoolAge().Seconds() }),
	})
}
