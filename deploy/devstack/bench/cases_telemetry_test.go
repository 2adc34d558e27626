package bench

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/device"
	"devicetwin/devicefsm"
)

// No message of the case matters to its model, and one that were hot would.
func TestTelemetryDoesNotMatter(t *testing.T) {
	raw, err := files.ReadFile("testdata/telemetry.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := devicefsm.Load("telemetry.yaml", raw)
	if err != nil {
		t.Fatal(err)
	}
	matters := func(payload []byte) bool {
		msg := device.Message{Channel: device.ChannelTelemetry}
		if err := json.Unmarshal(payload, &msg.Data); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		return m.Relevant(msg)
	}
	if !matters([]byte(`{"temperature":91}`)) {
		t.Error("a hot reading does not matter")
	}
	a := newAccounts("dev", 1, "telemetry")[0]
	for _, say := range []speech{coldReading, bareReading} {
		for range 1000 {
			a.due = append(a.due, 0)
			if b := say(a, nil); matters(b) {
				t.Fatalf("%s matters", b)
			}
		}
	}
}

// While the bridge has points to write, readings may be among them, whatever it has written.
func TestPointsLeft(t *testing.T) {
	idle := map[string]float64{process.MetricBacklogBytes: 0, process.MetricQueuedPoints: 0}
	for name, c := range map[string]struct {
		sent, written uint64
		bridge        map[string]float64
		want          int
	}{
		"some":                     {10, 7, idle, 3},
		"none":                     {10, 10, idle, 0},
		"others were written":      {10, 12, idle, -2},
		"others, and more to come": {10, 12, map[string]float64{process.MetricBacklogBytes: 800}, 1},
		"in memory":                {10, 10, map[string]float64{process.MetricQueuedPoints: 2}, 1},
		"many":                     {10, 3, map[string]float64{process.MetricBacklogBytes: 800}, 7},
	} {
		if got := pointsLeft(c.sent, c.written, c.bridge); got != c.want {
			t.Errorf("%s: %d points are left, want %d", name, got, c.want)
		}
	}
}

// Each point that is missing shows at its device, also where another one has too many.
func TestMissingPoints(t *testing.T) {
	devices := newAccounts("dev", 3, "telemetry")
	now := time.Now()
	for i, a := range devices {
		a.due = []int64{now.Add(-time.Second).UnixNano(), now.Add(time.Duration(i) * time.Second).UnixNano()}
	}
	if n := sentBefore(devices, now); n != 3 {
		t.Errorf("%d messages before now, want 3", n)
	}
	count := func(device, n string) process.Series {
		return process.Series{Tags: map[string]string{"device": device}, Values: [][]json.RawMessage{{json.RawMessage("0"), json.RawMessage(n)}}}
	}
	got, err := countsByDevice([]process.Series{count("dev-1", "1"), count("dev-2", "3")})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"device dev-1: 1 points of 2 messages in InfluxDB", "device dev-2: 3 points of 2 messages in InfluxDB",
		"device dev-3: 0 points of 2 messages in InfluxDB",
	}
	if faults := missingOf(devices, got); !slices.Equal(faults, want) {
		t.Errorf("faults %q, want %q", faults, want)
	}
	if faults := missingOf(devices, map[string]uint64{"dev-1": 2, "dev-2": 2, "dev-3": 2}); len(faults) > 0 {
		t.Errorf("faults %q of points that are all there", faults)
	}
	for name, bad := range map[string][]process.Series{"no number": {count("dev-1", `"x"`)}, "no row": {{}}} {
		if _, err := countsByDevice(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
