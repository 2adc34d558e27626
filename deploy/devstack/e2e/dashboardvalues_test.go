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

// known is a load whose figures are known, of two bridges that write them for a day: not at
// the same time, and never exactly when they should.
type known struct{ end time.Time }

const (
	knownFor     = 24*time.Hour + 10*time.Minute
	figuresEvery = 10 * time.Second
	surveyEvery  = time.Minute
	peak         = 4.0 // seconds, once in a quarter of an hour; 0.4 else
	rateOfGaps   = 1.0 / 60
)

// knownBridge is messages a second, and devices.
type knownBridge struct {
	rate          float64
	known, silent int
}

var knownBridges = map[string]knownBridge{"a": {100, 100, 10}, "b": {50, 50, 20}}

const reachable = 1 - 30.0/150

// knownGroup is devices of a bridge that are alike, as its survey counts them.
type knownGroup struct {
	bridge, site, firmware  string
	online, silent, offline int
}

var knownGroups = []knownGroup{
	{"a", "north", "1.4", 60, 6, 4},
	{"a", "south", "1.5", 25, 3, 2},
	{"b", "north", "1.5", 70, 8, 2},
	{"b", "", "1.4", 15, 2, 3},
}

// counted are the devices of groups by the value of a tag: online, silent, offline.
func counted(tag func(knownGroup) string) map[string][]float64 {
	all := map[string][]float64{}
	for _, g := range knownGroups {
		n := all[tag(g)]
		if n == nil {
			n = make([]float64, 3)
			all[tag(g)] = n
		}
		n[0], n[1], n[2] = n[0]+float64(g.online), n[1]+float64(g.silent), n[2]+float64(g.offline)
	}
	return all
}

// together are the devices of a site, or of all.
func together(site string) map[string][]float64 {
	all := counted(func(g knownGroup) string {
		if site == "" || g.site == site {
			return ""
		}
		return "elsewhere"
	})
	return map[string][]float64{"": all[""]}
}

// shares adds to each the share of those that are online.
func shares(of map[string][]float64) map[string][]float64 {
	for tag, n := range of {
		of[tag] = append(n, n[0]/(n[0]+n[1]+n[2]))
	}
	return of
}

// sums is how many each are.
func sums(of map[string][]float64) map[string][]float64 {
	for tag, n := range of {
		of[tag] = []float64{n[0] + n[1] + n[2]}
	}
	return of
}

func (k known) write(t *testing.T, to influxTarget) {
	t.Helper()
	to.write(t, append(k.figures(), k.surveys()...)...)
}

// figures of the bridges. Bridge b restarts once: its counters begin again.
func (k known) figures() (lines []string) {
	begin := k.end.Add(-knownFor)
	restart := k.end.Add(-12 * time.Hour)
	for n := range int(knownFor/figuresEvery) + 1 {
		at := begin.Add(time.Duration(n)*figuresEvery + time.Duration(n*37%200)*time.Millisecond)
		oldest := .4
		if n%90 == 45 {
			oldest = peak
		}
		for bridge, b := range knownBridges {
			at, since := at, begin
			if bridge == "b" {
				at = at.Add(7 * time.Second)
			}
			if bridge == "b" && at.After(restart) {
				since = restart
			}
			if at.After(k.end) {
				continue
			}
			running := at.Sub(since).Seconds()
			lines = append(lines, fmt.Sprintf("bridge,bridge=%s messages=%di,gaps=%di,devices_known=%di,devices_silent=%di,oldest_unacknowledged_seconds=%g,broker_connected=1i %d",
				bridge, int64(b.rate*running), int64(rateOfGaps*running), b.known, b.silent, oldest, at.UnixNano()))
		}
	}
	return lines
}

