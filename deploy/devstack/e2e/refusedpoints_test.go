package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	influxdb "github.com/influxdata/influxdb-client-go/v2"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"

	"devicetwin/deploy/devstack/servers"
	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/internal/testlog"
	"devicetwin/points"
)

// refusals are what each InfluxDB says of a batch with a bad point in it. The writer of
// points goes by the status and by the words "partial write": with them the others of the
// batch are written.
var refusals = []struct {
	name string
	bad  func(now time.Time) points.Point
	says map[string]string // a pattern for each version, of status and message
	// failures are the failed requests until the bad point is found: more than one where
	// the whole batch is refused, and divided.
	failures map[string]float64
	refused  float64 // of the four points of a batch
}{
	{
		name: "another type",
		bad: func(now time.Time) points.Point {
			return points.Point{Measurement: "pump", Tags: map[string]string{"device": "bad"}, Fields: map[string]any{"temperature": "hot", "n": 1.0}, Time: now}
		},
		says: map[string]string{
			"1.8": `^400 .*partial write: field type conflict: input field "temperature" on measurement "pump" is type string, already exists as type float dropped=1$`,
			"2.7": `^422 failure writing points to database: partial write: field type conflict: input field "temperature" on measurement "pump" is type string, already exists as type float dropped=1$`,
		},
		failures: map[string]float64{"1.8": 1, "2.7": 1},
	},
	{
		name: "too old",
		bad: func(now time.Time) points.Point {
			return points.Point{Measurement: "pump", Tags: map[string]string{"device": "bad"}, Fields: map[string]any{"temperature": 1.0}, Time: now.Add(-48 * time.Hour)}
		},
		says: map[string]string{
			"1.8": `^400 .*partial write: points beyond retention policy dropped=1$`,
			"2.7": `^422 failure writing points to database: partial write: dropped 1 points outside retention policy of duration 24h0m0s - .* dropped=1 for database: `,
		},
		failures: map[string]float64{"1.8": 1, "2.7": 1},
		refused:  1,
	},
	{
		name: "too long a key",
		bad: func(now time.Time) points.Point {
			return points.Point{Measurement: "pump", Tags: map[string]string{"device": strings.Repeat("x", 70_000)}, Fields: map[string]any{"temperature": 1.0}, Time: now}
		},
		says: map[string]string{
			"1.8": `^400 unable to parse 'pump,device=x…`, // without the rest: it has written the others
			"2.7": `^400 unable to parse '.*max key length exceeded: 70012 > 65535$`,
		},
		failures: map[string]float64{"1.8": 1, "2.7": 3}, // all four points, two, one
		refused:  1,
	},
}

// withTemperature tests on each InfluxDB, in which temperature is a number.
func withTemperature(t *testing.T, test func(t *testing.T, version string, target influxTarget, now time.Time)) {
	for version, open := range influxTargets {
		t.Run(version, func(t *testing.T) {
			target := open(t, 24*time.Hour)
			now := time.Now().UTC().Truncate(time.Second)
			first := points.Point{Measurement: "pump", Tags: map[string]string{"device": "p0"}, Fields: map[string]any{"temperature": 1.0}, Time: now}
			if err := writeDirectly(t, target, first); err != nil {
				t.Fatal(err)
			}
			test(t, version, target, now)
		})
	}
}

