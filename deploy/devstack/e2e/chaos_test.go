package e2e

import (
	"os/exec"
	"testing"

	"devicetwin/deploy/devstack/chaos"
	"devicetwin/deploy/devstack/process"
)

// The short form of make chaos: a part or a link of each kind.
func TestChaos(t *testing.T) {
	brokers := []process.BrokerKind{process.NATS, process.Mosquitto}
	if _, err := process.FindMosquitto(); err != nil {
		t.Logf("left out what needs Mosquitto: %v", err)
		brokers = brokers[:1]
	}
	cases, err := chaos.Cases(nil, brokers, true)
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
