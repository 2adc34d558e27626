package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"devicetwin/bridge"
	"devicetwin/bridge/kafka"
	"devicetwin/devicefsm"
	"devicetwin/internal/testfile"
	"devicetwin/points"
)

// panels calls with every panel of every dashboard.
func panels(t *testing.T, yield func(where string, p panel)) {
	t.Helper()
	for name, d := range made(t) {
		for _, p := range d.Panels {
			yield(fmt.Sprintf("%s: panel %q", name, p.Title), p)
		}
	}
}

func TestADeviceThatIsNotListedStays(t *testing.T) {
	for _, v := range device().Templating.List {
		if (v.Name == "device" || v.Name == "model") && v.Refresh != 1 {
			t.Errorf("variable %s is looked for again with each refresh, and would become another", v.Name)
		}
	}
}

// Green is for what is known to be well.
func TestNoDataIsNeverGreen(t *testing.T) {
	panels(t, func(where string, p panel) {
		if p.Type != "stat" {
			return
		}
		d := p.FieldConfig.Defaults
		if d.NoValue == "" || len(d.Mappings) == 0 {
			t.Fatalf("%s: no text, or no colour, for no value", where)
		}
		first := d.Mappings[0].(map[string]any)
		options := first["options"].(map[string]any)
		result, _ := options["result"].(map[string]any)
		if first["type"] != "special" || options["match"] != "null+nan" || result["text"] != d.NoValue || !slices.Contains([]any{plain, "red"}, result["color"]) {
			t.Errorf("%s: no value is shown as %v", where, first)
		}
		if mode := d.Color["mode"]; mode == "palette-classic" && len(d.Mappings) == 1 {
			t.Errorf("%s: the first of the palette is green", where)
		}
	})
}

// colourOf is what a state is shown in.
func colourOf(t *testing.T, state string) string {
	t.Helper()
	for _, s := range stateColours {
		pattern := "(?i)" + strings.TrimSuffix(strings.TrimPrefix(s.pattern, "/"), "/i")
		if regexp.MustCompile(pattern).MatchString(state) {
			return s.colour
		}
	}
	return ""
}

// Two states of one of our models have different colours, and each has its colour however it is written.
func TestStatesOfAModelDiffer(t *testing.T) {
	n := 0
	for _, file := range testfile.Models(t, "../../../models") {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := devicefsm.Load(file, source)
		if err != nil {
			t.Fatal(err)
		}
		by := map[string]string{}
		for _, s := range m.States() {
			n++
			leaf := s[strings.LastIndex(s, ".")+1:]
			c := colourOf(t, s)
			if c == "" || c != colourOf(t, leaf) {
				t.Errorf("%s: state %s is %q, and %q as %s", file, s, c, colourOf(t, leaf), leaf)
			}
			if other, taken := by[c]; taken && other != leaf {
				t.Errorf("%s: states %s and %s are both %s", file, s, other, c)
			}
			by[c] = leaf
		}
	}
	if n < 10 {
		t.Errorf("%d states; the test shows little", n)
	}
}

func TestStatesHaveOneColour(t *testing.T) {
	seen := 0
	panels(t, func(where string, p panel) {
		var series []string
		for _, o := range p.FieldConfig.Overrides {
			if o.Matcher.ID == "byRegexp" {
				colour := o.Properties[0].Value.(map[string]any)["fixedColor"].(string)
				series = append([]string{o.Matcher.Options + colour}, series...) // the last counts
			}
		}
		want := make([]string, len(stateColours))
		for i, s := range stateColours {
			want[i] = s.pattern + s.colour
		}
		for _, target := range p.Targets {
			if target.Alias == "$tag_state" {
				if seen++; !slices.Equal(series, want) {
					t.Errorf("%s: its states have other colours", where)
				}
			}
			if strings.HasPrefix(target.Query, `SELECT "state" FROM`) || strings.HasPrefix(target.Query, `SELECT last("state") AS "state" FROM "transitions" WHERE $timeFilter AND "device" =~`) {
				seen++
				regexes := slices.DeleteFunc(slices.Clone(p.FieldConfig.Defaults.Mappings), func(m any) bool { return m.(map[string]any)["type"] != "regex" })
				if len(regexes) != len(stateColours) || p.FieldConfig.Defaults.Color["mode"] != "palette-classic" {
					t.Errorf("%s: its states have other colours", where)
				}
			}
		}
		for _, column := range []string{"from", "to"} {
			if p.Type == "table" && strings.Contains(p.Targets[0].Query, quoted(column)+",") && len(overridden(p, column, "mappings")) == 0 {
				t.Errorf("%s: column %s has no colours", where, column)
			}
		}
	})
	if seen < 4 {
		t.Errorf("%d panels of states", seen)
	}
}

