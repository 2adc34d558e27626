package calendar_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/calendar/zonedata"
)

// Panes are the periods of the calendar, numbered.
func TestPanesAreThePeriods(t *testing.T) {
	zones, err := zonedata.Record(zonesOf, at2026)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		z, _ := zones.Zone(rapid.SampledFrom(zonesOf).Draw(t, "zone"))
		p := calendar.Panes{Unit: calendar.Unit(rapid.IntRange(0, 3).Draw(t, "unit")), Zone: z}
		at := at2026.Add(time.Duration(rapid.Int64Range(0, int64(5*365*24*time.Hour/time.Millisecond)).Draw(t, "at")) * time.Millisecond)
		n := p.Pane(at.UnixMilli())
		period, ok := z.Period(p.Unit, at)
		if !ok {
			t.Skip("beyond what the zone knows")
		}
		if start, end := p.Start(n), p.Start(n+1); start != period.Start.UnixMilli() || end != period.End.UnixMilli() {
			t.Fatalf("%v %v at %v: pane %d from %v to %v, period from %v to %v", p.Unit, period.First, at, n, time.UnixMilli(start).UTC(), time.UnixMilli(end).UTC(), period.Start, period.End)
		}
		if got := p.Pane(p.Start(n)); got != n {
			t.Fatalf("pane %d begins in pane %d", n, got)
		}
		if got := p.Pane(p.Start(n) - 1); got != n-1 {
			t.Fatalf("before pane %d is pane %d", n, got)
		}
	})
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
