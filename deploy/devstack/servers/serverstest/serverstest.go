// Package serverstest starts real servers for tests.
package serverstest

import (
	"errors"
	"os"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
)

// Required is the environment variable that makes it a failure if a server is not
// installed: in continuous integration no test may be left out.
const Required = "CI_SERVERS"

// Need fails the test for an error. For a server that is not installed, it skips the
// test instead, unless Required is set.
func Need(t testing.TB, err error) {
	t.Helper()
	var missing *servers.NotInstalledError
	switch {
	case err == nil:
	case errors.As(err, &missing) && os.Getenv(Required) == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// InfluxDB starts an InfluxDB 2 that keeps points for a time (0: forever), with its
// bucket and its tokens. It ends with the test.
func InfluxDB(t testing.TB, ports *process.PortPool, keep time.Duration) *servers.InfluxDB {
	t.Helper()
	port, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Give(port...) })
	i, err := servers.NewInfluxDB(t.TempDir(), "influxdb", t.TempDir(), port[0])
	Need(t, err)
	t.Cleanup(func() {
		i.Kill()
		if t.Failed() {
			t.Logf("InfluxDB said:\n%s", i.LastWords())
		}
	})
	if err := i.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Setup(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
	return i
}
