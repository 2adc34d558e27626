package ingest

import (
	"testing"
	"time"
)

// A device counts as silent once nothing that shows that it is up was received for
// the liveness of the model and its tolerance; a last will shows nothing.
func TestSilentDevicesAreCounted(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{silentAfter: time.Minute, tolerance: 10 * time.Second})
	steps := []struct {
		after  time.Duration
		device string // says this
		topic  string
		says   string
		want   int
	}{
		{0, "a", "telemetry", `{"n":1}`, 0},
		{30 * time.Second, "b", "telemetry", `{"n":1}`, 0},
		{39 * time.Second, "c", "status", `{"status":"offline"}`, 0},
		{time.Second, "d", "telemetry", `{"n":1}`, 1},
		{30 * time.Second, "b", "status", `{"status":"offline"}`, 2},
		{time.Second, "b", "telemetry", `{"n":2}`, 1},
		{time.Second, "a", "telemetry", `{"n":2}`, 0},
	}
	for i, s := range steps {
		b.advance(s.after)
		b.deliver("devices/"+s.device+"/"+s.topic, s.says, "", false)
		if got := b.silent(b.now); got != s.want {
			t.Errorf("step %d: %d devices are silent, want %d", i, got, s.want)
		}
	}
}

func TestWithoutLivenessNobodyIsSilent(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.deliver("devices/a/telemetry", `{"n":1}`, "", false)
	b.advance(24 * time.Hour)
	if got := b.silent(b.now); got != 0 {
		t.Errorf("%d devices are silent", got)
	}
}