func overridden(p panel, column, property string) (values []any) {
	for _, o := range p.FieldConfig.Overrides {
		for _, q := range o.Properties {
			if o.Matcher.Options == column && q.ID == property {
				values = append(values, q.Value)
			}
		}
	}
	return values
}

// Everything that is deployed from here serves API and Temporal's UI where links lead.
func TestLinksLeadToWhatIsServed(t *testing.T) {
	for file, want := range map[string][]string{
		"compose.yaml":                         {`ports: ["127.0.0.1:8080:8080"]`, `ports: ["127.0.0.1:8233:8080"]`},
		"systemd/devicetwin-api.service":       {"--api-listen=127.0.0.1:8080 "},
		"helm/devicetwin/README.md":            {"8080"},
		"devstack/cli/cli.go":                  {`name:"temporal-ui-port" group:"Ports" help:"Port of Temporal's web UI; 0 for any free one." default:"8233"`},
		"../docs/standalone.md":                {"| 8080 | the operator's API", "| 7233, 8233, 8086, 8090 | Temporal, its UI"},
		"../internal/cli/operator/operator.go": {`default:"` + apiURL + `"`},
	} {
		content, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(content), w) {
				t.Errorf("deploy/%s has no %s, where links of the dashboard Device lead", file, w)
			}
		}
	}
	if apiURL != "http://127.0.0.1:8080" || !strings.HasPrefix(temporalUI, "http://127.0.0.1:8233/") {
		t.Errorf("links lead to %s and %s", apiURL, temporalUI)
	}
}

// Nothing is fetched from the internet when Grafana starts, and no setting is one that
// the next Grafana does not know.
func TestGrafanaIsSetUp(t *testing.T) {
	for file, preinstall := range map[string]string{
		"compose.yaml": `GF_PLUGINS_PREINSTALL_DISABLED: "true"`, "devstack/stack/grafana.go": `"GF_PLUGINS_PREINSTALL_DISABLED=true"`,
	} {
		content, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), preinstall) || strings.Contains(string(content), "ANONYMOUS_ORG_ROLE") {
			t.Errorf("deploy/%s has no %s, or a deprecated role of anonymous users", file, preinstall)
		}
	}
}

// counters are the fields that only grow, until their process begins again.
func counters() []string {
	var names []string
	for _, measurement := range []string{"bridge", "process", "worker"} {
		for _, s := range slices.Concat(bridge.Declared().Samples(measurement), kafka.Declared().Samples(measurement), points.Declared().Samples(measurement)) {
			if strings.HasSuffix(s.Metric, "_total") && s.Per == "" {
				names = append(names, s.Field)
			}
		}
	}
	return append(names, "cache_hits", "cache_misses", "cache_evictions", "tasks_failed", "requests_failed", "cpu_seconds")
}

var ofProcesses = regexp.MustCompile(`FROM "(bridge|process|worker)"`)

// A counter is drawn as its growth, from point to point: the derivative of a
// bucket's maximum swings, and a counter next to a gauge hides it.
func TestCountersAreDrawnAsRates(t *testing.T) {
	all := counters()
	if len(all) < 20 {
		t.Fatalf("%d counters", len(all))
	}
	panels(t, func(where string, p panel) {
		rates, totals := 0, 0
		for _, target := range p.Targets {
			if strings.Contains(target.Query, "derivative(max") || strings.Contains(target.Query, "derivative(last") {
				t.Errorf("%s: a rate of buckets: %s", where, target.Query)
			}
			for _, c := range all {
				if !strings.Contains(target.Query, quoted(c)) || !ofProcesses.MatchString(target.Query) {
					continue
				}
				if !strings.Contains(target.Query, `non_negative_derivative("`+c+`", 1s)`) && !strings.Contains(target.Query, `non_negative_difference("`+c+`")`) {
					t.Errorf("%s draws the counter %s as it is: %s", where, c, target.Query)
				}
			}
			if strings.Contains(target.Query, "derivative(") {
				rates++
			} else {
				totals++
			}
		}
		if rates > 0 && totals > 0 {
			t.Errorf("%s mixes rates with what is not one", where)
		}
	})
}

