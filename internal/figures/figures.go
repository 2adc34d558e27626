package figures

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// PointWriter takes points for InfluxDB. It never blocks.
type PointWriter interface {
	WritePoint(measurement string, tags map[string]string, fields map[string]any, at time.Time)
}

// Sample is a metric that becomes a field.
type Sample struct {
	Field  string
	Metric string // its name in the registry
	// Quantile of a histogram, between 0 and 1. 0: the value of a counter or gauge.
	Quantile float64
}

// Group is the samples of one point.
type Group struct {
	Measurement string
	Samples     []Sample
}

// Writer writes points until its Run ends.
type Writer struct {
	Gatherer prometheus.Gatherer
	Points   PointWriter
	Groups   []Group
	Tags     map[string]string // of all points
	Every    time.Duration
	Log      *slog.Logger

	before map[string]histogram // by the names of their metrics
}

// Run writes until ctx ends. It is called once.
func (w *Writer) Run(ctx context.Context) {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			w.write(at.UTC())
		}
	}
}

func (w *Writer) write(at time.Time) {
	families, err := w.Gatherer.Gather()
	if err != nil { // what could be gathered is there nevertheless
		w.Log.Debug("metrics could not all be gathered", "error", err)
	}
	byName := make(map[string]*dto.MetricFamily, len(families))
	for _, f := range families {
		byName[f.GetName()] = f
	}
	now := make(map[string]histogram)
	for _, g := range w.Groups {
		fields := map[string]any{}
		for _, s := range g.Samples {
			family, ok := byName[s.Metric]
			if !ok {
				continue
			}
			if s.Quantile == 0 {
				fields[s.Field] = total(family)
				continue
			}
			if _, read := now[s.Metric]; !read {
				now[s.Metric] = readHistogram(family)
			}
			if v, ok := now[s.Metric].since(w.before[s.Metric]).quantile(s.Quantile); ok {
				fields[s.Field] = v
			}
		}
		if len(fields) > 0 {
			w.Points.WritePoint(g.Measurement, w.Tags, fields, at)
		}
	}
	w.before = now
}

// total sums a counter or gauge over its label sets.
func total(f *dto.MetricFamily) float64 {
	sum := 0.0
	for _, m := range f.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
	}
	return sum
}
