// Package serverstest starts real servers for tests.
package serverstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
	"devicetwin/internal/testserver"
)

// Need fails the test for an error. For a server that is not installed, or that this
// user may not start, it skips the test instead, unless servers are testserver.Required.
func Need(t testing.TB, err error) {
	t.Helper()
	var missing *servers.NotInstalledError
	switch {
	case err == nil:
	case errors.As(err, &missing), errors.Is(err, servers.ErrNotRoot):
		testserver.Missing(t, err.Error())
	default:
		t.Fatal(err)
	}
}

// InfluxDB starts an InfluxDB 2 that keeps points for a time (0: forever), with its
// bucket and its tokens. It ends with the test.
func InfluxDB(t testing.TB, ports *process.PortPool, keep time.Duration) *servers.InfluxDB {
	t.Helper()
	i, err := servers.NewInfluxDB(t.TempDir(), "influxdb", t.TempDir(), take(t, ports, 1)[0])
	Need(t, err)
	run(t, i)
	if err := i.Setup(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
	return i
}

// PostgreSQL starts a PostgreSQL without databases. It ends with the test.
func PostgreSQL(t testing.TB, ports *process.PortPool) *servers.PostgreSQL {
	t.Helper()
	// Not in a folder of the test, which only this user can enter.
	data, err := os.MkdirTemp("", "postgresql-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	p, err := servers.NewPostgreSQL(t.TempDir(), "postgresql", data, take(t, ports, 1)[0])
	Need(t, err)
	run(t, p)
	t.Cleanup(func() { _ = p.Stop() }) // its children would write to the folder after a kill
	return p
}

// OpenSearch starts an OpenSearch without indices. It ends with the test.
func OpenSearch(t testing.TB, ports *process.PortPool) *servers.OpenSearch {
	t.Helper()
	taken := take(t, ports, 2)
	o, err := servers.NewOpenSearch(t.TempDir(), "opensearch", t.TempDir(), taken[0], taken[1])
	Need(t, err)
	run(t, o)
	return o
}

// Temporal starts a Temporal on a PostgreSQL that was just started, which looks for
// workflows there or in an OpenSearch, if there is one. It has no namespace, and ends
// with the test.
func Temporal(t testing.TB, ports *process.PortPool, store *servers.PostgreSQL, search *servers.OpenSearch) *servers.Temporal {
	t.Helper()
	temporal, err := servers.NewTemporal(t.TempDir(), "temporal", store, search, take(t, ports, servers.TemporalPorts))
	Need(t, err)
	Need(t, temporal.Setup(t.Context()))
	run(t, temporal)
	return temporal
}

// Kafka starts a cluster of Apache Kafka without topics, of so many brokers, with settings of all
// of them such as "num.partitions=3". It ends with the test.
func Kafka(t testing.TB, ports *process.PortPool, brokers int, settings ...string) *servers.Kafka {
	t.Helper()
	var names []string
	for i := range brokers {
		names = append(names, fmt.Sprint("kafka-", i+1))
	}
	k, err := servers.NewKafka(t.TempDir(), t.TempDir(), names, take(t, ports, brokers+1), settings...)
	Need(t, err)
	for _, n := range k.Nodes { // they need each other
		if err := n.Launch(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			n.Kill()
			if t.Failed() {
				t.Logf("%s said:\n%s", n.Name, n.LastWords())
			}
		})
	}
	for _, n := range k.Nodes {
		if err := n.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// Machine boots a Debian, which may read a folder of this system at /src. It ends with
// the test.
func Machine(t testing.TB, name, src string) *servers.Machine {
	t.Helper()
	m, err := servers.NewMachine(t.TempDir(), name, filepath.Join(t.TempDir(), "root"), src+":/src")
	Need(t, err)
	run(t, m)
	return m
}

func take(t testing.TB, ports *process.PortPool, n int) []string {
	t.Helper()
	taken, err := ports.Take(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Give(taken...) })
	return taken
}

// runnable is a *process.Process, or one that has more to do at its end.
type runnable interface {
	Start(context.Context) error
	Kill()
	LastWords() string
}

// run starts a process that ends with the test.
func run(t testing.TB, p runnable) {
	t.Helper()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%T said:\n%s", p, p.LastWords())
		}
	})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}