// badWhenHigh are fields whose peaks matter.
var badWhenHigh = regexp.MustCompile(`"((oldest_unacknowledged|backlog|points_backlog|linger)_seconds|.*_p99_seconds|backlog_messages|window_messages|held_messages|devices_(waiting|stuck)|points_backlog_bytes|resident_bytes)"`)

func TestPeaksAreNotHidden(t *testing.T) {
	n := 0
	panels(t, func(where string, p panel) {
		for _, target := range p.Targets {
			if match := badWhenHigh.FindString(target.Query); match != "" && !strings.HasPrefix(where, "simulator") {
				if n++; !strings.Contains(target.Query, "max("+match+")") {
					t.Errorf("%s: peaks of %s are hidden: %s", where, match, target.Query)
				}
			}
		}
	})
	if n < 12 {
		t.Errorf("%d queries of what is bad when high", n)
	}
}

// What is now is of the last minute, of each process: not of a bucket that only one of
// two bridges has written to yet.
func TestTilesOfNow(t *testing.T) {
	panels(t, func(where string, p panel) {
		for _, target := range p.Targets {
			if p.Type == "stat" && strings.Contains(target.Query, "time(") {
				t.Errorf("%s: a tile with buckets: %s", where, target.Query)
			}
		}
	})
}

func TestGraphsAreReadable(t *testing.T) {
	panels(t, func(where string, p panel) {
		custom := p.FieldConfig.Defaults.Custom
		switch p.Type {
		case "timeseries":
			if p.FieldConfig.Defaults.Min != nil && custom["axisSoftMax"] == nil {
				t.Errorf("%s: an axis of zeros ends at 100", where)
			}
			if custom["drawStyle"] == "bars" && p.Interval != "1m" {
				t.Errorf("%s: bars of %q", where, p.Interval)
			}
			if p.Interval == "" {
				t.Errorf("%s: buckets that not every process has written to", where)
			}
			if len(p.Targets) > 1 && custom["stacking"] != nil && p.Title != titleLetters {
				t.Errorf("%s stacks several queries: steps of one thing would be counted more than once", where)
			}
		case "table":
			if custom["minWidth"] == nil {
				t.Errorf("%s: its columns are cut off", where)
			}
		}
		if strings.Contains(p.Title, "$") && p.Repeat != strings.TrimPrefix(p.Title, "$") {
			t.Errorf("%s is not there for each value", where)
		}
	})
}

// Each bridge writes its survey once in a minute, each group for itself: a shorter bucket would
// have no point of some, and a sum of all points would count devices more than once.
func TestSurveysAreAddedUp(t *testing.T) {
	n := 0
	panels(t, func(where string, p panel) {
		for _, target := range p.Targets {
			_, inner, found := strings.Cut(target.Query, `FROM "known_devices"`)
			if !found {
				continue
			}
			n++
			if p.Type == "timeseries" && p.Interval != "2m" || p.Type == "table" && !strings.Contains(inner, "time > now() - 2m") {
				t.Errorf("%s: buckets of %q: %s", where, p.Interval, target.Query)
			}
			if !strings.Contains(target.Query, `sum("online")`) || !strings.Contains(target.Query, `last("online")`) || !strings.Contains(inner, `"bridge", "model", "site", "firmware"`) {
				t.Errorf("%s does not add the newest of all groups: %s", where, target.Query)
			}
		}
	})
	if n < 4 {
		t.Errorf("%d queries of what bridges know", n)
	}
}

// A column that is rated is red where it is low, and has no colour where it is not known.
func TestColumnsAreRated(t *testing.T) {
	n := 0
	panels(t, func(where string, p panel) {
		for _, o := range p.FieldConfig.Overrides {
			if len(overridden(p, o.Matcher.Options, "thresholds")) == 0 || o.Properties[0].ID != "thresholds" {
				continue
			}
			n++
			steps := o.Properties[0].Value.(thresholds).Steps
			if len(steps) != 3 || steps[0].Color != "red" || steps[1].Color != "orange" || steps[2].Color != "green" || *steps[1].Value >= *steps[2].Value {
				t.Errorf("%s: column %s is coloured %+v", where, o.Matcher.Options, steps)
			}
			if !strings.Contains(p.Targets[0].Query, fmt.Sprintf("AS %q", o.Matcher.Options)) {
				t.Errorf("%s has no column %s", where, o.Matcher.Options)
			}
		}
	})
	if n < 2 {
		t.Errorf("%d columns are rated", n)
	}
}

