package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/service"
)

// mayBeEmpty marks the description of a panel that a fleet may leave without rows.
const mayBeEmpty = "Rightly empty: "

// noKafka is why the panels of a bridge from Kafka may be. The fleet of the test has one.
const noKafka = mayBeEmpty + "there may be no bridge from Kafka"

// bare are the types of panels that query nothing.
var bare = []string{"row", "text", "alertlist"}

// values finds a value for each variable as Grafana does: the first that its
// query finds, or all. A device is one that has been through everything.
func values(t *testing.T, s *system, d dashboard) []string {
	t.Helper()
	replace := []string{
		"$timeFilter", "time >= now() - 15m", "$__interval", "10s",
		"${__from}", fmt.Sprint(time.Now().UnixMilli()),
	}
	for _, v := range d.Templating.List {
		value := v.Query
		if v.Type == "query" {
			rows := s.influx.query(t, strings.NewReplacer(replace...).Replace(v.Query))
			if len(rows) == 0 {
				t.Errorf("variable %s finds nothing: %s", v.Name, v.Query)
				continue
			}
			value = fmt.Sprint(rows[0][len(rows[0])-1])
			if strings.HasPrefix(v.Query, "SHOW FIELD KEYS") {
				value = fieldFor(t, v, rows)
			} else if v.IncludeAll {
				value = v.AllValue
			} else if v.Name == "device" {
				value = reprovisioned(t, s)
			}
		}
		replace = append(replace, "$"+v.Name, value, "${"+v.Name+":raw}", value)
	}
	return replace
}

// fieldFor is the first of the fields that the variable of a repeated panel lets through.
func fieldFor(t *testing.T, v dashboardVariable, rows [][]any) string {
	t.Helper()
	for _, row := range rows {
		name := fmt.Sprint(row[0])
		words, flag := strings.HasSuffix(name, ":string"), strings.HasSuffix(name, ":bool")
		if words == (v.Name == "words") && !flag {
			return name
		}
	}
	t.Errorf("variable %s finds no field among %v", v.Name, rows)
	return ""
}

// reprovisioned is the device that was reprovisioned most often.
func reprovisioned(t *testing.T, s *system) string {
	t.Helper()
	rows := s.influx.query(t, `SELECT top("n", "device", 1) FROM (SELECT sum("done") AS "n" FROM "reprovisions" GROUP BY "device")`)
	if len(rows) == 0 {
		t.Fatal("no device was reprovisioned")
	}
	return fmt.Sprint(rows[0][2])
}

// Every query of every dashboard and alert rule finds what a short run of the
// simulator has left in InfluxDB, through bridge and worker.
func TestDashboardQueriesFindRows(t *testing.T) {
	t.Parallel()
	sites := func(c *service.Config) {
		c.Model.Models, c.Model.Registry = []string{"testdata/dashboards.group.yaml"}, true
	}
	t.Run("1.8", func(t *testing.T) {
		findDashboardRows(t, startSystemWriting(t, stack.Options{}, nil, 1000, sites, levelled.known))
	})
	t.Run("2.7", func(t *testing.T) {
		influx := realInfluxDB(t, 0) // skips the test before anything else starts
		findDashboardRows(t, startSystemWriting(t, stack.Options{}, &influx, 1000, sites, levelled.known))
	})
}

// knownDevices is how many devices with a firmware the bridge knows; nil before it counted.
func knownDevices(t *testing.T, s *system) any {
	rows := s.influx.query(t, `SELECT sum("online") + sum("silent") + sum("offline") FROM `+
		`(SELECT last("online") AS "online", last("silent") AS "silent", last("offline") AS "offline" FROM "known_devices" `+
		`WHERE "firmware" =~ /./ GROUP BY "bridge", "model", "site", "firmware")`)
	if len(rows) != 1 {
		return nil
	}
	return rows[0][1]
}

// sellSomething has a bridge from Kafka, named "shop", receive purchases of a customer and a record
// that cannot be read.
func sellSomething(t *testing.T, s *system) {
	t.Helper()
	brokers := kafkaCluster(t).ListenAddrs()
	levelled.bridge(t, s, brokers, "shop")
	producer := kafkaClient(t, brokers)
	for _, purchase := range []string{`{"amount":1}`, `{"amount":2}`, `{"amount":`} {
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Key: []byte("1000"), Value: []byte(purchase)}).FirstErr(); err != nil {
			t.Fatalf("produce a purchase: %v", err)
		}
	}
}

