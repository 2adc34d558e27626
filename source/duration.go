package source

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration is time.ParseDuration with days: 30d, 1d12h. Negative durations
// are errors.
func ParseDuration(whole string) (time.Duration, error) {
	text := whole
	days, rest, found := strings.Cut(text, "d")
	var total time.Duration
	if found {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n >= 0 && n <= 36500) { // NaN is neither
			return 0, fmt.Errorf("parse duration %q", whole)
		}
		total = time.Duration(n * float64(24*time.Hour))
		if rest == "" {
			return total, nil
		}
		text = rest
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || total > math.MaxInt64-d {
		return 0, fmt.Errorf("parse duration %q", whole)
	}
	return total + d, nil
}

// FormatDuration writes a duration as ParseDuration reads it, in its shortest
// form: 30d, 1d12h, 10m, 1m30s, 250ms. A negative one, which ParseDuration refuses, has a minus
// before the whole.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 0 && d != math.MinInt64 {
		return "-" + FormatDuration(-d)
	}
	days, rest := d/day, d%day
	text := rest.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	switch {
	case d < 0 || days == 0:
		return text
	case rest == 0:
		return strconv.FormatInt(int64(days), 10) + "d"
	}
	return strconv.FormatInt(int64(days), 10) + "d" + text
}
