package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
)

// Messages that only become points. The bridge leaves them out, so that Temporal
// and the worker are idle: what is measured is the way from the broker to InfluxDB.

func (r *run) playTelemetry(ctx context.Context) error {
	return r.playPoints(ctx, points{
		name: caseTelemetry, what: "no message matters, each becomes a point",
		devices: max(connections, r.Devices/10), say: coldReading,
	})
}

// playTelemetryLog is the same through the bridge's log.
func (r *run) playTelemetryLog(ctx context.Context) error {
	return r.playPoints(ctx, points{
		name: caseTelemetryLog, what: "the same, and each is in the bridge's log before",
		devices: max(connections, r.Devices/10), say: coldReading, ack: r.Ack,
	})
}

// playUnnumbered has few devices, so that many messages of each arrive in one
// millisecond: without numbers and times of their own, only the service can give
// each a point of its own.
func (r *run) playUnnumbered(ctx context.Context) error {
	return r.playPoints(ctx, points{
		name: caseUnnumbered, what: "no message matters, without epoch and seq, of a device a connection",
		devices: connections, say: bareReading,
	})
}

// coldReading never reaches the threshold of the model.
func coldReading(a *account, b []byte) []byte {
	b = append(b, `{"epoch":1,"seq":`...)
	b = strconv.AppendUint(b, a.sent(), 10)
	b = append(b, ',')
	return appendCold(a, b)
}

// bareReading is the same from a device that numbers nothing.
func bareReading(a *account, b []byte) []byte { return appendCold(a, append(b, '{')) }

func appendCold(a *account, b []byte) []byte {
	b = append(b, `"temperature":`...)
	b = strconv.AppendFloat(b, 45+10*a.random.Float64(), 'f', 2, 64)
	return append(b, `,"pressure":3.2,"mode":"auto"}`...)
}

// pointsAhead is how many messages may be ahead of the points that InfluxDB has
// accepted: more than wait for a full batch, and for the next look at the metric.
const pointsAhead = 40_000

// points is a case of messages that only become points.
type points struct {
	name, what string
	beside     string // another case of the same run to compare with; "": none
	kafka      bool   // records, and no MQTT
	devices    int
	say        speech
	ack        process.Ack // of a bridge with a log; "": it has none
}

// playPoints lets devices publish as fast as InfluxDB has their points.
func (r *run) playPoints(ctx context.Context, c points) error {
	s, err := r.startSystem(ctx, c.name, setting{
		model: "telemetry.yaml", influx: true, ack: c.ack, bridge: c.bridge(), kafka: c.kafka,
	})
	defer s.close()
	if err != nil {
		return err
	}
	written, stop, err := s.follow(ctx, process.MetricWrittenPoints)
	if err != nil {
		return err
	}
	defer stop()
	devices := newAccounts("dev", c.devices, "telemetry")
	l := &load{devices: devices, say: c.say, conns: connections, ahead: pointsAhead, done: written}
	sp, err := s.play(ctx, c.name, l, r.warmUp(), r.Lasts)
	if err != nil {
		return err
	}
	stop()
	row := Row{Case: c.name, What: c.what, Devices: len(devices), Unit: "messages/s"}
	sp.into(&row)
	r.say("%s: waiting for the last point", c.name)
	found, err := s.stored(ctx, devices)
	if err != nil {
		return err
	}
	row.Value = float64(l.sent.Load()-sentBefore(devices, sp.from)) / found.Sub(sp.from).Seconds()
	row.Faults, err = s.pointFaults(ctx, devices)
	if err != nil {
		return err
	}
	r.compare(&row, c.beside)
	r.add(row)
	return nil
}

// bridge are the flags of the bridge.
func (c points) bridge() []string {
	if c.kafka {
		return []string{"--kafka-window=" + kafkaWindow}
	}
	return []string{"--bridge-window=" + widest}
}

// sentBefore is how many messages were published before a moment.
func sentBefore(devices []*account, at time.Time) (n uint64) {
	for _, a := range devices {
		for _, due := range a.due {
			if due >= at.UnixNano() {
				break
			}
			n++
		}
	}
	return n
}

// stored waits until the bridge has acknowledged everything and InfluxDB has it, and
// returns when that was. What never comes is a matter of pointFaults.
func (s *system) stored(ctx context.Context, devices []*account) (time.Time, error) {
	if err := s.drained(ctx, devices); err != nil {
		return time.Time{}, err
	}
	var got uint64
	var at time.Time
	_, err := process.Drain(ctx, 100*time.Millisecond, func(ctx context.Context) (int, error) {
		now, err := s.Metrics(ctx, process.Bridge, process.MetricWrittenPoints)
		if n := uint64(now[process.MetricWrittenPoints]); n != got {
			got, at = n, time.Now()
		}
		return pointsLeft(sentBy(devices), got, now), errors.Join(err, s.Crashed())
	})
	return at, err
}

// pointsLeft is how many points of readings are not in InfluxDB, at least. The bridge writes
// others as well, so that as many as there are readings do not have to be all of these: while it
// has something to write, one may be missing.
func pointsLeft(sent, written uint64, bridge map[string]float64) int {
	left := int(sent) - int(written)
	if pointsWait(bridge) {
		return max(left, 1)
	}
	return left
}

// pointsWait reports whether the bridge has points to write.
func pointsWait(bridge map[string]float64) bool {
	return bridge[process.MetricBacklogBytes]+bridge[process.MetricQueuedPoints] > 0
}

func sentBy(devices []*account) (n uint64) {
	for _, a := range devices {
		n += a.sent()
	}
	return n
}

// pointFaults compares the points of each device in InfluxDB with what it sent, and
// reports everything else that would make the figure one of something else.
func (s *system) pointFaults(ctx context.Context, devices []*account) ([]string, error) {
	series, err := s.QueryInflux(ctx, stack.Database, "SELECT count(temperature) FROM telemetry GROUP BY device")
	if err != nil {
		return nil, err
	}
	got, err := countsByDevice(series)
	if err != nil {
		return nil, err
	}
	faults, err := s.noDeadLetters(ctx)
	if err != nil {
		return nil, err
	}
	now, err := s.Metrics(ctx, process.Bridge, process.MetricSignals)
	if n := now[process.MetricSignals]; n > 0 {
		faults = append(faults, fmt.Sprintf("%v signals for messages that do not matter", n))
	}
	return append(faults, missingOf(devices, got)...), err
}

// missingOf names the devices of which points are missing.
func missingOf(devices []*account, got map[string]uint64) (faults []string) {
	for _, a := range devices {
		if got[a.id] != a.sent() {
			faults = append(faults, fmt.Sprintf("device %s: %d points of %d messages in InfluxDB", a.id, got[a.id], a.sent()))
		}
	}
	return faults
}

// countsByDevice reads the answer to a count that is grouped by device.
func countsByDevice(series []process.Series) (map[string]uint64, error) {
	counts := map[string]uint64{}
	for _, s := range series {
		var n uint64
		if len(s.Values) != 1 || len(s.Values[0]) != 2 || json.Unmarshal(s.Values[0][1], &n) != nil {
			return nil, fmt.Errorf("count the points in InfluxDB: unexpected answer %s", s.Values)
		}
		counts[s.Tags["device"]] = n
	}
	return counts, nil
}