// What InfluxDB says of a batch with a point that it does not take, and what the writer
// makes of it: the others are written, and a value of another type than its field had
// before goes under a name of its own.
func TestWhatInfluxDBSaysOfRefusedPoints(t *testing.T) {
	withTemperature(t, func(t *testing.T, version string, target influxTarget, now time.Time) {
		for _, c := range refusals {
			t.Run(c.name, func(t *testing.T) {
				bad := c.bad(now)
				if said := withoutRepetition(statusAndMessage(t, writeDirectly(t, target, bad))); !regexp.MustCompile(c.says[version]).MatchString(said) {
					t.Errorf("it says %q, want %s", said, c.says[version])
				}
				device := strings.ReplaceAll(c.name, " ", "-")
				w := writeAll(t, target.points(), append(healthy(device, now), bad)...)
				if written, refused := w.Metric("points_written_total"), w.Metric("points_refused_total"); written != 4-c.refused || refused != c.refused {
					t.Errorf("%v points written and %v refused, want %v refused of 4", written, refused, c.refused)
				}
				// An error whose text is not recognized divides the batch until one line is left.
				if failures := w.Metric("failures_total"); failures != c.failures[version] {
					t.Errorf("%v failed requests, want %v", failures, c.failures[version])
				}
				rows := target.query(t, `SELECT count(temperature) FROM pump WHERE device = '`+device+`'`)
				if len(rows) != 1 || fmt.Sprint(rows[0][1]) != "3" {
					t.Errorf("points in InfluxDB: %v, want 3", rows)
				}
			})
		}
		rows := target.query(t, `SELECT "temperature:string", n FROM pump WHERE device = 'bad'`)
		if len(rows) != 1 || fmt.Sprint(rows[0][1:]) != "[hot 1]" {
			t.Errorf("the value of another type: %v", rows)
		}
	})
}

// Of a batch with points of both kinds, each InfluxDB reports the conflict only, and
// counts only the points of that kind; the writer loses no healthy one to it.
func TestWhatInfluxDBSaysOfTwoKindsOfRefusedPoints(t *testing.T) {
	withTemperature(t, func(t *testing.T, version string, target influxTarget, now time.Time) {
		batch := append(healthy("both", now), refusals[0].bad(now), refusals[1].bad(now))
		if said := statusAndMessage(t, writeDirectly(t, target, batch...)); !strings.Contains(said, "partial write: field type conflict") || !strings.Contains(said, "dropped=1") {
			t.Errorf("it says %q", said)
		}
		w := writeAll(t, target.points(), batch...)
		if written, refused := w.Metric("points_written_total"), w.Metric("points_refused_total"); written != 4 || refused != 1 {
			t.Errorf("%v points written and %v refused, want 4 and 1", written, refused)
		}
		rows := target.query(t, `SELECT count(temperature) FROM pump WHERE device = 'both'`)
		if len(rows) != 1 || fmt.Sprint(rows[0][1]) != "3" {
			t.Errorf("points in InfluxDB: %v, want 3", rows)
		}
	})
}

// What can be repaired without the points is waited for: they are written then, all of
// them. What is wrong is in the log.
func TestPointsWaitForTokenAndBucket(t *testing.T) {
	influx := serverstest.InfluxDB(t, ports, 0)
	target := targetOf2(influx)
	ctx := t.Context()
	wrong := target
	wrong.Token = "not-a-token"
	if said := statusAndMessage(t, writeDirectly(t, wrong, healthy("never", time.Now())...)); said != "401 unauthorized access" {
		t.Errorf("of a wrong token it says %q", said)
	}
	for name, c := range map[string]struct {
		says   string
		away   func() error
		repair func() error
	}{
		"token": {
			says:   "403 insufficient permissions for write: token is inactive",
			away:   func() error { return influx.AllowWriting(ctx, false) },
			repair: func() error { return influx.AllowWriting(ctx, true) },
		},
		"bucket": {
			says:   `404 bucket "devicetwin" not found`,
			away:   func() error { return influx.RenameBucket(ctx, "away") },
			repair: func() error { return influx.RenameBucket(ctx, servers.InfluxBucket) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.away(); err != nil {
				t.Fatal(err)
			}
			if said := statusAndMessage(t, writeDirectly(t, target, healthy(name, time.Now())...)); said != c.says {
				t.Errorf("it says %q, want %q", said, c.says)
			}
			logs := &testlog.Lines{}
			config := target.points()
			config.BackoffMax, config.FlushEvery = config.BackoffMin, 10*time.Millisecond
			w, err := points.NewWriter(config, points.Deps{Logger: slog.New(slog.NewTextHandler(logs, nil))})
			if err != nil {
				t.Fatal(err)
			}
			running, stop := context.WithCancel(ctx)
			ended := make(chan struct{})
			go func() { defer close(ended); w.Run(running) }()
			defer func() { stop(); <-ended }()
			for _, p := range healthy(name, time.Now()) {
				w.Write(p)
			}
			eventually(t, "two failed requests", func(context.Context) bool { return w.Metric("failures_total") >= 2 })
			if err := c.repair(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "three points written", func(context.Context) bool { return w.Metric("points_written_total") == 3 })
			if refused, dropped := w.Metric("points_refused_total"), w.Metric("points_dropped_total"); refused+dropped != 0 {
				t.Errorf("%v points refused and %v dropped", refused, dropped)
			}
			if _, says, _ := strings.Cut(strings.ReplaceAll(c.says, `"`, `\"`), " "); !strings.Contains(logs.String(), says) {
				t.Errorf("the log does not say %s:\n%s", says, logs.String())
			}
		})
	}
}