func TestConnectionsHaveThreeColours(t *testing.T) {
	by := map[string]string{}
	for _, c := range []string{"online", "silent", "offline"} {
		if other, taken := by[colourOf(t, c)]; taken {
			t.Errorf("%s and %s are both %s", c, other, colourOf(t, c))
		}
		by[colourOf(t, c)] = c
	}
	if by["green"] != "online" {
		t.Errorf("colours %v", by)
	}
}

// A marker is at columns that the query has, and nothing here says from where the map comes:
// an operator's Grafana may have no internet.
func TestMapsShowColumns(t *testing.T) {
	n := 0
	panels(t, func(where string, p panel) {
		if p.Type != "geomap" {
			return
		}
		if base := p.Options["basemap"].(map[string]any); base["type"] != "default" {
			t.Errorf("%s: its map is %v", where, base)
		}
		for _, l := range p.Options["layers"].([]any) {
			location := l.(map[string]any)["location"].(map[string]any)
			for _, column := range []string{"latitude", "longitude"} {
				if n++; !strings.Contains(p.Targets[0].Query, fmt.Sprintf("AS %q", location[column])) {
					t.Errorf("%s: no column for the %s %v", where, column, location[column])
				}
			}
		}
		if !strings.Contains(p.Targets[0].Query, "SLIMIT ") || !strings.Contains(p.Description, emptyMark) {
			t.Errorf("%s: not bounded, or without an explanation when it is empty", where)
		}
	})
	if n != 4 {
		t.Errorf("%d columns of places", n)
	}
}

// Service levels are drawn over time too, with the limits of their tiles.
func TestServiceLevelsAreDrawnOverTime(t *testing.T) {
	limits := func(p *panel) (all []string) {
		for _, s := range p.FieldConfig.Defaults.Thresholds.Steps[1:] {
			all = append(all, fmt.Sprint(s.Color, *s.Value))
		}
		return all
	}
	find := func(title string) *panel {
		for _, p := range made(t)["fleet"].Panels {
			if p.Title == title {
				return &p
			}
		}
		t.Fatalf("no panel %s", title)
		return nil
	}
	for tile, graph := range map[string]string{
		"Devices reachable": "Reachable over time", "Event to state, p99": "Event to state over time", "Lost": "Lost over time",
	} {
		now, then := find(tile), find(graph)
		if !slices.Equal(limits(now), limits(then)) || then.FieldConfig.Defaults.Custom["thresholdsStyle"] == nil || len(now.Targets) != len(then.Targets) {
			t.Errorf("%s has %v, and %s %v", tile, limits(now), graph, limits(then))
		}
	}
	if then := find("Time to recovery"); len(limits(then)) == 0 {
		t.Error("the time to recovery has no limit")
	}
}

// Each rule names its panel and what to do, and of InfluxDB away one reports.
func TestRulesNamePanelAndRunbook(t *testing.T) {
	content, err := os.ReadFile("../provisioning/alerting/devicetwin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Title        string
				ExecErrState string            `yaml:"execErrState"`
				Annotations  map[string]string `yaml:"annotations"`
			}
		}
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	all := made(t)
	named := func(uid, id string) string {
		for _, d := range all {
			for _, p := range d.Panels {
				if d.UID == uid && fmt.Sprint(p.ID) == id {
					return p.Title
				}
			}
		}
		return ""
	}
	alerting := 0
	for _, r := range file.Groups[0].Rules {
		if named(r.Annotations["__dashboardUid__"], r.Annotations["__panelId__"]) == "" {
			t.Errorf("rule %s names no panel", r.Title)
		}
		uid, id, _ := strings.Cut(strings.TrimPrefix(r.Annotations["runbook_url"], "/d/"), "?viewPanel=")
		if named(uid, id) != r.Title {
			t.Errorf("rule %s: its runbook is %q", r.Title, r.Annotations["runbook_url"])
		}
		if r.ExecErrState != keep {
			alerting++
		}
	}
	if len(file.Groups[0].Rules) != len(rules()) || alerting != 1 {
		t.Errorf("%d rules, %d of which report that InfluxDB is down; want one", len(file.Groups[0].Rules), alerting)
	}
}