func (k known) surveys() (lines []string) {
	for at := k.end.Add(-knownFor); !at.After(k.end); at = at.Add(surveyEvery) {
		for _, g := range knownGroups {
			tags := "known_devices,model=pump,bridge=" + g.bridge + ",firmware=" + g.firmware
			if g.site != "" {
				tags += ",site=" + g.site
			}
			when := at
			if g.bridge == "b" {
				when = at.Add(-23 * time.Second)
			}
			lines = append(lines, fmt.Sprintf("%s online=%di,silent=%di,offline=%di %d", tags, g.online, g.silent, g.offline, when.UnixNano()))
		}
	}
	return lines
}

// ask is the query of a panel as Grafana sends it, for a time range that ends at a moment.
// Chosen are names of variables and their values; all of the others are.
func (k known) ask(t *testing.T, to influxTarget, query string, over, interval time.Duration, at time.Time, chosen ...string) []influxSeries {
	t.Helper()
	query = strings.NewReplacer(append(chosen,
		"$timeFilter", fmt.Sprintf("time >= %dms and time <= %dms", at.Add(-over).UnixMilli(), at.UnixMilli()),
		"$__interval", fmt.Sprintf("%ds", int(interval.Seconds())),
		"$bridge", ".*", "$process", ".*", "$model", ".*", "$site", ".*", "$state", ".*", "$kind", "",
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

func numbers(t *testing.T, row []any) (all []float64) {
	t.Helper()
	for _, v := range row {
		f, ok := v.(float64)
		if !ok {
			t.Fatalf("not a number: %v", row)
		}
		all = append(all, f)
	}
	return all
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

// timeRange is one that somebody chooses, and the interval that Grafana takes for it.
type timeRange struct{ over, auto time.Duration }

var timeRanges = map[string]timeRange{
	"15m": {15 * time.Minute, time.Second}, "1h": {time.Hour, 5 * time.Second}, "24h": {24 * time.Hour, 2 * time.Minute},
}

// A known load reads as what it is: at each time range, of one bridge and of two, of one site
// and of all, after a restart, and whatever the moment at which somebody looks.
func TestDashboardValues(t *testing.T) {
	t.Parallel()
	for version, open := range influxTargets {
		t.Run(version, func(t *testing.T) {
			to := open(t, 0)
			k := known{time.Now().Truncate(time.Second)}
			k.write(t, to)
			for name, r := range timeRanges {
				t.Run(name, func(t *testing.T) {
					k.graphs(t, to, r)
					k.peaks(t, to, r)
					k.lost(t, to, r)
				})
			}
			t.Run("now", func(t *testing.T) { k.tiles(t, to) })
			t.Run("site", func(t *testing.T) { k.sites(t, to) })
		})
	}
}

// shown are the values of a panel's first query, by the values of a tag. Each row has all its
// columns but the time.
type shown struct {
	file, title string
	chosen      []string // variables and their values
	tag         string
	want        map[string][]float64
}

func (p shown) String() string { return fmt.Sprint(p.file, " ", p.title, " ", p.chosen) }

// graphs show the same in each bucket.
func (k known) graphs(t *testing.T, to influxTarget, r timeRange) {
	a, b := knownBridges["a"].rate, knownBridges["b"].rate
	for _, p := range []shown{
		{"fleet.json", "Messages, events and signals", nil, "", map[string][]float64{"": {a + b}}},
		{"pipeline.json", "Messages, events, signals", nil, "bridge", map[string][]float64{"a": {a}, "b": {b}}},
		{"pipeline.json", "Messages, events, signals", []string{"$bridge", "b"}, "bridge", map[string][]float64{"b": {b}}},
		{"fleet.json", "Reachable over time", nil, "", map[string][]float64{"": {reachable}}},
		{"fleet.json", "Connections", nil, "", together("")},
		{"fleet.json", "Connections", []string{"$site", "north"}, "", together("north")},
		{"fleet.json", "Firmware over time", nil, "firmware", sums(counted(func(g knownGroup) string { return g.firmware }))},
	} {
		queries, interval := panelQueries(t, p.file, p.title)
		interval = max(interval, r.auto)
		series := k.ask(t, to, queries[0], r.over, interval, k.end, p.chosen...)
		for _, s := range series {
			least := int(r.over/interval) - 1
			if len(s.Values) < least {
				t.Errorf("%v: %d values of %v, want at least %d", p, len(s.Values), s.Tags, least)
				continue
			}
			// The first and the newest bucket are not full.
			for _, row := range s.Values[1 : len(s.Values)-1] {
				if got := numbers(t, row[1:]); !about(got, p.want[s.Tags[p.tag]]) {
					t.Errorf("%v: %v at %v of %v, want %v", p, got, row[0], s.Tags, p.want)
					break
				}
			}
		}
		if len(series) != len(p.want) {
			t.Errorf("%v: %d series, want %v", p, len(series), p.want)
		}
	}
}

// peaks are as high at each time range.
func (k known) peaks(t *testing.T, to influxTarget, r timeRange) {
	queries, interval := panelQueries(t, "pipeline.json", "Oldest unacknowledged message")
	series := k.ask(t, to, queries[0], r.over, max(interval, r.auto), k.end)
	if len(series) != 2 {
		t.Errorf("%d bridges of 2", len(series))
	}
	for _, s := range series {
		highest := 0.0
		for _, row := range s.Values {
			highest = max(highest, numbers(t, row[1:])[0])
		}
		if highest != peak {
			t.Errorf("bridge %s: %v s at its highest, want %v", s.Tags["bridge"], highest, peak)
		}
	}
}

// lost: what a counter has grown by in the time range, as a number and over time.
func (k known) lost(t *testing.T, to influxTarget, r timeRange) {
	want := float64(len(knownBridges)) * rateOfGaps * r.over.Seconds()
	for _, title := range []string{"Lost", "Lost over time"} {
		queries, interval := panelQueries(t, "fleet.json", title)
		got := 0.0
		for _, s := range k.ask(t, to, queries[0], r.over, max(interval, r.auto), k.end) {
			for _, row := range s.Values {
				got += numbers(t, row[1:])[0]
			}
		}
		// Of each bridge, one at either end and one at the restart may not be seen.
		if math.Abs(got-want) > 3 {
			t.Errorf("%s: %v, want %v", title, got, want)
		}
	}
}

// tiles and tables of now show the same at each moment of a minute.
func (k known) tiles(t *testing.T, to influxTarget) {
	for _, p := range []shown{
		{"fleet.json", "Messages", nil, "", map[string][]float64{"": {knownBridges["a"].rate + knownBridges["b"].rate}}},
		{"fleet.json", "Devices connected", nil, "", map[string][]float64{"": {120}}},
		{"fleet.json", "Devices silent", nil, "", map[string][]float64{"": {30}}},
		{"fleet.json", "Devices reachable", nil, "", map[string][]float64{"": {reachable}}},
		{"fleet.json", "Sites", nil, "site", shares(counted(func(g knownGroup) string { return g.site }))},
		{"fleet.json", "Firmware", nil, "firmware", shares(counted(func(g knownGroup) string { return g.firmware }))},
		{"pipeline.json", "Connected", nil, "bridge", map[string][]float64{"a": {1}, "b": {1}}},
	} {
		k.tile(t, to, p)
	}
}

func (k known) tile(t *testing.T, to influxTarget, p shown) {
	t.Helper()
	queries, _ := panelQueries(t, p.file, p.title)
	for ago := time.Duration(0); ago <= time.Minute; ago += 2 * time.Second {
		got := map[string][]float64{}
		for _, s := range k.ask(t, to, queries[0], time.Hour, time.Minute, k.end.Add(-ago), p.chosen...) {
			got[s.Tags[p.tag]] = numbers(t, s.Values[len(s.Values)-1][1:])
		}
		if !maps.EqualFunc(got, p.want, about) {
			t.Errorf("%v, %v before the end: %v, want %v", p, ago, got, p.want)
			return
		}
	}
}

// about is equal but for a fiftieth.
func about(got, want []float64) bool {
	return slices.EqualFunc(got, want, func(g, w float64) bool { return math.Abs(g-w) <= .02*w })
}

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
					got[s.Tags["event"]] += numbers(t, row[1:])[0]
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
