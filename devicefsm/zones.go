package devicefsm

import (
	"fmt"
	"slices"
	"time"

	"devicetwin/devicefsm/calendar"
	"devicetwin/internal/expression"
)

// A state machine computes with zones that were recorded, and keeps them in its snapshot: what a
// database of time zones says now may be something else when a workflow is replayed.

const (
	// fnInHours is the predicate of business hours.
	fnInHours = "inHours"
	// varNow is the variable of the time of what is being done.
	varNow = "now"
)

// Zones are the names of the time zones that the model goes by, sorted, without those that
// need no data. Whoever runs it records them, for Start and Renew.
func (m *Model) Zones() []string { return slices.Clone(m.zones) }

// GoesByCalendar reports whether what the model does depends on the date or the time of day.
func (m *Model) GoesByCalendar() bool { return m.byCalendar }

// Zones are what the snapshot knows of time zones. Nobody may change them.
func (s *Snapshot) Zones() calendar.Zones {
	if s.decoded != nil {
		return s.decoded.Zones
	}
	return s.zones
}

// Renew is the snapshot with time zones as they are known now. What is due next by a calendar
// follows from them, and from what clocks showed at its last occurrence: also where the past is
// another one now, no time of a day is due twice, and none is left out.
func (m *Model) Renew(s *Snapshot, zones calendar.Zones) (*Snapshot, error) {
	bound, err := m.bind(s)
	if err != nil {
		return nil, err
	}
	if bound.zones.Equal(zones) {
		return bound, nil
	}
	next := *bound
	next.zones = zones
	next.schedules = slices.Clone(bound.schedules)
	for i := range next.schedules {
		a := &next.schedules[i]
		a.since = a.of.sameShown(a.since, bound.zones, zones)
		if a.due, err = a.of.next(zones, a.since); err != nil {
			return nil, fmt.Errorf("renew the zones of model %s: schedule %q: %w", m.name, a.of.name, err)
		}
	}
	return &next, nil
}

// sameShown is when a clock of other zones showed, or will show, what it showed at a time.
func (s *schedule) sameShown(at int64, before, after calendar.Zones) int64 {
	if s.zone == "" {
		return at
	}
	was, err := zoneOf(before, s.zone)
	if err != nil {
		return at
	}
	is, err := zoneOf(after, s.zone)
	if err != nil {
		return at
	}
	moment := time.UnixMilli(at)
	if offset, ok := is.Offset(moment); ok {
		if other, ok := was.Offset(moment); !ok || other == offset {
			return at // so that of a time that comes twice it stays the one that it was
		}
	}
	l, known := was.Local(moment)
	same, ok := is.Instant(l)
	if !known || !ok {
		return at
	}
	return same.UnixMilli() + at%1000
}

// wallClock is what expressions know of the time.
type wallClock struct {
	m     *Model
	now   int64 // unix milliseconds
	zones calendar.Zones
}

// Local implements expression.Zones.
func (c *wallClock) Local(zone string, at time.Time) (time.Time, error) {
	if zone == "" {
		zone = c.m.zone
	}
	z, err := zoneOf(c.zones, zone)
	if err != nil {
		return time.Time{}, err
	}
	l, ok := z.Local(at)
	if !ok {
		from, until := z.Known()
		return time.Time{}, fmt.Errorf("%s is known from %s to %s, and not at %s", zone, from.Format(time.DateOnly), until.Format(time.DateOnly), at.UTC().Format(time.RFC3339))
	}
	return time.Unix(int64(l), 0).UTC(), nil
}

// inHours reports whether business hours are open now.
func (c *wallClock) inHours(name string) bool {
	h := c.m.hours[name]
	if h == nil {
		return false
	}
	z, err := zoneOf(c.zones, h.zone)
	if err != nil {
		return false
	}
	open, _ := h.hours.Open(z, fromMillis(c.now))
	return open
}

// readsClock reports whether the expression may have another value at another time, or with
// other zones, though nothing happened.
func (e *expr) readsClock() bool {
	return e.reads[varNow] || e.reads[fnInHours] || e.reads[expression.ZonesName]
}
