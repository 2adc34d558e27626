package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// A fleet of plugs that speak Tasmota, and bridge and worker that understand it: what they
// publish is applied once and in order, and each that crashes in a loop comes back with the
// credentials that it was given in its own words.
func TestSimulatorSpeaksTasmota(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	out, err := program(t, "devstack", "demo", "--dialect", "tasmota", "--devices", "40", "--rate", "2", "--duration", "25s", "--seed", "1", "--report", file).CombinedOutput()
	if err != nil {
		t.Errorf("devstack demo: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "CLEAN") {
		t.Errorf("the output does not say CLEAN:\n%s", out)
	}
	report := readReport(t, file)
	expectClean(t, report, 3)
	// Nothing was restarted and no connection of the service was lost, so that nothing may have been applied twice.
	if report.AppliedAgain > 0 {
		t.Errorf("%d messages were applied again", report.AppliedAgain)
	}
	if report.Scenario != "plug" || report.Devices != 40 || report.Sent < 2000 || report.Unnumbered != report.Sent || report.Crossings == 0 {
		t.Errorf("%d devices of scenario %s sent %d messages, %d without a number, and crossed the level %d times; want 40 plugs, at least 2000, all without, and some",
			report.Devices, report.Scenario, report.Sent, report.Unnumbered, report.Crossings)
	}
}
