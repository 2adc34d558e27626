package source

import (
	"strconv"
	"testing"
	"time"
)

func TestFormatDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "250ms": 250 * time.Millisecond, "1m30s": 90 * time.Second, "10m": 10 * time.Minute,
		"1h": time.Hour, "1h0m1s": time.Hour + time.Second, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour,
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
		if back, err := ParseDuration(want); err != nil || back != d {
			t.Errorf("%q reads as %v, %v", want, back, err)
		}
	}
}

func TestFormatNegativeDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{"-1m30s": -90 * time.Second, "-1d": -24 * time.Hour, "-2d1h": -49 * time.Hour} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestDurationsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "d", "1", "-1d", "1d-1h", "NaNd", "infd", "36501d", "36500d2562047h", "1d1d", "1d x"} {
		if d, err := ParseDuration(text); err == nil || err.Error() != "parse duration "+strconv.Quote(text) {
			t.Errorf("%q reads as %v, %v", text, d, err)
		}
	}
}
