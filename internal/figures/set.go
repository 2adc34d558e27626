package figures

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Set is the metrics of one part of the service. Each is declared once, with its
// name, its help and the fields of points that it becomes. From that follow the
// registration with Prometheus (Register), the points (Group), the names that
// dashboards may use (Fields), and what tests read (Value).
//
// A declaration returns the atomic value that the part adds to; that is all that
// counting costs. A name that is declared twice is a panic.
type Set struct {
	prefix     string
	collectors []prometheus.Collector
	values     map[string]func() float64
	samples    map[string][]Sample // by measurement
	metrics    []Metric
}

// Metric is a declaration, for documentation.
type Metric struct {
	Name   string // with the prefix
	Type   string // counter, gauge or histogram
	Help   string
	Fields []Field
}

// NewSet begins a set whose metrics have names that begin with prefix.
func NewSet(prefix string) *Set {
	return &Set{prefix: prefix, values: map[string]func() float64{}, samples: map[string][]Sample{}}
}

// Field is a field of points that a metric becomes.
type Field struct {
	Measurement string
	Name        string
	// Float writes whole numbers and yes-or-no values as floating point numbers.
	Float    bool
	Quantile float64 // as in Sample; for histograms
}

// Counter declares a number that never falls.
func (s *Set) Counter(name, help string, fields ...Field) *atomic.Uint64 {
	v := new(atomic.Uint64)
	s.counter(name, help, nil, v)
	s.declare(Metric{name, "counter", help, fields}, Whole, func() float64 { return float64(v.Load()) })
	return v
}

func (s *Set) counter(name, help string, labels prometheus.Labels, v *atomic.Uint64) {
	s.collectors = append(s.collectors, prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: s.prefix + name, Help: help, ConstLabels: labels},
		func() float64 { return float64(v.Load()) }))
}

// Counters declares a counter for each value of a label. A field is their sum;
// the field of one value has the name of the sum, "_" and the value.
func Counters[L ~string](s *Set, name, label string, values []L, help string, fields ...Field) map[L]*atomic.Uint64 {
	all := make(map[L]*atomic.Uint64, len(values))
	for _, value := range values {
		all[value] = new(atomic.Uint64)
		s.counter(name, help, prometheus.Labels{label: string(value)}, all[value])
	}
	s.declare(Metric{name, "counter", help, fields}, Whole, func() (sum float64) {
		for _, v := range all {
			sum += float64(v.Load())
		}
		return sum
	})
	for _, f := range fields {
		for _, value := range values {
			each := f.sample(s.prefix+name, Whole)
			each.Field, each.Label = f.Name+"_"+string(value), string(value)
			s.samples[f.Measurement] = append(s.samples[f.Measurement], each)
		}
	}
	return all
}

// Gauge declares a number of things.
func (s *Set) Gauge(name, help string, fields ...Field) *atomic.Int64 {
	v := new(atomic.Int64)
	s.gauge(name, help, func() float64 { return float64(v.Load()) }, Whole, fields)
	return v
}

// Flag declares what is true or false; the metric is 1 or 0, and a field is a boolean.
// New ones are better a Switch: Grafana has thresholds and means for numbers only.
func (s *Set) Flag(name, help string, fields ...Field) *atomic.Bool {
	return s.flag(name, help, Boolean, fields)
}

// Switch is a Flag whose fields are 1 or 0, as the metric is.
func (s *Set) Switch(name, help string, fields ...Field) *atomic.Bool {
	return s.flag(name, help, Whole, fields)
}

func (s *Set) flag(name, help string, as Kind, fields []Field) *atomic.Bool {
	v := new(atomic.Bool)
	s.gauge(name, help, func() float64 {
		if v.Load() {
			return 1
		}
		return 0
	}, as, fields)
	return v
}

// Duration declares a duration, stored in nanoseconds; the metric has seconds.
func (s *Set) Duration(name, help string, fields ...Field) *atomic.Int64 {
	v := new(atomic.Int64)
	s.gauge(name, help, func() float64 { return time.Duration(v.Load()).Seconds() }, Number, fields)
	return v
}

// Age declares the time since a moment, stored in Unix milliseconds; 0 means no moment.
// The metric has seconds.
func (s *Set) Age(name, help string, fields ...Field) *atomic.Int64 {
	v := new(atomic.Int64)
	s.gauge(name, help, func() float64 { return Since(v).Seconds() }, Number, fields)
	return v
}

// Since is how long ago the moment of an Age was, and 0 if there is none.
func Since(v *atomic.Int64) time.Duration {
	ms := v.Load()
	if ms == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMilli(ms)))
}

// Histogram declares a histogram; fields are quantiles of it. Its Value is the
// number of observations.
func (s *Set) Histogram(name, help string, buckets []float64, fields ...Field) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: s.prefix + name, Help: help, Buckets: buckets})
	s.collectors = append(s.collectors, h)
	s.declare(Metric{name, "histogram", help, fields}, Number, func() float64 { return observations(h) })
	return h
}

// Ratio declares a field without a metric of its own: the growth of one metric since
// the previous point, divided by the growth of another.
func (s *Set) Ratio(f Field, of, per string) {
	sample := f.sample(s.prefix+of, Number)
	sample.Per = s.prefix + per
	s.samples[f.Measurement] = append(s.samples[f.Measurement], sample)
}

func (s *Set) gauge(name, help string, value func() float64, as Kind, fields []Field) {
	s.collectors = append(s.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: s.prefix + name, Help: help}, value))
	s.declare(Metric{name, "gauge", help, fields}, as, value)
}

func (s *Set) declare(m Metric, as Kind, value func() float64) {
	if _, twice := s.values[m.Name]; twice {
		panic(fmt.Sprintf("metric %s%s is declared twice", s.prefix, m.Name))
	}
	s.values[m.Name] = value
	m.Name = s.prefix + m.Name
	s.metrics = append(s.metrics, m)
	for _, f := range m.Fields {
		s.samples[f.Measurement] = append(s.samples[f.Measurement], f.sample(m.Name, as))
	}
}

func (f Field) sample(metric string, as Kind) Sample {
	if f.Float {
		as = Number
	}
	return Sample{Field: f.Name, Metric: metric, As: as, Quantile: f.Quantile}
}

// Register makes the metrics known to Prometheus.
func (s *Set) Register(to prometheus.Registerer) error {
	for _, metric := range s.collectors {
		if err := to.Register(metric); err != nil {
			return fmt.Errorf("register a metric: %w", err)
		}
	}
	return nil
}

// Value reads a metric by its name without the prefix; of several label sets, the
// sum. It panics if the metric is not declared.
func (s *Set) Value(name string) float64 {
	value, ok := s.values[name]
	if !ok {
		panic(fmt.Sprintf("metric %s%s is not declared", s.prefix, name))
	}
	return value()
}

// Metrics is every declaration, in the order in which they were made.
func (s *Set) Metrics() []Metric { return s.metrics }

// Samples are the fields of a measurement's points.
func (s *Set) Samples(measurement string) []Sample { return s.samples[measurement] }

// Fields are the names of a measurement's fields.
func (s *Set) Fields(measurement string) (names []string) {
	for _, sample := range s.samples[measurement] {
		names = append(names, sample.Field)
	}
	return names
}

// String is every metric with its value, a line for each, sorted.
func (s *Set) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		fmt.Fprintf(&b, "%s%s %v\n", s.prefix, name, s.values[name]())
	}
	return b.String()
}
