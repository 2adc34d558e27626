package figures

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Prefix makes metrics whose names begin with it.
type Prefix string

func (p Prefix) Counter(name, help string, v *atomic.Uint64) prometheus.Collector {
	return p.CounterFor(nil, name, help, v)
}

// counterFor makes one of the counters of a name, which differ in their labels.
func (p Prefix) CounterFor(labels prometheus.Labels, name, help string, v *atomic.Uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: string(p) + name, Help: help, ConstLabels: labels},
		func() float64 { return float64(v.Load()) })
}

func (p Prefix) Gauge(name, help string, v *atomic.Int64) prometheus.Collector {
	return p.GaugeOf(name, help, func() float64 { return float64(v.Load()) })
}

// gaugeOf makes a gauge whose value is worked out when it is asked for.
func (p Prefix) GaugeOf(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: string(p) + name, Help: help}, value)
}

func RegisterAll(to prometheus.Registerer, all []prometheus.Collector) error {
	for _, metric := range all {
		if err := to.Register(metric); err != nil {
			return fmt.Errorf("registering a metric: %w", err)
		}
	}
	return nil
}
