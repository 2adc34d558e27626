package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/device"
)

// connections is how many the load generator has.
const connections = 10

// widest is the largest window of the bridge: as many QoS 1 messages as MQTT can
// have in flight.
const widest = "65535"

// fast is a case of counter devices, as fast as it takes.
type fast struct {
	name, what string
	beside     string // another case of the same run to compare with; "": none
	kafka      bool   // records, and no MQTT
	devices    int
	ahead      uint64 // of what Temporal has accepted
	bridge     []string
}

func (r *run) playNaive(ctx context.Context) error {
	return r.playFast(ctx, fast{
		name: caseNaive, what: "every message a signal of its own",
		devices: r.Devices / 10, ahead: 1000,
		bridge: []string{"--bridge-naive", "--bridge-quota-rate=0"},
	})
}

func (r *run) playEvents(ctx context.Context) error {
	return r.playFast(ctx, fast{
		name: caseEvents, what: "every message matters, as fast as it takes",
		devices: r.Devices / 10, ahead: 60_000,
		bridge: []string{"--bridge-window=" + widest, "--bridge-quota-rate=0"},
	})
}

func (r *run) playOne(ctx context.Context) error {
	return r.playFast(ctx, fast{
		name: caseOne, what: "one device, as fast as it takes",
		devices: 1, ahead: 20_000,
		bridge: []string{"--bridge-window=" + widest, "--bridge-quota-rate=0", "--bridge-quota-waiting=0"},
	})
}

func (r *run) playFast(ctx context.Context, f fast) error {
	s, err := r.startSystem(ctx, f.name, setting{model: "counter.yaml", bridge: f.bridge, kafka: f.kafka})
	defer s.close()
	if err != nil {
		return err
	}
	devices := newAccounts("dev", max(1, f.devices), "events/tick")
	if err := s.introduce(ctx, devices, tick); err != nil {
		return err
	}
	accepted, stop, err := s.follow(ctx, process.MetricAccepted)
	if err != nil {
		return err
	}
	defer stop()
	l := &load{devices: devices, say: tick, conns: connections, ahead: f.ahead, done: accepted}
	sp, err := s.play(ctx, f.name, l, r.warmUp(), r.Lasts)
	if err != nil {
		return err
	}
	stop()
	row := Row{Case: f.name, What: f.what, Devices: len(devices), Unit: "events/s"}
	sp.into(&row)
	d, err := s.audit(ctx, &row, devices, countsAll, devices, sp.from, all)
	if err != nil {
		return err
	}
	row.Value = float64(d.between(sp.from, sp.to)) / sp.seconds
	if len(devices) == 1 {
		row.Remark = fmt.Sprintf("%d events a signal", int(row.Value/max(row.Signals, 1)))
	}
	r.compare(&row, f.beside)
	r.add(row)
	return nil
}

// introduce makes the workflows of devices, with one message each.
func (s *system) introduce(ctx context.Context, devices []*account, say speech) error {
	s.run.say("making %d workflows", len(devices))
	l := &load{devices: devices, say: say, conns: connections, messages: len(devices)}
	s.carry(l)
	if err := errors.Join(l.run(ctx), s.drained(ctx, devices)); err != nil {
		return err
	}
	expect := countsAll
	if s.setting.model != "counter.yaml" {
		expect = crossesAll
	}
	faults, err := s.awaitExpected(ctx, devices, expect)
	if err == nil && len(faults) > 0 {
		err = fmt.Errorf("make %d workflows: %s", len(devices), faults[0])
	}
	return err
}

// audit waits until all devices are as expected, reads what some of them applied,
// and puts what is wrong, and the latencies, into the row.
func (s *system) audit(ctx context.Context, row *Row, devices []*account, expect expectation,
	sample []*account, from time.Time, count func(*account) []uint64) (*durable, error) {
	s.run.say("%s: waiting for the last message", row.Case)
	if err := s.drained(ctx, devices); err != nil {
		return nil, err
	}
	d, err := s.compare(ctx, row, devices, expect, sample, from, count)
	if err != nil {
		return nil, err
	}
	letters, err := s.noDeadLetters(ctx)
	row.Faults = append(row.Faults, letters...)
	return d, err
}

// compare is audit without its first and its last step: not every message has to be
// through the bridge, nor taken by it.
func (s *system) compare(ctx context.Context, row *Row, devices []*account, expect expectation,
	sample []*account, from time.Time, count func(*account) []uint64) (*durable, error) {
	s.run.say("%s: asking %d devices", row.Case, len(devices))
	faults, err := s.awaitExpected(ctx, devices, expect)
	if err != nil {
		return nil, err
	}
	d, numbered, err := s.read(ctx, sample, from, count)
	if err != nil {
		return nil, err
	}
	row.Faults = append(faults, numbered...)
	if len(d.delays) > 0 {
		p50, p99 := d.latency(0.5), d.latency(0.99)
		row.P50, row.P99 = &p50, &p99
	}
	return d, nil
}

// playStream is one device that never stops, over continue-as-new.
func (r *run) playStream(ctx context.Context) error {
	const rate = 20
	lasts, runEvents := r.Lasts, max(20, int(rate*r.Lasts.Seconds())/5)
	if r.Long {
		lasts, runEvents = 10*time.Minute, 1000
	}
	return r.playPaced(ctx, caseStream, "20 events a second of one device, over continue-as-new", 1, rate, lasts,
		[]string{"--worker-run-events=" + strconv.Itoa(runEvents)})
}

func (r *run) playLatency(ctx context.Context) error {
	return r.playPaced(ctx, caseLatency, "50 events a second", 50, 50, r.Lasts, nil)
}

func (r *run) playPaced(ctx context.Context, name, what string, n int, rate float64, lasts time.Duration, worker []string) error {
	s, err := r.startSystem(ctx, name, setting{model: "counter.yaml", worker: worker})
	defer s.close()
	if err != nil {
		return err
	}
	devices := newAccounts("dev", n, "events/tick")
	if err := s.introduce(ctx, devices, tick); err != nil {
		return err
	}
	sp, err := s.play(ctx, name, &load{devices: devices, say: tick, conns: connections, rate: rate}, r.warmUp(), lasts)
	if err != nil {
		return err
	}
	row := Row{Case: name, What: what, Devices: n, Unit: "events/s"}
	sp.into(&row)
	d, err := s.audit(ctx, &row, devices, countsAll, devices, sp.from, all)
	if err != nil {
		return err
	}
	row.Value = float64(d.between(sp.from, sp.to)) / sp.seconds
	if worker != nil {
		view, err := s.twins.Snapshot(ctx, device.ID(devices[0].id))
		if err != nil {
			return err
		}
		row.Remark = fmt.Sprintf("continued as new %d times", view.Runs)
		if view.Runs == 0 {
			row.Faults = append(row.Faults, "the workflow was never continued as new")
		}
	}
	r.add(row)
	return nil
}
