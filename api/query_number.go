package api

import (
	"strconv"
	"strings"
	"time"

	"devicetwin/source"
)

// ordered makes a comparison of a number or a time out of a sign and what was read
// after it. Only OpLess, OpAtLeast and OpEqual remain, of whole numbers: in seconds,
// x <= 12:00:00.5 is x < 12:00:01.
func (p *queryParser) ordered(at int, t Term, sign string) (Term, bool) {
	text := t.Value
	if t.Op == OpPrefix {
		text += "*"
	}
	t.Value, t.Op = "", OpEqual
	rest := false // of a second
	if t.Field.Counts() {
		n, err := strconv.ParseUint(text, 10, 53)
		if err != nil {
			p.fault(at, "expected a number, such as %s>=10, found %q", t.Field, clip(text))
			return t, false
		}
		t.Number = int64(n)
	} else {
		moment, ok := readMoment(text, p.now)
		switch {
		case sign == ":":
			p.fault(at, "last_seen is compared by <, <=, > and >=, such as last_seen<now-24h")
			return t, false
		case !ok || moment.Year() < 1970 || moment.Year() > 2261: // Elasticsearch counts nanoseconds
			p.fault(at, "expected a time from 1970 to 2261, such as 2026-03-01T12:00:00Z, 2026-03-01, now or now-24h, found %q", clip(text))
			return t, false
		}
		t.Number, rest = moment.Unix(), moment.Nanosecond() > 0
	}
	if rest || sign == "<=" || sign == ">" {
		t.Number++
	}
	switch sign {
	case "<", "<=":
		t.Op = OpLess
	case ">", ">=":
		t.Op = OpAtLeast
	}
	return t, true
}

// readMoment reads a time: as RFC 3339, a day (in UTC), now, or a duration before now.
func readMoment(text string, now time.Time) (time.Time, bool) {
	if ago, ok := strings.CutPrefix(text, "now-"); ok {
		d, err := source.ParseDuration(ago)
		return now.UTC().Add(-d), err == nil
	}
	if text == "now" {
		return now, true
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
