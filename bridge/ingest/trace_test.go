package ingest

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

// Whoever looks for a missing message reads this line.
func TestTraceTellsWhatWasReceived(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var out bytes.Buffer
		b := newBench(DefaultConfig(), testModel{})
		b.log = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
		b.deliver("devices/pump:1/telemetry", `{"epoch":7,"seq":12,"t":1}`, "1", false)
		told := strings.Contains(out.String(), "msg=received device=pump:1 epoch=7 seq=12 channel=telemetry")
		if told != (level == slog.LevelDebug) {
			t.Errorf("level %v: the log is %q", level, out.String())
		}
		// One without a number is known by its digest, also if it is left out.
		b.deliver("devices/pump:1/telemetry", `{"t":1}`, "2", false)
		if found := regexp.MustCompile(`epoch=0 seq=0 channel=telemetry digest=[0-9a-f]{16}\n`).MatchString(out.String()); found != (level == slog.LevelDebug) {
			t.Errorf("level %v: the log is %q", level, out.String())
		}
	}
}
