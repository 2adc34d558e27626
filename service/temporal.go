package service

import (
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"devicetwin/api"
	"devicetwin/devicefsm"
	twinclient "devicetwin/workflows/client"
)

// Dial makes a client that connects when it is first used, so that a
// process starts, and says that it is not ready, while Temporal is away.
func (c TemporalConfig) Dial(metrics prometheus.Registerer, log *slog.Logger) (client.Client, error) {
	handler, err := temporalMetrics(metrics, log)
	if err != nil {
		return nil, err
	}
	options := client.Options{
		HostPort: c.Address, Namespace: c.Namespace, Logger: temporalLogger(log), MetricsHandler: handler,
		ConnectionOptions: client.ConnectionOptions{
			DialOptions: []grpc.DialOption{grpc.WithKeepaliveParams(keepalive.ClientParameters{
				Time: 15 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
			})},
		},
	}
	if c.onThisMachine() {
		// The SDK's default is gzip, which costs more here than it saves.
		options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	if c.APIKey != "" {
		options.Credentials = client.NewAPIKeyStaticCredentials(c.APIKey)
	}
	options.ConnectionOptions.TLS, err = c.tlsConfig()
	if err != nil {
		return nil, &ConfigError{err}
	}
	if err := c.encrypt(&options); err != nil {
		return nil, err
	}
	temporal, err := client.NewLazyClient(options)
	if err != nil {
		return nil, fmt.Errorf("make client for Temporal at %s: %w", c.Address, err)
	}
	return temporal, nil
}

func (c TemporalConfig) onThisMachine() bool {
	host, _, err := net.SplitHostPort(c.Address)
	return err == nil && api.IsLoopback(host)
}

// temporalLogger lets the SDK's warnings through: its information is about
// single workflow tasks.
func temporalLogger(log *slog.Logger) tlog.Logger {
	return tlog.NewStructuredLogger(slog.New(leastLevel{log.Handler(), slog.LevelWarn}))
}

// stickyWorkflows is how many device workflows a worker keeps in memory; any
// other is rebuilt from its history when it gets a signal.
const stickyWorkflows = 20_000

// workerOptions have pollers that follow the load: with a fixed number, a burst
// of new devices waits while the CPU idles.
func workerOptions() worker.Options {
	pollers := worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{})
	return worker.Options{
		WorkflowTaskPollerBehavior:             pollers,
		ActivityTaskPollerBehavior:             pollers,
		MaxConcurrentWorkflowTaskExecutionSize: 200,
		MaxConcurrentActivityExecutionSize:     200,
		WorkerStopTimeout:                      ShutdownTimeout,
	}
}

// Twins makes the client of the device workflows.
func (c TemporalConfig) Twins(temporal client.Client, model *devicefsm.Model) *twinclient.Client {
	return twinclient.New(temporal, c.Namespace, c.TaskQueue, model.Hash())
}
