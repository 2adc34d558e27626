package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/bench"
	"devicetwin/deploy/devstack/process"
)

// The cheapest cases of make bench-e2e, a second each: that they work, and that
// their ledgers have no violations. How fast they are is not for a test to say.
func TestBench(t *testing.T) {
	only := []string{"latency", "stream", "bridge-memory", "broker-alone"}
	report, err := bench.Run(t.Context(), bench.Options{
		Program: func(name string, args ...string) *exec.Cmd { return program(t, name, args...) },
		Only:    only, Broker: process.NATS, Lasts: time.Second, Devices: 100, Known: 5000,
		Dir: t.TempDir(), Out: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	if !report.Clean || len(report.Rows) != len(only) {
		t.Errorf("%d of %d cases are in the report; clean is %t", len(report.Rows), len(only), report.Clean)
	}
	for _, row := range report.Rows {
		if !slices.Contains(only, row.Case) || row.Value <= 0 || row.Unit == "" || row.What == "" {
			t.Errorf("row %+v", row)
		}
		if row.Case == "latency" && (row.P50 == nil || row.P99 == nil || *row.P50 <= 0 || *row.P99 < *row.P50 || len(row.Targets) != 2) {
			t.Errorf("latencies of row %+v", row)
		}
	}
}