// No InfluxDB refuses a request for its size, with 413, as a proxy in front of it may:
// 30 MB, compressed, are taken.
func TestWhatInfluxDBSaysOfLargeRequests(t *testing.T) {
	const size, n = 8 << 10, 5_000
	for version, open := range influxTargets {
		t.Run(version, func(t *testing.T) {
			target := open(t, 0)
			now := time.Now().UTC().Truncate(time.Second)
			random := rand.New(rand.NewPCG(1, 2))
			var all []points.Point
			for i := range n {
				all = append(all, points.Point{
					Measurement: "pump", Tags: map[string]string{"device": "large"},
					Fields: map[string]any{"text": randomText(random, size)}, Time: now.Add(time.Duration(i)),
				})
			}
			config := target.points()
			config.BatchPoints, config.BatchBytes, config.QueueBytes, config.Timeout = n, 50<<20, 400<<20, time.Minute
			config.CloseWithin = time.Minute
			w := writeAll(t, config, all...)
			if failures := w.Metric("failures_total"); failures != 0 {
				t.Errorf("%v requests failed", failures)
			}
			if written, refused := w.Metric("points_written_total"), w.Metric("points_refused_total"); written != n || refused != 0 {
				t.Errorf("%v points written and %v refused, want %d and 0", written, refused, n)
			}
			rows := target.query(t, `SELECT count(text) FROM pump`)
			if len(rows) != 1 || fmt.Sprint(rows[0][1]) != fmt.Sprint(n) {
				t.Errorf("points in InfluxDB: %v, want %d", rows, n)
			}
		})
	}
}

// healthy are three points of a device.
func healthy(device string, now time.Time) (all []points.Point) {
	for i := range 3 {
		all = append(all, points.Point{
			Measurement: "pump", Tags: map[string]string{"device": device},
			Fields: map[string]any{"temperature": float64(i)}, Time: now.Add(time.Duration(i)),
		})
	}
	return all
}

// writeAll runs a writer until it has written these points, or given up.
func writeAll(t *testing.T, config points.Config, all ...points.Point) *points.Writer {
	t.Helper()
	w, err := points.NewWriter(config, points.Deps{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		w.Write(p)
	}
	ended, end := context.WithCancel(t.Context())
	end() // what was taken is written first
	w.Run(ended)
	return w
}

// writeDirectly sends points in one request, without the writer.
func writeDirectly(t *testing.T, target influxTarget, all ...points.Point) error {
	t.Helper()
	c := influxdb.NewClient(target.URL, target.Token)
	defer c.Close()
	write := c.WriteAPIBlocking(target.Org, target.Bucket)
	write.EnableBatching()
	for _, p := range all {
		if err := write.WritePoint(t.Context(), influxdb.NewPoint(p.Measurement, p.Tags, p.Fields, p.Time)); err != nil {
			return err
		}
	}
	return write.Flush(t.Context())
}

// statusAndMessage is an answer of InfluxDB as the writer sees it.
func statusAndMessage(t *testing.T, err error) string {
	t.Helper()
	e, ok := err.(*influxhttp.Error)
	if !ok {
		t.Errorf("no error of InfluxDB: %v", err)
		return ""
	}
	return fmt.Sprintf("%d %s", e.StatusCode, e.Message)
}

// randomText can't be compressed much.
func randomText(random *rand.Rand, size int) string {
	text := make([]byte, size)
	for i := range text {
		text[i] = byte('0' + random.IntN(64))
	}
	return string(text)
}

// withoutRepetition leaves out what is long in a message.
func withoutRepetition(s string) string {
	return regexp.MustCompile(`x{10,}`).ReplaceAllString(s, "x…")
}
