package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"devicetwin/deploy/devstack/process"
)

// A fleet at work that is disturbed: what gets through meanwhile, and how long it takes
// until messages that matter are as fast as before.

// disturbance is one of these cases.
type disturbance struct {
	name, what string
	before     time.Duration // of undisturbed work
	lasts      time.Duration // from the disturbance to the end of the load
	happen     func(context.Context) error
}

// opening is the time after a disturbance of which the rate is the result of a case;
// of an overload, it is the lowest rate of points over such a time.
const opening = 10 * time.Second

// heldRate is how many signals a second get through to a slow Temporal.
const heldRate = 100

// steady is from when on at least half of the messages have to get through at any time:
// from the beginning if only signals are slow, else after the opening.
func (d disturbance) steady(from time.Time) time.Time {
	if d.name == caseOverload || d.lasts <= 2*opening {
		return from
	}
	return from.Add(opening)
}

// playDisturbed plays all of them on one fleet.
func (r *run) playDisturbed(ctx context.Context) error {
	s := r.newSystem("disturbed", setting{
		model: "threshold.yaml", influx: true, ack: r.Ack, bridge: []string{"--bridge-window=" + widest},
	})
	defer s.close()
	if err := s.prepare(); err != nil {
		return err
	}
	link, err := openRelay(s.At(process.Broker))
	if err != nil {
		return err
	}
	defer link.close()
	slow, err := openThrottle(s.At(process.Temporal))
	if err != nil {
		return err
	}
	defer slow.close()
	s.Reroute(process.Bridge, process.Broker, link.addr)
	s.Reroute(process.Bridge, process.Temporal, slow.addr)
	if err := s.startPrepared(ctx); err != nil {
		return err
	}
	devices := newAccounts("dev", r.Devices, "telemetry")
	if err := s.introduce(ctx, devices, reading); err != nil {
		return err
	}
	for _, d := range r.disturbances(s, link, slow) {
		if r.wanted(d.name) {
			if err := r.disturb(ctx, s, devices, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) disturbances(s *system, link *relay, slow *throttle) []disturbance {
	bridge, temporal := s.Parts[process.Bridge], s.Parts[process.Temporal]
	restart := func(ctx context.Context) error {
		bridge.Kill()
		return bridge.Start(ctx)
	}
	anew := func(ctx context.Context) error {
		bridge.Kill()
		if err := os.RemoveAll(s.LogDir(process.Bridge)); err != nil {
			return fmt.Errorf("remove the bridge's log: %w", err)
		}
		return bridge.Start(ctx)
	}
	// For the usual 30 s: 5 s, a minute, and two minutes.
	cutFor, pausedFor, heldFor := r.Lasts/6, 2*r.Lasts, 4*r.Lasts
	return []disturbance{
		{caseCold, "a bridge that has just started and remembers nothing, from the first message on", 0, r.Lasts, anew},
		{caseRestart, "kill -9 of the bridge, which is started again", r.warmUp(), 2 * r.Lasts, restart},
		{caseReconnect, fmt.Sprintf("the bridge's connection to the broker is cut for %v", cutFor), r.warmUp(), 2 * r.Lasts, func(ctx context.Context) error {
			link.cut()
			defer link.restore()
			return process.Pause(ctx, cutFor)
		}},
		{caseOverload, fmt.Sprintf("Temporal is paused for %v, and then takes %d signals/s for %v", pausedFor, heldRate, heldFor), r.warmUp(), pausedFor + heldFor, func(ctx context.Context) error {
			if err := temporal.Pause(); err != nil {
				return err
			}
			err := process.Pause(ctx, pausedFor)
			slow.limit(heldRate)
			time.AfterFunc(heldFor, func() { slow.limit(0) })
			return errors.Join(err, temporal.Resume())
		}},
	}
}

// disturb lets each device send a message a second.
func (r *run) disturb(ctx context.Context, s *system, devices []*account, d disturbance) error {
	crossed := watchCrossings(devices)
	flow := s.watchFlow(ctx)
	defer flow.stop()
	l := &load{devices: devices, say: reading, conns: connections, rate: float64(len(devices))}
	from, err := s.playDisturbance(ctx, l, d)
	if err != nil {
		return err
	}
	until := from.Add(d.lasts)
	r.say("%s: waiting for the last message", d.name)
	left, err := flow.settled(ctx, s)
	if err != nil {
		return err
	}
	flow.stop()
	row := Row{Case: d.name, What: d.what, Devices: len(devices), Unit: "messages/s"}
	row.Messages = flow.received.rate(from, until)
	row.Value = flow.received.rate(from, from.Add(min(opening, d.lasts)))
	row.Lowest = flow.received.lowest(d.steady(from), until, opening)
	if d.name == caseOverload {
		row.Value, row.Unit = flow.written.lowest(from, until, opening), "points/s"
	}
	if err := s.auditDisturbed(ctx, &row, devices, crossed(), from); err != nil {
		return err
	}
	if left > 0 {
		row.Faults = append(row.Faults, fmt.Sprintf("%d messages are not delivered", left))
	}
	found, err := s.pointsAtRest(ctx, sentBy(devices))
	row.Remark += fmt.Sprintf("; at least %s messages/s over %v; %s points/s; generator late by %v at most",
		number(row.Lowest), opening, number(flow.written.rate(from, until)), time.Duration(l.late.Load()).Round(time.Millisecond))
	s.missed(&row, int(sentBy(devices))-int(found))
	r.add(row)
	return err
}

// missed notes how many points are missing now, which a bridge with a log has to have
// none of. The readings have no time of their own: one that is delivered again, and not
// recognized, becomes another point.
func (s *system) missed(row *Row, lost int) {
	more := lost - s.lost
	text := fmt.Sprintf("%d points are missing", more)
	switch {
	case more < 0:
		row.Remark += fmt.Sprintf("; %d points more than readings", -more)
	case more > 0 && s.ack() == process.NoLog:
		row.Remark += "; " + text
	case more > 0:
		row.Faults = append(row.Faults, text)
	}
	s.lost = lost
}

// playDisturbance plays the load and the disturbance, and returns when that began.
func (s *system) playDisturbance(ctx context.Context, l *load, d disturbance) (from time.Time, err error) {
	l.lasts = d.before + d.lasts
	s.run.say("%s: %v undisturbed, then %v: %s", d.name, d.before, d.lasts, d.what)
	if d.before == 0 { // the load is to meet what comes after it
		if err := d.happen(ctx); err != nil {
			return from, err
		}
		from = time.Now()
		return from, s.during(ctx, l, func(context.Context) error { return nil })
	}
	err = s.during(ctx, l, func(ctx context.Context) error {
		if err := process.Pause(ctx, d.before); err != nil {
			return err
		}
		from = time.Now()
		return d.happen(ctx)
	})
	return from, err
}

// auditDisturbed compares all devices with what they sent, and finds how fast what
// mattered was.
func (s *system) auditDisturbed(ctx context.Context, row *Row, devices, sample []*account, from time.Time) error {
	d, err := s.compare(ctx, row, devices, crossesAll, sample, from, crossings)
	if err != nil {
		return err
	}
	if row.P99 == nil {
		return fmt.Errorf("no message of %d devices changed the class", len(devices))
	}
	row.Remark = "no message took longer than a second"
	if until := d.slowUntil(time.Second); !until.IsZero() {
		row.Remark = fmt.Sprintf("the last message that took longer than a second was due after %.0f s", until.Sub(from).Seconds())
	}
	return nil
}

// slowUntil is when the last message was due that took longer; the zero time: none did.
func (d *durable) slowUntil(longer time.Duration) (at time.Time) {
	for _, m := range d.delays {
		if m.late > longer && m.due.After(at) {
			at = m.due
		}
	}
	return at
}

// pointsAtRest counts the readings in InfluxDB once no more come, and the bridge has
// written what it had.
func (s *system) pointsAtRest(ctx context.Context, sent uint64) (found uint64, err error) {
	_, err = process.Drain(ctx, 2*time.Second, func(ctx context.Context) (int, error) {
		now, err := s.Metrics(ctx, process.Bridge, process.MetricWrittenPoints)
		if err != nil {
			return 0, err
		}
		before := found
		if found, err = s.points(ctx); err != nil {
			return 0, err
		}
		return pointsComing(sent, before, found, now), nil
	})
	return found, err
}

// pointsComing is how many readings may still come to InfluxDB, at least one unless it had as
// many at the look before and the bridge has none left to write. With each that comes it is
// less, so that Drain waits for all of them, however long they take.
func pointsComing(sent, before, found uint64, bridge map[string]float64) int {
	if found == before && !pointsWait(bridge) {
		return 0
	}
	return max(1, int(sent)-int(found))
}

// flow is what the bridge receives and writes over its lives.
type flow struct {
	received, written *series
	stop              func()
}

// watchFlow reads the bridge's counters until stop.
func (s *system) watchFlow(ctx context.Context) *flow {
	f := &flow{received: new(series), written: new(series)}
	f.stop = s.watchBridge(ctx, 250*time.Millisecond, func(now map[string]float64) {
		f.received.add(time.Now(), now[process.MetricReceived])
		f.written.add(time.Now(), now[process.MetricWrittenPoints])
	}, process.MetricReceived, process.MetricWrittenPoints)
	return f
}

// settled waits until nothing comes in any more and everything is delivered; left is
// what never is.
func (f *flow) settled(ctx context.Context, s *system) (left int, err error) {
	last := -1.0
	return process.Drain(ctx, time.Second, func(ctx context.Context) (int, error) {
		now, err := s.Metrics(ctx, process.Bridge, process.MetricReceived, process.MetricWindow)
		waiting := int(now[process.MetricWindow] + now[process.MetricBacklog])
		if received := now[process.MetricReceived]; received != last {
			last = received
			waiting++
		}
		return waiting, errors.Join(err, s.Crashed())
	})
}

// series is a counter over the lives of a process, which each begin with 0.
type series struct {
	mutex  sync.Mutex
	at     []time.Time
	values []float64
	before float64 // of earlier lives
	last   float64
}

func (c *series) add(at time.Time, value float64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if value < c.last {
		c.before += c.last
	}
	c.last = value
	c.at, c.values = append(c.at, at), append(c.values, c.before+value)
}

// rate is by how much it rose a second in a span of time.
func (c *series) rate(from, to time.Time) float64 {
	return (c.value(to) - c.value(from)) / to.Sub(from).Seconds()
}

// lowest is the lowest rate over any time of a length within a span.
func (c *series) lowest(from, to time.Time, length time.Duration) float64 {
	least := c.rate(from, earlier(from.Add(length), to))
	for at := from; !at.Add(length).After(to); at = at.Add(time.Second) {
		least = min(least, c.rate(at, at.Add(length)))
	}
	return least
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// value is the last one that was read before a moment.
func (c *series) value(at time.Time) float64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	i, _ := slices.BinarySearchFunc(c.at, at, time.Time.Compare)
	if i == 0 {
		return 0
	}
	return c.values[i-1]
}
