package service

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
)

// NewRegistry is what every process serves on /metrics, with the figures of the
// process itself in it.
func NewRegistry() *prometheus.Registry {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return metrics
}

// latencyBuckets, in seconds, are those of the bridge's own latencies, and go on to
// the length of a long poll. OpenTelemetry's own are meant for milliseconds.
var latencyBuckets = []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120}

// temporalMetrics lets a Temporal client, and the workers on it, count into a
// registry. The names are the SDK's, with the endings that Prometheus asks for:
// temporal_request_total, temporal_request_latency_seconds.
func temporalMetrics(to prometheus.Registerer, log *slog.Logger) (client.MetricsHandler, error) {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(to),
		otelprometheus.WithoutTargetInfo(), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("export the metrics of the Temporal client: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(exporter),
		sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter),
		sdkmetric.WithView(sdkmetric.NewView(
			sdkmetric.Instrument{Kind: sdkmetric.InstrumentKindHistogram},
			sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: latencyBuckets}},
		)),
	)
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter:                provider.Meter("go.temporal.io/sdk"),
		UseMonotonicCounters: true,
		// Without this it panics.
		OnError: func(err error) { log.Warn("cannot register a metric of the Temporal client", "error", err) },
	}), nil
}
