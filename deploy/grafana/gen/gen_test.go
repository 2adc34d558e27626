package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"devicetwin/bridge"
	"devicetwin/bridge/kafka"
	"devicetwin/internal/measure"
	"devicetwin/points"
	deviceworkflow "devicetwin/workflows/device"
)

const operations = "../../../docs/operations.md"

func made(t *testing.T) map[string]*dashboard {
	t.Helper()
	all, err := dashboards(operations)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What is checked in is what the generator writes.
func TestFilesAreCurrent(t *testing.T) {
	want, err := files(operations)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("deploy/grafana/%s is not current: run make dashboards (%v)", name, err)
		}
	}
	for _, dir := range []string{"dashboards", "provisioning/alerting"} {
		there, err := filepath.Glob(filepath.Join("..", dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range there {
			if name := filepath.Join(dir, filepath.Base(file)); want[name] == nil {
				t.Errorf("deploy/grafana/%s is made by nobody", name)
			}
		}
	}
}

// builtIn are panels that every Grafana has, and bare those that query nothing.
var (
	builtIn = []string{"stat", "timeseries", "table", "state-timeline", "geomap"}
	bare    = []string{"row", "text", "alertlist"}
)

func TestPanelsAreInOrder(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range made(t) {
		if uids[d.UID] {
			t.Errorf("two dashboards have the uid %s", d.UID)
		}
		uids[d.UID] = true
	}
	for name, d := range made(t) {
		ids, titles := map[int]bool{}, map[string]bool{}
		cells := map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.ID == 0 || titles[p.Title] || p.Title == "" {
				t.Errorf("%s: panel %d %q: its id or title is missing, or there twice", name, p.ID, p.Title)
			}
			ids[p.ID], titles[p.Title] = true, true
			if !slices.Contains(bare, p.Type) && (p.FieldConfig.Defaults.Unit == "" || len(p.Description) < 40 || len(p.Targets) == 0 || !slices.Contains(builtIn, p.Type)) {
				t.Errorf("%s: panel %q: unit %q, description %q, %d queries, type %s", name, p.Title,
					p.FieldConfig.Defaults.Unit, p.Description, len(p.Targets), p.Type)
			}
			g := p.GridPos
			if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > gridWidth {
				t.Errorf("%s: panel %q does not fit the grid: %+v", name, p.Title, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other, taken := cells[[2]int{x, y}]; taken {
						t.Fatalf("%s: panels %q and %q overlap", name, p.Title, other)
					}
					cells[[2]int{x, y}] = p.Title
				}
			}
			for _, l := range linksOf(p) {
				if target, ok := strings.CutPrefix(l.URL, "/d/"); ok {
					if uid, _, _ := strings.Cut(target, "?"); !uids[uid] {
						t.Errorf("%s: panel %q links to the dashboard %s, which there is not", name, p.Title, uid)
					}
				}
			}
		}
	}
}

func linksOf(p panel) []link {
	all := slices.Clone(p.FieldConfig.Defaults.Links)
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if l, ok := property.Value.([]link); ok {
				all = append(all, l...)
			}
		}
	}
	return all
}

var (
	quotedName = regexp.MustCompile(`"([^"]*)"`)
	ownName    = regexp.MustCompile(` AS "([^"]*)"`)
	source     = regexp.MustCompile(`FROM ((?:"[a-z_]+"(?:, )?)+|/\^\$model\$/)`)
	variables  = regexp.MustCompile(`\$\{?([a-z]+)`)
)

// unknownNames are the measurements, tags and fields of a query that nobody
// writes.
func unknownNames(query string) []string {
	known := map[string]bool{}
	for _, name := range ownName.FindAllStringSubmatch(query, -1) {
		known[name[1]] = true
	}
	shapes := measure.Shapes()
	for _, match := range source.FindAllStringSubmatch(query, -1) {
		known[measure.TagDevice], known[measure.TagModel] = true, true
		for _, name := range quotedName.FindAllStringSubmatch(match[1], -1) {
			shape, ok := shapes[name[1]]
			if !ok {
				continue
			}
			known[name[1]] = true
			for _, n := range slices.Concat(shape.Tags, shape.Fields, bridge.Declared().Fields(name[1]), kafka.Declared().Fields(name[1]), points.Declared().Fields(name[1]),
				deviceworkflow.NewCounts().Fields(name[1])) {
				known[n] = true
			}
		}
	}
	var unknown []string
	for _, name := range quotedName.FindAllStringSubmatch(query, -1) {
		if !known[name[1]] && !strings.HasPrefix(name[1], "$") {
			unknown = append(unknown, name[1])
		}
	}
	return unknown
}

// Every name in every query is one that this service writes, and every variable
// is one that the dashboard or Grafana has.
func TestQueriesUseNamesThatAreWritten(t *testing.T) {
	for name, d := range made(t) {
		known := map[string]bool{"timeFilter": true, "__interval": true, "__from": true}
		queries := map[string]string{}
		for _, v := range d.Templating.List {
			known[v.Name] = true
			if v.Type == "query" {
				queries["variable "+v.Name] = v.Query
			}
		}
		for _, a := range d.Annotations.List {
			queries["annotation "+a.Name] = a.Target.Query
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				queries[fmt.Sprintf("panel %q, query %s", p.Title, target.RefID)] = target.Query
			}
		}
		for where, query := range queries {
			if unknown := unknownNames(query); len(unknown) > 0 {
				t.Errorf("%s: %s: nobody writes %q: %s", name, where, unknown, query)
			}
			for _, v := range variables.FindAllStringSubmatch(query, -1) {
				if !known[v[1]] && !strings.HasPrefix(v[1], "time") {
					t.Errorf("%s: %s uses the variable %s, which there is not: %s", name, where, v[1], query)
				}
			}
		}
	}
	for _, r := range rules() {
		if unknown := unknownNames(r.Query.text); len(unknown) > 0 {
			t.Errorf("alert rule %s: nobody writes %q", r.UID, unknown)
		}
	}
}

func TestUnknownNamesAreFound(t *testing.T) {
	got := unknownNames(`SELECT last("sent") AS "value" FROM "bridge" WHERE "site" =~ /^x$/`)
	if !slices.Equal(got, []string{"sent", "site"}) {
		t.Errorf("unknown names %q, want sent, a field of another measurement, and site, a tag of others", got)
	}
}

// Versions of Grafana differ in what they make of a dollar sign in a rule.
func TestAlertRules(t *testing.T) {
	content, err := alerting(made(t))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsRune(content, '$') {
		t.Error("the alert rules hold a dollar sign")
	}
}
