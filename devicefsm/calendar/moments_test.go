package calendar_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/calendar/zonedata"
)

// moments is a table of testdata/moments.json, which testdata/moments.py writes by looking at
// each minute around a change of a clock.
type moments struct {
	Zone        string
	From, Until time.Time
	Shown       [][2]string            // time, local time
	Meant       [][4]any               // local time, first moment, last moment, exists
	Days        [][3]string            // date, start, end
	Due         map[string][]time.Time // by cron expression
}

func readMoments(t *testing.T) []moments {
	t.Helper()
	raw, err := os.ReadFile("testdata/moments.json")
	if err != nil {
		t.Fatal(err)
	}
	var tables []moments
	if err := json.Unmarshal(raw, &tables); err != nil {
		t.Fatal(err)
	}
	if len(tables) < 10 {
		t.Fatalf("%d tables", len(tables))
	}
	return tables
}

func recorded(t *testing.T, name string, at time.Time) *calendar.Zone {
	t.Helper()
	zones, err := zonedata.Record([]string{name}, at)
	if err != nil {
		t.Fatal(err)
	}
	z, ok := zones.Zone(name)
	if !ok {
		t.Fatalf("no zone %s", name)
	}
	return z
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func local(t *testing.T, text string) calendar.Local {
	t.Helper()
	return calendar.Local(instant(t, text+"Z").Unix())
}

func TestClocksAroundChanges(t *testing.T) {
	for _, table := range readMoments(t) {
		z := recorded(t, table.Zone, table.From)
		for _, row := range table.Shown {
			if got, ok := z.Local(instant(t, row[0])); !ok || got.String() != row[1] {
				t.Errorf("%s at %s: %v, %v; want %s", table.Zone, row[0], got, ok, row[1])
			}
		}
		for _, row := range table.Meant {
			first, last, exists, ok := z.Instants(local(t, row[0].(string)))
			if !ok || !first.Equal(instant(t, row[1].(string))) || !last.Equal(instant(t, row[2].(string))) || exists != row[3] {
				t.Errorf("%s, %s: %v to %v, exists %v, %v; want %v", table.Zone, row[0], first, last, exists, ok, row[1:])
			}
		}
	}
}

func TestDaysAroundChanges(t *testing.T) {
	lengths := map[time.Duration]bool{}
	for _, table := range readMoments(t) {
		days := calendar.Panes{Unit: calendar.Day, Zone: recorded(t, table.Zone, table.From)}
		for _, row := range table.Days {
			start, end := instant(t, row[1]), instant(t, row[2])
			lengths[end.Sub(start)] = true
			day := instant(t, row[0]+"T00:00:00Z").Unix() / (24 * 3600)
			if from, to := time.UnixMilli(days.Start(day)), time.UnixMilli(days.Start(day+1)); !from.Equal(start) || !to.Equal(end) {
				t.Fatalf("%s: %s is from %v to %v; want %v", table.Zone, row[0], from.UTC(), to.UTC(), row)
			}
			for at := start; at.Before(end); at = at.Add(10 * time.Minute) {
				if got := days.Pane(at.UnixMilli()); got != day {
					t.Fatalf("%s at %v: day %d; want %d, %v", table.Zone, at, got, day, row)
				}
			}
			if start.Equal(end) {
				continue // no moment is in it
			}
			if got := days.Pane(end.UnixMilli() - 1); got != day {
				t.Errorf("%s, the end of %s is in day %d; want %d", table.Zone, row[0], got, day)
			}
		}
	}
	for _, hours := range []time.Duration{0, 23, 24, 25} {
		if !lengths[hours*time.Hour] {
			t.Errorf("no day of %d hours: %v", hours, lengths)
		}
	}
}

func TestSchedulesAroundChanges(t *testing.T) {
	for _, table := range readMoments(t) {
		z := recorded(t, table.Zone, table.From)
		for text, want := range table.Due {
			cron, _, err := calendar.ParseCron(text)
			if err != nil {
				t.Fatal(err)
			}
			var got []time.Time
			end := want[len(want)-1]
			for at, ok := cron.Next(z, want[0].Add(-time.Second)); ok && !at.After(end); at, ok = cron.Next(z, at) {
				got = append(got, at)
			}
			if !slices.EqualFunc(got, want, time.Time.Equal) {
				t.Errorf("%s, %s:\n got %v\nwant %v", table.Zone, text, got, want)
			}
			// From any time on, the next one is the same.
			for at := want[0].Add(-time.Minute); at.Before(end); at = at.Add(7 * time.Minute) {
				i, _ := slices.BinarySearchFunc(want, at.Add(time.Second), time.Time.Compare)
				if next, ok := cron.Next(z, at); !ok || !next.Equal(want[i]) {
					t.Fatalf("%s, %s after %v: %v, %v; want %v", table.Zone, text, at, next, ok, want[i])
				}
			}
		}
	}
}
