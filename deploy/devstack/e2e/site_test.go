package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// shortSite is the example of models with times that fit a test.
func shortSite(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, shorter := range map[string]map[string]string{
		"pump.yaml":          {"silent_after: 5m, tolerance: 30s": "silent_after: 10s, tolerance: 2s"},
		"gateway.yaml":       {},
		"site.yaml":          {"settle: 2m": "settle: 6s"},
		"site.scenario.yaml": {"duration: 7m": "duration: 50s", "at: 20s, down: 6m": "at: 5s, down: 26s"},
	} {
		src, err := os.ReadFile(filepath.Join("..", "..", "..", "models", name))
		if err != nil {
			t.Fatal(err)
		}
		for long, short := range shorter {
			if !bytes.Contains(src, []byte(long)) {
				t.Fatalf("%s lacks %q", name, long)
			}
			src = bytes.Replace(src, []byte(long), []byte(short), 1)
		}
		if err := os.WriteFile(filepath.Join(dir, name), src, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// make demo MODEL=models/site.yaml, in a minute: devices run the models that they name, a gateway is cut, and the
// site has one alarm.
func TestDemoOfASite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	out, err := program(t, "devstack", "demo", "--model", filepath.Join(shortSite(t), "site.yaml"), "--devices", "40", "--seed", "1", "--report", file).CombinedOutput()
	if err != nil {
		t.Fatalf("devstack demo: %v\n%s", err, out)
	}
	alarms := regexp.MustCompile(`(?m)^notified   on_call, by site/(\w+): .*"alarm":"(\w+)"`).FindAllSubmatch(out, -1)
	if len(alarms) != 1 || string(alarms[0][1]) != "north" || string(alarms[0][2]) != "outage" {
		t.Errorf("one alarm is for people, and the output shows %q:\n%s", alarms, out)
	}
	for _, want := range []string{"connected  gateway of north is cut  ", "1 of 1 expected raised, 0 missing, 0 spurious; the silence of "} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if bytes.Contains(out, []byte("no receiver of that name")) {
		t.Errorf("a notification has no receiver:\n%s", out)
	}
	report := readReport(t, file)
	if report.GatewayCuts != 1 || report.AlarmsExpected != 1 || report.AlarmsMissing+report.AlarmsSpurious > 0 || report.Reconnects < 10 {
		t.Errorf("%+v\n%s", report, out)
	}
	expectClean(t, report, 0)
}
