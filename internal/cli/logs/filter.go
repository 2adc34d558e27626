package logs

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/internal/cli"
	"devicetwin/internal/recordlog"
	"devicetwin/source"
)

// filter is which records are printed.
type filter struct {
	Since  string   `env:"-" help:"Only what was received, or taken, at this time or later: RFC 3339, or how long ago, such as 90s, 5m, 48h or 7d." placeholder:"TIME"`
	Until  string   `env:"-" help:"Only what was received before this time." placeholder:"TIME"`
	Device []string `env:"-" help:"Only what concerns devices whose ids match one of these patterns, such as pump-*." placeholder:"PATTERN"`
	Kind   []string `env:"-" help:"Only entries of these causes: message, timer, activity, operation, twin, command or start; of a log, records of these kinds: arrival, lines, outcome or begin." placeholder:"KIND"`
}

// matcher is a filter that was checked.
type matcher struct {
	since, until time.Time // zero: any
	devices      []string
	kinds        []byte
}

// matcher reports every fault of the filter.
func (f filter) matcher(now time.Time) (*matcher, error) {
	m := &matcher{devices: f.Device}
	var faults [2]error
	m.since, faults[0] = readTime("--since", f.Since, now)
	m.until, faults[1] = readTime("--until", f.Until, now)
	all := faults[:]
	all = append(all, cli.CheckPatterns(f.Device)...)
	for _, name := range f.Kind {
		kind, ok := kindOf(name)
		if !ok {
			all = append(all, fmt.Errorf("--kind %q: expected arrival, lines, outcome or begin", name))
		}
		m.kinds = append(m.kinds, kind)
	}
	return m, errors.Join(all...)
}

// readTime reads a time, or a duration before now.
func readTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := source.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s %q: expected a time such as 2026-03-01T12:00:00Z, or how long ago, such as 90s, 5m, 48h or 7d", flag, text)
	}
	return at, nil
}

// lines are what is printed of a record.
func (m *matcher) lines(e recordlog.Entry) []any {
	switch {
	case len(m.kinds) > 0 && !slices.Contains(m.kinds, e.Kind):
		return nil
	case e.At.Before(m.since) || !m.until.IsZero() && !e.At.Before(m.until):
		return nil
	}
	return linesOf(e, m.wants)
}

// wants reports whether what concerns a device is printed; "" stands for what concerns
// none.
func (m *matcher) wants(id device.ID) bool {
	if len(m.devices) == 0 {
		return true
	}
	return id != "" && cli.Matches(m.devices, id.Name())
}
