package bridge

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// influxCounts is what an InfluxWriter counts.
type influxCounts struct {
	written  atomic.Uint64
	dropped  atomic.Uint64
	refused  atomic.Uint64
	failures atomic.Uint64

	intakeBytes  atomic.Int64 // of points not yet in a batch
	queuedPoints atomic.Int64
	queuedBytes  atomic.Int64
	outage       atomic.Bool
}

// InfluxStats is what an InfluxWriter has done, in points.
type InfluxStats struct {
	Written  uint64
	Dropped  uint64 // because the queue was full, or at the end
	Refused  uint64 // by InfluxDB, for good
	Failures uint64 // requests that failed
	Queued   int    // points that wait
	Bytes    int    // of the points that wait
	Outage   bool   // InfluxDB does not take points now
}

// Stats tells what the writer has done and where it stands.
func (w *InfluxWriter) Stats() InfluxStats {
	c := &w.counts
	return InfluxStats{
		Written: c.written.Load(), Dropped: c.dropped.Load(), Refused: c.refused.Load(), Failures: c.failures.Load(),
		Queued: int(c.queuedPoints.Load()) + len(w.intake), Bytes: int(c.queuedBytes.Load() + c.intakeBytes.Load()),
		Outage: c.outage.Load(),
	}
}

// addTo adds the figures to the fields of a point.
func (s InfluxStats) addTo(fields map[string]any) {
	fields["influx_written"] = s.Written
	fields["influx_dropped"] = s.Dropped
	fields["influx_refused"] = s.Refused
	fields["influx_failures"] = s.Failures
	fields["influx_queued"] = s.Queued
	fields["influx_outage"] = s.Outage
}

func (c *influxCounts) register(to prometheus.Registerer) error {
	counter := func(name, help string, v *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "devicetwin_influx_" + name, Help: help},
			func() float64 { return float64(v.Load()) })
	}
	gauge := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "devicetwin_influx_" + name, Help: help},
			func() float64 { return float64(v.Load()) })
	}
	return registerAll(to, []prometheus.Collector{
		counter("points_written_total", "Points that InfluxDB has taken.", &c.written),
		counter("points_dropped_total", "Points lost because the queue was full, or at the end.", &c.dropped),
		counter("points_refused_total", "Points that InfluxDB refused for good.", &c.refused),
		counter("failures_total", "Requests to InfluxDB that failed.", &c.failures),
		gauge("queued_points", "Points in batches that wait to be written.", &c.queuedPoints),
		gauge("queued_bytes", "Bytes of line protocol that wait to be written.", &c.queuedBytes),
	})
}
