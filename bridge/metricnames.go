package bridge

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metricPrefix makes metrics whose names begin with it.
type metricPrefix string

func (p metricPrefix) counter(name, help string, v *atomic.Uint64) prometheus.Collector {
	return p.counterFor(nil, name, help, v)
}

// counterFor makes one of the counters of a name, which differ in their labels.
func (p metricPrefix) counterFor(labels prometheus.Labels, name, help string, v *atomic.Uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: string(p) + name, Help: help, ConstLabels: labels},
		func() float64 { return float64(v.Load()) })
}

func (p metricPrefix) gauge(name, help string, v *atomic.Int64) prometheus.Collector {
	return p.gaugeOf(name, help, func() float64 { return float64(v.Load()) })
}

// gaugeOf makes a gauge whose value is worked out when it is asked for.
func (p metricPrefix) gaugeOf(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: string(p) + name, Help: help}, value)
}

func registerAll(to prometheus.Registerer, all []prometheus.Collector) error {
	for _, metric := range all {
		if err := to.Register(metric); err != nil {
			return fmt.Errorf("registering a metric: %w", err)
		}
	}
	return nil
}
