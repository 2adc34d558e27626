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

// pointKey identifies a point: a point that is written twice replaces itself.
type pointKey struct {
	device string
	at     int64 // Unix nanoseconds
}

// pointOf is the point that a message becomes: its time is the device's, in
// milliseconds, and below that the message's number.
func pointOf(m simulator.Acknowledged) pointKey {
	return pointKey{m.Device, m.TS*int64(time.Millisecond) + int64(m.Seq%1_000_000)}
}

// readLedger reads which points the fleet's telemetry has to become.
func readLedger(file string) (map[pointKey]simulator.LostMessage, error) {
	ledger, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the fleet's ledger: %w", err)
	}
	defer ledger.Close()
	due := map[pointKey]simulator.LostMessage{}
	lines := bufio.NewScanner(ledger)
	for lines.Scan() {
		var m simulator.Acknowledged
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("read the fleet's ledger: %w", err)
		}
		if m.Channel == device.ChannelTelemetry {
			due[pointOf(m)] = simulator.LostMessage{Device: m.Device, Epoch: m.Epoch, Seq: m.Seq}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the fleet's ledger: %w", err)
	}
	return due, nil
}

// writtenPoints asks InfluxDB for all points of the measurement.
func (s *system) writtenPoints(ctx context.Context, measurement string) (map[pointKey]bool, error) {
	series, err := s.QueryInflux(ctx, stack.Database, `SELECT * FROM "`+measurement+`" GROUP BY device`)
	if err != nil {
		return nil, err
	}
	return readPoints(series)
}

// readPoints reads which points there are. The first value of a row is its time.
func readPoints(all []process.Series) (map[pointKey]bool, error) {
	points := map[pointKey]bool{}
	for _, series := range all {
		for _, row := range series.Values {
			var at int64
			if len(row) == 0 {
				return nil, errors.New("read the answer of InfluxDB: a row is empty")
			}
			if err := json.Unmarshal(row[0], &at); err != nil {
				return nil, fmt.Errorf("read the answer of InfluxDB: %w", err)
			}
			points[pointKey{series.Tags["device"], at}] = true
		}
	}
	return points, nil
}

// pointsPatience is how long the points of the end of a run are waited for. After
// an outage the bridge tries InfluxDB every 30 seconds or sooner.
const (
	pointsPatience = 75 * time.Second
	pointsEvery    = 500 * time.Millisecond
	pointsQuiet    = 3 * time.Second // longer than a point waits for others
)

// missing are the messages that have no point although one is due, when the bridges
// have written all that they had.
func (s *system) missing(ctx context.Context, measurement string, due map[pointKey]simulator.LostMessage) (missing []simulator.LostMessage, err error) {
	began := time.Now()
	quiet := began
	err = process.Poll(ctx, pointsEvery, func(ctx context.Context) (bool, error) {
		written, err := s.writtenPoints(ctx, measurement)
		if err != nil {
			return false, err
		}
		missing = nil
		for key, m := range due {
			if !written[key] {
				missing = append(missing, m)
			}
		}
		waiting, err := s.pointsWaiting(ctx)
		if waiting > 0 {
			quiet = time.Now()
		}
		return len(missing) == 0 || time.Since(quiet) > pointsQuiet || time.Since(began) > pointsPatience, err
	})
	return missing, err
}

// pointsWaiting is how many points the bridges have not written yet.
func (s *system) pointsWaiting(ctx context.Context) (waiting float64, err error) {
	for _, part := range s.bridges {
		m, err := s.Metrics(ctx, part, process.MetricSpoolPoints, process.MetricQueuedPoints)
		if err != nil {
			return 0, err
		}
		waiting += m[process.MetricSpoolPoints] + m[process.MetricQueuedPoints]
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
