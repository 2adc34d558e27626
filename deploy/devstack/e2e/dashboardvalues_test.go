package e2e

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// known is a load whose figures are known: two bridges, every ten seconds for a day, not
// at the same time and never exactly so.
type known struct{ end time.Time }

const (
	rateOfA, rateOfB = 100.0, 50.0 // messages a second
	knownFor         = 24*time.Hour + 10*time.Minute
	peak             = 4.0 // seconds, once in a quarter of an hour; 0.4 else
)

func (k known) write(t *testing.T, to influxTarget) {
	t.Helper()
	var lines []string
	begin := k.end.Add(-knownFor)
	restart := k.end.Add(-12 * time.Hour) // of bridge b, whose counters begin again
	line := func(bridge string, n int, at, since time.Time, rate float64) {
		if at.After(k.end) {
			return
		}
		oldest := .4
		if n%90 == 45 {
			oldest = peak
		}
		lines = append(lines, fmt.Sprintf("bridge,bridge=%s messages=%di,devices_known=100i,devices_silent=10i,oldest_unacknowledged_seconds=%g,broker_connected=1i %d",
			bridge, int64(rate*at.Sub(since).Seconds()), oldest, at.UnixNano()))
	}
	for n := range int(knownFor/(10*time.Second)) + 1 {
		a := begin.Add(time.Duration(n)*10*time.Second + time.Duration(n*37%200)*time.Millisecond)
		line("a", n, a, begin, rateOfA)
		b := a.Add(7 * time.Second)
		if b.After(restart) {
			line("b", n, b, restart, rateOfB)
		} else {
			line("b", n, b, begin, rateOfB)
		}
	}
	to.write(t, lines...)
}

// ask is the query of a panel as Grafana sends it, for a time range that ends at a moment.
// Chosen are names of variables and their values; all of the others are.
func (k known) ask(t *testing.T, to influxTarget, query string, over, interval time.Duration, at time.Time, chosen ...string) []influxSeries {
	t.Helper()
	query = strings.NewReplacer(append(chosen,
		"$timeFilter", fmt.Sprintf("time >= %dms and time <= %dms", at.Add(-over).UnixMilli(), at.UnixMilli()),
		"$__interval", fmt.Sprintf("%ds", int(interval.Seconds())),
		"$bridge", ".*", "$process", ".*", "$model", ".*", "$site", ".*", "$state", ".*",
	)...).Replace(query)
	return to.series(t, url.Values{"q": {asOf(query, at)}})
}

// newest is the condition of rules and tiles: the points of the last minutes.
var newest = regexp.MustCompile(`time > now\(\) - (\w+)`)

// asOf is a query as it was at another moment than now, when nothing later was there.
func asOf(query string, at time.Time) string {
	moment := "'" + at.UTC().Format(time.RFC3339Nano) + "'"
	return newest.ReplaceAllString(query, "time > "+moment+" - $1 AND time <= "+moment)
}

func number(t *testing.T, v any) float64 {
	t.Helper()
	f, ok := v.(float64)
	if !ok {
		t.Fatalf("not a number: %v", v)
	}
	return f
}

// panelQueries are those of a panel, by its title.
func panelQueries(t *testing.T, file, title string) (queries []string, interval time.Duration) {
	t.Helper()
	for _, p := range readDashboards(t)[file].Panels {
		if p.Title != title {
			continue
		}
		for _, target := range p.Targets {
			queries = append(queries, target.Query)
		}
		if p.Interval != "" {
			var err error
			if interval, err = time.ParseDuration(p.Interval); err != nil {
				t.Fatal(err)
			}
		}
		return queries, interval
	}
	t.Fatalf("%s has no panel %q", file, title)
	return nil, 0
}

// A known load reads as what it is: at each time range, of one bridge and of two, after a
// restart, and whatever the moment at which somebody looks.
func TestDashboardValues(t *testing.T) {
	t.Parallel()
	for version, open := range influxTargets {
		t.Run(version, func(t *testing.T) {
			to := open(t, 0)
			k := known{time.Now().Truncate(time.Second)}
			k.write(t, to)
			ranges := map[string]struct{ over, auto time.Duration }{
				"15m": {15 * time.Minute, time.Second}, "1h": {time.Hour, 5 * time.Second}, "24h": {24 * time.Hour, 2 * time.Minute},
			}
			for name, r := range ranges {
				t.Run(name, func(t *testing.T) {
					k.rates(t, to, r.over, r.auto)
					k.peaks(t, to, r.over, r.auto)
				})
			}
			t.Run("now", func(t *testing.T) { k.tiles(t, to) })
			t.Run("site", func(t *testing.T) { k.sites(t, to) })
		})
	}
}

