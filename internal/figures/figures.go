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

// Kind is the type of a field. InfluxDB refuses a point whose field has another
// type than before.
type Kind int

const (
	Number  Kind = iota // float64
	Whole               // int64
	Boolean             // bool; true unless the value is 0
)

// Sample is a metric that becomes a field.
type Sample struct {
	Field  string
	Metric string // its name in the registry
	As     Kind
	// Label selects the label sets that have this value. Empty: all, summed up.
	Label string
	// Quantile of a histogram, between 0 and 1. 0: the value of a counter or gauge.
	Quantile float64
	// Per is another metric: the field is the growth of Metric since the previous
	// point, divided by the growth of Per, and left out if Per did not grow.
	Per string
}

// Group is the samples of one point.
type Group struct {
	Measurement string
	Tags        map[string]string
	Samples     []Sample
}

// Writer writes points until its Run ends.
type Writer struct {
	Gatherer prometheus.Gatherer
	Points   PointWriter
	Groups   []Group
	Every    time.Duration
	Log      *slog.Logger

	before reading
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
	now := w.read()
	for _, g := range w.Groups {
		fields := map[string]any{}
		for _, s := range g.Samples {
			if v, ok := now.value(s, w.before); ok {
				fields[s.Field] = s.As.of(v)
			}
		}
		if len(fields) > 0 {
			w.Points.WritePoint(g.Measurement, g.Tags, fields, at)
		}
	}
	w.before = now
}

// read gathers the registry.
func (w *Writer) read() reading {
	families, err := w.Gatherer.Gather()
	if err != nil { // what could be gathered is there nevertheless
		w.Log.Debug("cannot gather all metrics", "error", err)
	}
	r := reading{families: make(map[string]*dto.MetricFamily, len(families)), histograms: map[string]histogram{}}
	for _, f := range families {
		r.families[f.GetName()] = f
	}
	return r
}

func (k Kind) of(v float64) any {
	switch k {
	case Whole:
		return int64(v)
	case Boolean:
		return v != 0
	}
	return v
}

// reading is the metrics of a moment, by name.
type reading struct {
	families   map[string]*dto.MetricFamily
	histograms map[string]histogram // those that were asked for
}

// value is what a sample is now; ok is false if there is nothing to be written.
func (r reading) value(s Sample, before reading) (v float64, ok bool) {
	family, ok := r.families[s.Metric]
	switch {
	case !ok:
		return 0, false
	case s.Quantile != 0:
		return r.histogram(s.Metric).since(before.histogram(s.Metric)).quantile(s.Quantile)
	case s.Per != "":
		per := r.growth(s.Per, before)
		return r.growth(s.Metric, before) / per, per > 0
	}
	return total(family, s.Label), true
}

func (r reading) growth(metric string, before reading) float64 {
	return total(r.families[metric], "") - total(before.families[metric], "")
}

func (r reading) histogram(metric string) histogram {
	family, ok := r.families[metric]
	if !ok {
		return nil
	}
	if _, read := r.histograms[metric]; !read {
		r.histograms[metric] = readHistogram(family)
	}
	return r.histograms[metric]
}

// total sums a counter or gauge over its label sets, or those with a label of the
// given value.
func total(f *dto.MetricFamily, label string) float64 {
	sum := 0.0
	for _, m := range f.GetMetric() {
		if label != "" && !hasLabel(m, label) {
			continue
		}
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
	}
	return sum
}

func hasLabel(m *dto.Metric, value string) bool {
	for _, l := range m.GetLabel() {
		if l.GetValue() == value {
			return true
		}
	}
	return false
}
