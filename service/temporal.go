package service

import (
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"devicetwin/api"
	twinclient "devicetwin/workflows/client"
)

// Dial makes a client that connects when it is first used, so that a
// process starts, and reports that it is not ready, while Temporal is unreachable.
func (c TemporalServer) Dial(metrics prometheus.Registerer, log *slog.Logger) (client.Client, error) {
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
	if c.onThisHost() {
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

func (c TemporalServer) onThisHost() bool {
	host, _, err := net.SplitHostPort(c.Address)
	return err == nil && api.IsLoopback(host)
}

// temporalLogger lets the SDK's warnings through: its information is about
// single workflow tasks.
func temporalLogger(log *slog.Logger) tlog.Logger {
	return tlog.NewStructuredLogger(slog.New(leastLevel{log.Handler(), slog.LevelWarn}))
}

// Twins makes the client of the device workflows. It starts new ones on the task
// queue with the model of the hash; both may be empty where none are started.
func (c TemporalServer) Twins(temporal client.Client, taskQueue, model string) *twinclient.Client {
	twins := twinclient.New(temporal, c.Namespace, taskQueue, model)
	var options client.Options
	if err := c.encrypt(&options); err == nil && options.FailureConverter != nil { // Dial has reported an error
		twins.ReadFailures(options.FailureConverter).ReadPayloads(options.DataConverter)
	}
	return twins
}