// rates of each bridge, of one that is chosen, and of both together.
func (k known) rates(t *testing.T, to influxTarget, over, auto time.Duration) {
	for _, tc := range []struct {
		file, title string
		chosen      []string
		want        map[string]float64 // by bridge
	}{
		{"fleet.json", "Messages, events and signals", nil, map[string]float64{"": rateOfA + rateOfB}},
		{"pipeline.json", "Messages, events, signals", nil, map[string]float64{"a": rateOfA, "b": rateOfB}},
		{"pipeline.json", "Messages, events, signals", []string{"$bridge", "b"}, map[string]float64{"b": rateOfB}},
	} {
		queries, interval := panelQueries(t, tc.file, tc.title)
		interval = max(interval, auto)
		found := map[string]float64{}
		for _, s := range k.ask(t, to, queries[0], over, interval, k.end, tc.chosen...) {
			want := tc.want[s.Tags["bridge"]]
			found[s.Tags["bridge"]] = want
			// Of the newest bucket not every bridge has written yet.
			if least := int(over/interval) - 2; len(s.Values) < least {
				t.Errorf("%s %s: %d values of %v, want at least %d", tc.file, tc.title, len(s.Values), s.Tags, least)
				continue
			}
			for _, row := range s.Values[1 : len(s.Values)-1] {
				if got := number(t, row[1]); !about(got, want) {
					t.Errorf("%s %s: %v a second at %v of %v, want %v", tc.file, tc.title, got, row[0], s.Tags, want)
					break
				}
			}
		}
		if !maps.Equal(found, tc.want) {
			t.Errorf("%s %s of %v: bridges %v, want %v", tc.file, tc.title, tc.chosen, found, tc.want)
		}
	}
}

// peaks are as high at each time range.
func (k known) peaks(t *testing.T, to influxTarget, over, auto time.Duration) {
	queries, interval := panelQueries(t, "pipeline.json", "Oldest unacknowledged message")
	series := k.ask(t, to, queries[0], over, max(interval, auto), k.end)
	if len(series) != 2 {
		t.Errorf("%d bridges of 2", len(series))
	}
	for _, s := range series {
		highest := 0.0
		for _, row := range s.Values {
			highest = max(highest, number(t, row[1]))
		}
		if highest != peak {
			t.Errorf("bridge %s: %v s at its highest, want %v", s.Tags["bridge"], highest, peak)
		}
	}
}

// tiles show the same at each moment of half a minute.
func (k known) tiles(t *testing.T, to influxTarget) {
	for _, tc := range []struct {
		file, title string
		want        map[string]float64
	}{
		{"fleet.json", "Messages", map[string]float64{"": rateOfA + rateOfB}},
		{"fleet.json", "Devices connected", map[string]float64{"": 180}},
		{"fleet.json", "Devices silent", map[string]float64{"": 20}},
		{"fleet.json", "Devices reachable", map[string]float64{"": .9}},
		{"pipeline.json", "Connected", map[string]float64{"a": 1, "b": 1}},
	} {
		k.tile(t, to, tc.file, tc.title, tc.want)
	}
}

// tile wants these values of a tile, by bridge.
func (k known) tile(t *testing.T, to influxTarget, file, title string, want map[string]float64) {
	t.Helper()
	queries, _ := panelQueries(t, file, title)
	for ago := time.Duration(0); ago <= 30*time.Second; ago += time.Second {
		got := map[string]float64{}
		for _, s := range k.ask(t, to, queries[0], time.Hour, time.Minute, k.end.Add(-ago)) {
			got[s.Tags["bridge"]] = number(t, s.Values[len(s.Values)-1][1])
		}
		if !maps.EqualFunc(got, want, about) {
			t.Errorf("%s %s, %v before the end: %v, want %v", file, title, ago, got, want)
			return
		}
	}
}

// about is equal but for a fiftieth.
func about(got, want float64) bool { return math.Abs(got-want) <= .02*want }

// sites: with a filter by site there is what happened there, with all of them also what
// happened to devices that said none.
func (k known) sites(t *testing.T, to influxTarget) {
	var lines []string
	steps := []string{"started", "sent", "done", "failed"}
	for n := range 3 * 4 * 5 {
		at := k.end.Add(-time.Duration(n) * time.Second).UnixNano()
		site := []string{",site=north", ",site=south", ""}[n%3]
		lines = append(lines,
			fmt.Sprintf("reprovisions,device=d%d,model=pump,reason=r%s %s=1i %d", n, site, steps[n/3%4], at),
			fmt.Sprintf("transitions,device=d%d,model=pump,from=on,to=off,event=%s%s count=1i %d", n, steps[n/3%4], site, at))
	}
	to.write(t, lines...)
	reprovisions, interval := panelQueries(t, "fleet.json", "Reprovisions")
	transitions, _ := panelQueries(t, "fleet.json", "Transitions by event")
	for site, want := range map[string]float64{"north": 5, "(north|south)": 10, ".*": 15} {
		for _, query := range slices.Concat(reprovisions, transitions) {
			got := map[string]float64{}
			for _, s := range k.ask(t, to, query, time.Hour, interval, k.end, "$site", site) {
				for _, row := range s.Values {
					got[s.Tags["event"]] += number(t, row[1])
				}
			}
			expected := map[string]float64{"": want} // each of the queries is of one step
			if query == transitions[0] {
				expected = map[string]float64{"started": want, "sent": want, "done": want, "failed": want}
			}
			if !maps.Equal(got, expected) {
				t.Errorf("site %s: %v, want %v: %s", site, got, expected, query)
			}
		}
	}
	if len(reprovisions) != len(steps) {
		t.Errorf("%d queries of reprovisions, want one for each of %v", len(reprovisions), steps)
	}
}
