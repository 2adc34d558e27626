package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	influxdb "github.com/influxdata/influxdb-client-go/v2"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/points"
)

// writeInflux writes a line through the version 2 API, as the bridge does.
func writeInflux(t *testing.T, s *stack.Stack, lines ...string) {
	t.Helper()
	c := influxdb.NewClient(s.InfluxDB.URL(), "")
	defer c.Close()
	if err := c.WriteAPIBlocking("", stack.BucketName).WriteRecord(t.Context(), lines...); err != nil {
		t.Fatalf("write to InfluxDB: %v", err)
	}
}

// queryInflux runs InfluxQL, as Grafana does, and returns all rows.
func queryInflux(t *testing.T, address, query string) [][]any {
	t.Helper()
	response, err := http.Get(address + "/query?" + url.Values{"db": {stack.Database}, "q": {query}}.Encode())
	if err != nil {
		t.Fatalf("query InfluxDB: %v", err)
	}
	defer response.Body.Close()
	var answer struct {
		Error   string
		Results []struct {
			Error  string
			Series []struct{ Values [][]any }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("query InfluxDB: %s: %v", response.Status, err)
	}
	var rows [][]any
	for _, r := range answer.Results {
		answer.Error += r.Error
		for _, s := range r.Series {
			rows = append(rows, s.Values...)
		}
	}
	if answer.Error != "" {
		t.Fatalf("query InfluxDB: %s\n%s", answer.Error, query)
	}
	return rows
}

func TestInfluxDB(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartInfluxDB}})
	writeInflux(t, s,
		`pump,device=p1,model=pump temperature=71.5,running=true 1764000000000000000`,
		`pump,device=p2,model=pump temperature=60 1764000001000000000`)
	rows := queryInflux(t, s.InfluxDB.URL(), `SELECT temperature FROM pump WHERE device = 'p1'`)
	if got := fmt.Sprint(rows); got != "[[2025-11-24T16:00:00Z 71.5]]" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(queryInflux(t, s.InfluxDB.URL(), `SHOW DATABASES`)); got != "[[devicetwin]]" {
		t.Errorf("databases: %s", got)
	}
	policies := queryInflux(t, s.InfluxDB.URL(), `SHOW RETENTION POLICIES ON `+stack.Database)
	if len(policies) != 1 || policies[0][0] != stack.RetentionPolicy {
		t.Errorf("retention policies: %v", policies)
	}
}

// The time for which points are kept can be changed from one start to the next.
func TestHowLongPointsAreKept(t *testing.T) {
	o := stack.Options{DataDir: t.TempDir(), Parts: []stack.Part{stack.PartInfluxDB}}
	for keep, want := range map[time.Duration][]any{
		0:                   {"0s", "168h0m0s"},
		90 * 24 * time.Hour: {"2160h0m0s", "24h0m0s"},
		time.Hour:           {"1h0m0s", "1h0m0s"},
	} {
		o.KeepPoints = keep
		s, err := open(t, o)
		if err != nil {
			t.Fatalf("points kept for %v: %v", keep, err)
		}
		rows := queryInflux(t, s.InfluxDB.URL(), "SHOW RETENTION POLICIES")
		if len(rows) != 1 || rows[0][0] != stack.RetentionPolicy || rows[0][1] != want[0] || rows[0][2] != want[1] {
			t.Errorf("points kept for %v: %v, want %v", keep, rows, want)
		}
		shut(t, s)
	}
	o.KeepPoints = time.Minute
	if _, err := open(t, o); err == nil || !strings.Contains(err.Error(), "points kept for 1m0s") {
		t.Errorf("points kept for a minute: %v", err)
	}
}

// The writer of points goes by strings in InfluxDB's errors: "partial write" says that
// the other points of a batch are written. A point that is older than the retention policy
// keeps is refused; a value of another type than its field had before is written under
// a name of its own.
func TestWhatInfluxDBSaysOfRefusedPoints(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartInfluxDB}, KeepPoints: 24 * time.Hour})
	now := time.Now().UTC().Truncate(time.Second)
	writeInflux(t, s, fmt.Sprintf("pump,device=p0 temperature=1 %d", now.UnixNano()))
	config := points.DefaultConfig()
	config.URL, config.Bucket = s.InfluxDB.URL(), stack.BucketName
	for name, tt := range map[string]struct {
		bad     points.Point
		refused float64
	}{
		"another type": {points.Point{Measurement: "pump", Tags: map[string]string{"device": "bad"}, Fields: map[string]any{"temperature": "hot", "n": 1.0}, Time: now}, 0},
		"too old":      {points.Point{Measurement: "pump", Tags: map[string]string{"device": "bad"}, Fields: map[string]any{"temperature": 1.0}, Time: now.Add(-48 * time.Hour)}, 1},
	} {
		w, err := points.NewWriter(config, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			w.Write(points.Point{
				Measurement: "pump", Tags: map[string]string{"device": strings.ReplaceAll(name, " ", "-")},
				Fields: map[string]any{"temperature": float64(i)}, Time: now.Add(time.Duration(i)),
			})
		}
		w.Write(tt.bad)
		ended, end := context.WithCancel(t.Context())
		end() // what was taken is written first
		w.Run(ended)
		if written, refused := w.Metric("points_written_total"), w.Metric("points_refused_total"); written != 4-tt.refused || refused != tt.refused {
			t.Errorf("%s: %v points written and %v refused, want %v refused of 4", name, written, refused, tt.refused)
		}
		// An error whose text is not recognized divides the batch until one line is left.
		if failures := w.Metric("failures_total"); failures != 1 {
			t.Errorf("%s: %v failed requests, want 1", name, failures)
		}
	}
	if rows := queryInflux(t, s.InfluxDB.URL(), `SELECT count(temperature) FROM pump`); len(rows) != 1 || fmt.Sprint(rows[0][1]) != "7" {
		t.Errorf("points in InfluxDB: %v, want 7", rows)
	}
	if rows := queryInflux(t, s.InfluxDB.URL(), `SELECT "temperature:string", n FROM pump WHERE device = 'bad'`); len(rows) != 1 || fmt.Sprint(rows[0][1:]) != "[hot 1]" {
		t.Errorf("the value of another type: %v", rows)
	}
}
