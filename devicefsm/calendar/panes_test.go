package calendar_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/calendar/zonedata"
)

// lengths are how long the units of a calendar are at least and at most, whatever clocks do.
var lengths = map[calendar.Unit][2]time.Duration{
	calendar.Day: {20 * time.Hour, 28 * time.Hour}, calendar.Week: {6 * 24 * time.Hour, 8 * 24 * time.Hour},
	calendar.Month: {27 * 24 * time.Hour, 32 * 24 * time.Hour}, calendar.Year: {364 * 24 * time.Hour, 367 * 24 * time.Hour},
}

// Each moment is in one day, week, month and year, which begins with the first day of it, and
// what follows begins where it ends.
func TestPanesAreThoseOfTheCalendar(t *testing.T) {
	zones, err := zonedata.Record(zonesOf, at2026)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		z, _ := zones.Zone(rapid.SampledFrom(zonesOf).Draw(t, "zone"))
		p := calendar.Panes{Unit: calendar.Unit(rapid.IntRange(0, 3).Draw(t, "unit")), Zone: z}
		at := at2026.Add(time.Duration(rapid.Int64Range(0, int64(5*365*24*time.Hour/time.Millisecond)).Draw(t, "at")) * time.Millisecond)
		n := p.Pane(at.UnixMilli())
		start, end := time.UnixMilli(p.Start(n)).UTC(), time.UnixMilli(p.Start(n+1)).UTC()
		if at.Before(start) || !at.Before(end) || end.Sub(start) < lengths[p.Unit][0] || end.Sub(start) > lengths[p.Unit][1] {
			t.Fatalf("%v at %v: pane %d is from %v to %v", p.Unit, at, n, start, end)
		}
		first, ok := z.Local(start)
		if !ok || !begins(p.Unit, first) {
			t.Fatalf("%v at %v begins at %v, %v", p.Unit, at, first, ok)
		}
		before, _ := z.Local(start.Add(-time.Second))
		if days := int64(first.Date().At(0)-before.Date().At(0)) / (24 * 3600); days != 1 {
			t.Fatalf("%v at %v begins on %v, after %v", p.Unit, at, first, before)
		}
		if got := p.Pane(p.Start(n)); got != n {
			t.Fatalf("pane %d begins in pane %d", n, got)
		}
		if got := p.Pane(p.Start(n) - 1); got != n-1 {
			t.Fatalf("before pane %d is pane %d", n, got)
		}
	})
}

// begins reports whether a unit of the calendar begins on the day of a local time.
func begins(u calendar.Unit, first calendar.Local) bool {
	switch d := first.Date(); u {
	case calendar.Week:
		return d.Weekday() == time.Monday
	case calendar.Month:
		return d.Day == 1
	case calendar.Year:
		return d.Day == 1 && d.Month == time.January
	}
	return true
}

// Each time is in one pane, also where the zone is not known, before 1970, and where a day
// does not exist.
func TestEveryTimeIsInAPane(t *testing.T) {
	samoa := recorded(t, "Pacific/Apia", time.Date(2011, 6, 1, 0, 0, 0, 0, time.UTC))
	rapid.Check(t, func(t *rapid.T) {
		p := calendar.Panes{Unit: calendar.Unit(rapid.IntRange(0, 3).Draw(t, "unit")), Zone: samoa}
		at := rapid.OneOf(
			rapid.Int64Range(-100_000_000_000_000, 100_000_000_000_000),
			rapid.Int64Range(time.Date(2011, 12, 25, 0, 0, 0, 0, time.UTC).UnixMilli(), time.Date(2012, 1, 3, 0, 0, 0, 0, time.UTC).UnixMilli()),
		).Draw(t, "at")
		if n := p.Pane(at); p.Start(n) > at || p.Start(n+1) <= at {
			t.Fatalf("%v: %d is not in pane %d, from %d to %d", p.Unit, at, n, p.Start(n), p.Start(n+1))
		}
	})
}

// The panes of days in Berlin have 23, 24 and 25 hours.
func TestPanesOfUnevenDays(t *testing.T) {
	berlin := recorded(t, "Europe/Berlin", at2026)
	p := calendar.Panes{Unit: calendar.Day, Zone: berlin}
	for day, want := range map[string]time.Duration{"2026-03-28": 24 * time.Hour, "2026-03-29": 23 * time.Hour, "2026-10-25": 25 * time.Hour} {
		noon, err := time.Parse(time.RFC3339, day+"T12:00:00Z")
		if err != nil {
			t.Fatal(err)
		}
		n := p.Pane(noon.UnixMilli())
		if got := time.Duration(p.Start(n+1)-p.Start(n)) * time.Millisecond; got != want {
			t.Errorf("%s has %v, want %v", day, got, want)
		}
	}
}
