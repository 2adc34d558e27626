package stack

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"

	twinclient "devicetwin/workflows/client"
)

// Namespace is the Temporal namespace that the stack makes.
const Namespace = "default"

const (
	temporalStartTimeout = 45 * time.Second
	temporalStopTimeout  = 20 * time.Second
	readyPause           = 20 * time.Millisecond
)

// Temporal is a Temporal server with all its services on one SQLite database,
// with namespace Namespace and the search attributes of device workflows.
type Temporal struct {
	server  temporal.Server
	log     temporalLog
	host    string
	port    int
	release func()
}

func startTemporal(ctx context.Context, o Options, dir string, release func()) (*Temporal, error) {
	t, err := newTemporal(o, dir)
	if err != nil {
		release()
		return nil, err
	}
	t.release = release
	if err := t.start(ctx); err != nil {
		t.stopServer()
		return nil, err
	}
	return t, nil
}

func newTemporal(o Options, dir string) (*Temporal, error) {
	store, err := openSQLite(dir, o.SyncAlways)
	if err != nil {
		return nil, err
	}
	ports, err := temporalPorts(o.Host, o.Ports.Temporal)
	if err != nil {
		return nil, err
	}
	log := newTemporalLog(o.Logger.With(slog.String("part", string(PartTemporal))))
	hosts := map[primitives.ServiceName]static.Hosts{}
	for service, port := range ports {
		hosts[service] = static.SingleLocalHost(hostPort(o.Host, port))
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(temporalConfig(o.Host, ports, store)),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(log),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithDynamicConfigClient(dynamicConfig()),
	)
	if err != nil {
		return nil, fmt.Errorf("configure the Temporal server: %w", err)
	}
	return &Temporal{server: server, log: log, host: o.Host, port: ports[primitives.FrontendService]}, nil
}

func (t *Temporal) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, temporalStartTimeout)
	defer cancel()
	// Start has a timeout of its own, which the stack does not wait for.
	if err := within(temporalStartTimeout, t.server.Start); err != nil {
		return fmt.Errorf("start the Temporal server: %w", err)
	}
	return t.awaitReady(ctx)
}

// awaitReady waits until the namespace can be used: its frontend serves before
// it has loaded the namespaces and their search attributes. It adds those that
// are missing: a data directory of an earlier release has the attributes of its
// time.
func (t *Temporal) awaitReady(ctx context.Context) error {
	c, err := client.NewLazyClient(client.Options{HostPort: t.Addr(), Namespace: Namespace, Logger: t.log.sdk()})
	if err != nil {
		return fmt.Errorf("make a Temporal client: %w", err)
	}
	defer c.Close()
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := twinclient.AddSearchAttributes(attempt, c.OperatorService(), Namespace)
		if err == nil {
			err = twinclient.CheckSearchAttributes(attempt, c, Namespace)
		}
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the Temporal server was not ready in time: %w", err)
		case <-time.After(readyPause):
		}
	}
}

// Addr is the host and port of the gRPC frontend.
func (t *Temporal) Addr() string { return hostPort(t.host, t.port) }

// Port of the gRPC frontend.
func (t *Temporal) Port() int { return t.port }

// Close stops the server. Workflows and their timers stay on disk.
func (t *Temporal) Close() error { return t.stopServer() }

func (t *Temporal) stopServer() error {
	defer t.release()
	t.log.quiet.Store(true)
	return within(temporalStopTimeout, t.server.Stop)
}
