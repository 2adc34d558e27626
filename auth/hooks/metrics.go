package hooks

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How a request ends.
const (
	outcomeAllowed = "allowed"
	outcomeDenied  = "denied"
	outcomeBad     = "bad"     // no broker sends it
	outcomeUnknown = "unknown" // without the secret
)

func outcomeOf(allowed bool) string {
	if allowed {
		return outcomeAllowed
	}
	return outcomeDenied
}

type metrics struct {
	requests *prometheus.CounterVec
	refused  *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "devicetwin_auth_requests_total", Help: "Requests of brokers, by broker and outcome: allowed, denied, bad, unknown (without the secret).",
		}, []string{"broker", "outcome"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "devicetwin_auth_refused_total", Help: "Refused logins, by reason: name, client_id, password, certificate, store (passwords cannot be read).",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "devicetwin_auth_request_seconds", Help: "Duration of requests, by broker.", Buckets: prometheus.ExponentialBuckets(0.00005, 4, 9),
		}, []string{"broker"}),
	}
}

func (m *metrics) register(to prometheus.Registerer) error {
	if to == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.refused, m.seconds} {
		if err := to.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) count(broker, outcome string, took time.Duration) {
	m.requests.WithLabelValues(broker, outcome).Inc()
	m.seconds.WithLabelValues(broker).Observe(took.Seconds())
}
