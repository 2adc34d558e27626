package e2e

import (
	"os/exec"
	"testing"

	"devicetwin/deploy/devstack/chaos"
	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
	"devicetwin/deploy/devstack/servers/serverstest"
)

// The short form of make chaos: a part or a link of each kind.
func TestChaos(t *testing.T) { shortChaos(t, chaos.Influx1) }

// The short form of make chaos INFLUX=2: a killed InfluxDB 2, and points that it does
// not keep any more among those of the fleet.
func TestChaosInflux2(t *testing.T) {
	_, err := servers.FindInfluxDB()
	serverstest.Need(t, err)
	shortChaos(t, chaos.Influx2)
}

func shortChaos(t *testing.T, influx chaos.Influx) {
	t.Helper()
	brokers := []process.BrokerKind{process.NATS, process.Mosquitto}
	if _, err := process.FindMosquitto(); err != nil {
		t.Logf("left out what needs Mosquitto: %v", err)
		brokers = brokers[:1]
	}
	cases, err := chaos.Cases(nil, brokers, true, influx)
	if err != nil {
		t.Fatal(err)
	}
	report, err := chaos.Run(t.Context(), chaos.Options{
		Program: func(name string, args ...string) *exec.Cmd { return program(t, name, args...) },
		Cases:   cases, Out: t.Output(), // logs of failed cases stay in the temporary folder
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.WriteTable(t.Output()); err != nil {
		t.Fatal(err)
	}
	if !report.Clean || len(report.Outcomes) != len(cases) {
		t.Errorf("%d of %d cases are in the report, which has violations", len(report.Outcomes), len(cases))
	}
}
