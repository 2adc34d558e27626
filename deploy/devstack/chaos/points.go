package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/simulator"
)

// reading is telemetry that the broker acknowledged, and the point that is due for it.
type reading struct {
	message simulator.LostMessage
	place   pointPlace
	below   int64 // nanoseconds below the millisecond; -1: whatever they are
	fields  map[string]any
}

// pointPlace is a device, and a time in milliseconds. Several points may be there.
type pointPlace struct {
	device string
	ms     int64
}

// point is one in InfluxDB.
type point struct {
	below  int64
	fields map[string]any
}

// readingOf is the point that a message becomes: its time is the device's, in
// milliseconds. Below that, it is the message's number; without one it is whatever
// keeps the points of one millisecond from each other.
func readingOf(m simulator.Acknowledged) reading {
	r := reading{
		message: simulator.LostMessage{Device: m.Device, Epoch: m.Epoch, Seq: m.Seq, Digest: m.Digest},
		place:   pointPlace{m.Device, m.TS}, below: -1, fields: map[string]any{},
	}
	if m.Seq > 0 {
		r.below = int64(m.Seq % 1_000_000)
	}
	flatten(r.fields, "", m.Data)
	return r
}

// readLedger reads which points the fleet's telemetry has to become. Messages without a
// number that are equal, and of one time, are one point: see docs/telemetry.md.
func readLedger(file string) ([]reading, error) {
	ledger, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the fleet's ledger: %w", err)
	}
	defer ledger.Close()
	var due []reading
	type equal struct {
		place  pointPlace
		digest string
	}
	bare := map[equal]bool{}
	lines := bufio.NewScanner(ledger)
	for lines.Scan() {
		var m simulator.Acknowledged
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("read the fleet's ledger: %w", err)
		}
		if m.Channel != device.ChannelTelemetry {
			continue
		}
		if m.TS == 0 {
			return nil, fmt.Errorf("read the fleet's ledger: a message of device %s has no time, so that its point cannot be known", m.Device)
		}
		r := readingOf(m)
		if m.Seq == 0 {
			same := equal{r.place, m.Digest}
			if bare[same] {
				continue
			}
			bare[same] = true
		}
		due = append(due, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the fleet's ledger: %w", err)
	}
	return due, nil
}

// writtenPoints asks InfluxDB for all points of the measurement.
func (s *system) writtenPoints(ctx context.Context, measurement string) (map[pointPlace][]point, error) {
	query := `SELECT * FROM "` + measurement + `" GROUP BY device`
	if s.influx2 != nil {
		series, err := s.influx2.Query(ctx, query)
		if err != nil {
			return nil, err
		}
		return readPoints(series)
	}
	series, err := s.QueryInflux(ctx, stack.Database, query)
	if err != nil {
		return nil, err
	}
	return readPoints(series)
}

// readPoints reads which points there are. The first value of a row is its time.
func readPoints(all []process.Series) (map[pointPlace][]point, error) {
	points := map[pointPlace][]point{}
	for _, series := range all {
		for _, row := range series.Values {
			var at int64
			if len(row) == 0 || len(row) != len(series.Columns) {
				return nil, errors.New("read the answer of InfluxDB: a row has not as many values as there are columns")
			}
			if err := json.Unmarshal(row[0], &at); err != nil {
				return nil, fmt.Errorf("read the answer of InfluxDB: %w", err)
			}
			p := point{below: at % int64(time.Millisecond), fields: map[string]any{}}
			for i, column := range series.Columns[1:] {
				var v any
				if err := json.Unmarshal(row[i+1], &v); err != nil {
					return nil, fmt.Errorf("read the answer of InfluxDB: %w", err)
				}
				if v != nil {
					p.fields[column] = v
				}
			}
			place := pointPlace{series.Tags["device"], at / int64(time.Millisecond)}
			points[place] = append(points[place], p)
		}
	}
	return points, nil
}

// has reports whether the point has every value of a reading under its name.
func (p point) has(r reading) bool {
	if r.below >= 0 && r.below != p.below {
		return false
	}
	for name, want := range r.fields {
		if got, ok := p.fields[name]; !ok || got != want {
			return false
		}
	}
	return true
}

// withoutPoint are the messages that have no point of their own.
func withoutPoint(due []reading, written map[pointPlace][]point) (missing []simulator.LostMessage) {
	taken := map[pointPlace][]bool{}
	for _, r := range due {
		points := written[r.place]
		if taken[r.place] == nil {
			taken[r.place] = make([]bool, len(points))
		}
		found := false
		for i, p := range points {
			if !taken[r.place][i] && p.has(r) {
				taken[r.place][i], found = true, true
				break
			}
		}
		if !found {
			missing = append(missing, r.message)
		}
	}
	return missing
}

// pointsPatience is how long the points of the end of a run are waited for. After
// an outage the bridge tries InfluxDB every 30 seconds or sooner.
const (
	pointsPatience = 75 * time.Second
	pointsEvery    = 500 * time.Millisecond
	pointsQuiet    = 3 * time.Second // longer than a point waits for others
)

// missing are the messages that have no point of their own with all their values, when the bridges
// have written all that they had.
func (s *system) missing(ctx context.Context, measurement string, due []reading) (missing []simulator.LostMessage, err error) {
	began := time.Now()
	quiet := began
	err = process.Poll(ctx, pointsEvery, func(ctx context.Context) (bool, error) {
		written, err := s.writtenPoints(ctx, measurement)
		if err != nil {
			return false, err
		}
		missing = withoutPoint(due, written)
		waiting, err := s.pointsWaiting(ctx)
		if waiting > 0 {
			quiet = time.Now()
		}
		return len(missing) == 0 || time.Since(quiet) > pointsQuiet || time.Since(began) > pointsPatience, err
	})
	return missing, err
}

// pointsWaiting is 0 if the bridges have written all points that they have; else it is
// what waits in memory, in points, and in the logs, in bytes.
func (s *system) pointsWaiting(ctx context.Context) (waiting float64, err error) {
	for _, part := range s.bridges {
		m, err := s.Metrics(ctx, part, process.MetricBacklogBytes, process.MetricQueuedPoints)
		if err != nil {
			return 0, err
		}
		waiting += m[process.MetricBacklogBytes] + m[process.MetricQueuedPoints]
	}
	return waiting, nil
}

// pointsDropped is how many points the present lives of the bridges say that they
// have dropped.
func (s *system) pointsDropped(ctx context.Context) (dropped uint64, err error) {
	for _, part := range s.bridges {
		m, err := s.Metrics(ctx, part, process.MetricDroppedPoints)
		if err != nil {
			return 0, err
		}
		dropped += uint64(m[process.MetricDroppedPoints])
	}
	return dropped, nil
}