func findDashboardRows(t *testing.T, s *system) {
	sellSomething(t, s)
	out, err := program(t, "devicetwin", "simulate", "--model", "models/pump.yaml", "--devices", "30", "--rate", "2", "--duration", "25s", "--seed", "4",
		"--scenario", "deploy/devstack/e2e/testdata/dashboards.scenario.yaml",
		"--mqtt-url", s.MQTT.URL(), "--temporal-address", s.Temporal.Addr(), "--influx-url", s.influx.URL,
		"--influx-token="+s.influx.Token, "--influx-org="+s.influx.Org, "--influx-bucket", s.influx.Bucket).CombinedOutput()
	if err != nil {
		t.Fatalf("simulate: %v\n%s", err, out)
	}
	device := reprovisioned(t, s)
	connect(t, s.MQTT.URL(), "application").publish("$aws/things/"+device+"/shadow/update", `{"state":{"desired":{"interval":20}}}`)
	// A bridge counts all its devices 10 s after its start, and then every minute.
	eventuallyWithin(t, 90*time.Second, 50*time.Millisecond, "the figures of half a minute, and of all devices", func(context.Context) bool {
		return len(s.influx.query(t, `SELECT "version" FROM "twin"`)) == 1 &&
			len(s.influx.query(t, `SELECT "messages" FROM "bridge" WHERE "bridge" = 'e2e'`)) >= 3 &&
			len(s.influx.query(t, `SELECT "kafka_lag" FROM "bridge" WHERE "bridge" = 'shop'`)) >= 3 &&
			len(s.influx.query(t, `SELECT "cpu_seconds" FROM "process"`)) >= 3 &&
			len(s.influx.query(t, `SELECT "clean" FROM "simulator"`)) == 1 &&
			fmt.Sprint(knownDevices(t, s)) == "30"
	})
	var report strings.Builder
	ask := func(what, query string, empty bool) int {
		rows := s.influx.query(t, query)
		n := 0
		for _, row := range rows { // the time alone is not a row
			if slices.ContainsFunc(row[1:], func(v any) bool { return v != nil }) {
				n++
			}
		}
		fmt.Fprintf(&report, "%5d  %s\n", n, what)
		if n == 0 && !empty {
			t.Errorf("%s finds nothing: %s", what, query)
		}
		return n
	}
	all, ofKafka := readDashboards(t), 0
	for _, file := range slices.Sorted(maps.Keys(all)) {
		d := all[file]
		variables := strings.NewReplacer(values(t, s, d)...)
		for _, a := range d.Annotations.List {
			ask(file+": annotation "+a.Name, variables.Replace(a.Target.Query), false)
		}
		for _, p := range d.Panels {
			if slices.Contains(bare, p.Type) {
				continue
			}
			empty, found := strings.Contains(p.Description, mayBeEmpty), 0
			if strings.Contains(p.Description, noKafka) {
				empty = false
				ofKafka++
			}
			for _, target := range p.Targets {
				if !target.RawQuery {
					t.Errorf("%s: panel %q: query %s is not written as InfluxQL", file, p.Title, target.RefID)
				}
				found += ask(fmt.Sprintf("%s: %s, %s", file, p.Title, target.RefID), variables.Replace(target.Query), empty)
			}
			// Of several queries, some of which may be empty, one finds something.
			if empty && len(p.Targets) > 1 && found == 0 {
				t.Errorf("%s: panel %q: no query finds anything", file, p.Title)
			}
		}
	}
	if ofKafka == 0 {
		t.Errorf("no panel says %q", noKafka)
	}
	rules := alertRules(t)
	for _, uid := range slices.Sorted(maps.Keys(rules)) {
		ask("alert rule "+uid, rules[uid].query(), false)
	}
	// Every step is found with a filter by site, and every device by its birth.
	for _, step := range []string{"started", "sent", "done", "failed"} {
		all := s.influx.query(t, `SELECT sum("`+step+`") FROM "reprovisions"`)
		sited := s.influx.query(t, `SELECT sum("`+step+`") FROM "reprovisions" WHERE "site" =~ /^(north|south|harbour|foundry)$/`)
		if len(all) != 1 || len(sited) != 1 || all[0][1] != sited[0][1] {
			t.Errorf("reprovisions %s: %v, and %v of the sites", step, all, sited)
		}
	}
	if n := len(s.influx.query(t, `SHOW TAG VALUES FROM "births" WITH KEY = "device" WHERE "model" = 'pump' AND "site" =~ /.+/`)); n != 30 {
		t.Errorf("%d devices have a birth with model and site, of 30", n)
	}
	t.Logf("rows of each query:\n%s", report.String())
}

// A query that is broken, or asks for what nobody writes, is found out.
func TestQueriesOfNothingFindNothing(t *testing.T) {
	for version, open := range influxTargets {
		t.Run(version, func(t *testing.T) {
			if rows := open(t, 0).query(t, `SELECT last("messages") FROM "bridge"`); len(rows) != 0 {
				t.Errorf("an empty database has %d rows", len(rows))
			}
		})
	}
}
