package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// heldShare is how much of a rate has to arrive for it to be held.
const heldShare = 0.99

// sampled is how many devices of a fleet are asked for each of their messages.
const sampled = 500

// playFleet is a large fleet: new, at work, idle, and Temporal alone with its
// workflows.
func (r *run) playFleet(ctx context.Context) error {
	s, err := r.startSystem(ctx, "fleet", setting{
		model: "threshold.yaml", influx: true, bridge: []string{"--bridge-window=" + widest},
	})
	defer s.close()
	if err != nil {
		return err
	}
	devices := newAccounts("dev", r.Devices, "telemetry")
	before, err := s.heapOf(ctx, process.Worker)
	if err != nil {
		return err
	}
	if err := r.newDevices(ctx, s, devices); err != nil {
		return err
	}
	after, err := s.heapOf(ctx, process.Worker)
	if err != nil {
		return err
	}
	perDevice := (after - before) / float64(min(len(devices), cachedWorkflows))
	r.add(Row{
		Case: caseWorker, What: "the worker's memory for devices that are idle", Devices: len(devices),
		Value: perDevice, Unit: "B/device",
		Remark: fmt.Sprintf("live heap after a collection; it keeps %d workflows at most, so %d MiB, however many devices there are",
			cachedWorkflows, int(perDevice*cachedWorkflows)>>20),
	})
	if r.wanted(caseFleet) {
		if err := r.fleetAtWork(ctx, s, caseFleet, devices); err != nil {
			return err
		}
	}
	if r.wanted(caseFleetLog) {
		if err := s.replaceBridge(ctx, devices, r.Ack); err != nil {
			return err
		}
		if err := r.fleetAtWork(ctx, s, caseFleetLog, devices); err != nil {
			return err
		}
	}
	if r.wanted(caseTemporal) {
		return r.temporalAlone(ctx, s, devices)
	}
	return nil
}

// cachedWorkflows is how many workflows a worker keeps in memory.
const cachedWorkflows = 20_000

// newDevices makes all devices speak for the first time, at once.
func (r *run) newDevices(ctx context.Context, s *system, devices []*account) error {
	before, err := s.readings(ctx)
	if err != nil {
		return err
	}
	if err := s.introduce(ctx, devices, reading); err != nil {
		return err
	}
	after, err := s.readings(ctx)
	if err != nil {
		return err
	}
	newest, err := s.newest(ctx, devices)
	if err != nil {
		return err
	}
	row := Row{Case: caseNew, What: "new devices at once, until each has applied its first message", Devices: len(devices), Unit: "s"}
	d, err := s.audit(ctx, &row, nil, crossesAll, newest, before.at, all)
	if err != nil {
		return err
	}
	between(before, after).into(&row)
	row.P50, row.P99 = nil, nil // of the newest only
	row.Value = d.last.Sub(before.at).Seconds()
	row.Messages, row.Signals = 0, float64(len(devices))/row.Value
	r.add(row)
	return nil
}

// newest are the devices whose workflows were started last.
func (s *system) newest(ctx context.Context, devices []*account) ([]*account, error) {
	answer, err := s.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: stack.Namespace, PageSize: sampled, Query: "ExecutionStatus = 'Running'",
	})
	if err != nil {
		return nil, fmt.Errorf("list the newest workflows: %w", err)
	}
	byID := map[string]*account{}
	for _, a := range devices {
		byID[deviceworkflow.WorkflowID(device.ID(a.id))] = a
	}
	var newest []*account
	for _, w := range answer.GetExecutions() {
		if a := byID[w.GetExecution().GetWorkflowId()]; a != nil {
			newest = append(newest, a)
		}
	}
	if len(newest) < min(sampled, len(devices)) {
		return nil, fmt.Errorf("the list of the newest workflows has %d of them", len(newest))
	}
	return newest, nil
}

// fleetAtWork lets each device send one message a second, or, if that cannot be
// held, as much as the target asks for.
func (r *run) fleetAtWork(ctx context.Context, s *system, name string, devices []*account) error {
	rates := []float64{float64(len(devices))}
	if alone, ok := r.report.value(caseBroker); ok && alone/2 < rates[0] {
		rates = append(rates, alone/2)
	}
	for i, rate := range rates {
		row, err := r.fleetAt(ctx, s, name, devices, rate)
		if err != nil {
			return err
		}
		held := row.Value >= heldShare*rate && row.P99 != nil && *row.P99 < 1000
		if held || len(row.Faults) > 0 || i == len(rates)-1 {
			r.add(row)
			return nil
		}
		r.say("%s messages/s were not held: %s arrived", number(rate), number(row.Value))
	}
	return nil
}

// fleetWarmUp lets liveness reach its steady rate: leases of devices that spoke for
// the first time within two minutes are renewed within two minutes as well, and once
// more for those that sent nothing relevant in between. Short runs skip it.
func (r *run) fleetWarmUp(s *system) time.Duration {
	_, tolerance := s.model.Liveness()
	if r.Lasts < tolerance/4 {
		return r.warmUp()
	}
	return 2 * tolerance
}

func (r *run) fleetAt(ctx context.Context, s *system, name string, devices []*account, rate float64) (Row, error) {
	crossed := watchCrossings(devices)
	l := &load{devices: devices, say: reading, conns: connections, rate: rate}
	sp, err := s.play(ctx, name, l, r.fleetWarmUp(s), r.Lasts)
	if err != nil {
		return Row{}, err
	}
	row := Row{Case: name, What: "1 % of the messages change the class; points to InfluxDB", Devices: len(devices), Unit: "messages/s"}
	sp.into(&row)
	row.Value, row.Messages = row.Messages, 0
	if _, err := s.audit(ctx, &row, devices, crossesAll, crossed(), sp.from, crossings); err != nil {
		return row, err
	}
	if row.P99 == nil {
		return row, fmt.Errorf("no message of %d devices changed the class", len(devices))
	}
	missing, err := s.missingPoints(ctx, devices)
	row.Faults = append(row.Faults, missing...)
	row.Remark = fmt.Sprintf("%s messages/s offered, the generator late by %v at most", number(rate), time.Duration(l.late.Load()).Round(time.Millisecond))
	return row, err
}

// watchCrossings returns what picks devices that have changed their class since then.
func watchCrossings(devices []*account) (crossed func() []*account) {
	before := map[*account]int{}
	for _, a := range devices {
		before[a] = len(a.crossings)
	}
	return func() (sample []*account) {
		for _, a := range devices {
			if len(a.crossings) > before[a] && len(sample) < sampled {
				sample = append(sample, a)
			}
		}
		return sample
	}
}

// missingPoints compares the points in InfluxDB with the readings that were sent.
func (s *system) missingPoints(ctx context.Context, devices []*account) ([]string, error) {
	want, got := sentBy(devices), uint64(0)
	_, err := process.Drain(ctx, 200*time.Millisecond, func(ctx context.Context) (left int, err error) {
		got, err = s.points(ctx)
		return int(want - min(want, got)), err
	})
	if err != nil || got == want {
		return nil, err
	}
	return []string{fmt.Sprintf("%d points of %d readings in InfluxDB", got, want)}, nil
}

// points counts the readings in InfluxDB; there are no series before the first one.
func (s *system) points(ctx context.Context) (n uint64, err error) {
	series, err := s.QueryInflux(ctx, stack.Database, "SELECT count(temperature) FROM threshold")
	if err != nil || len(series) == 0 {
		return 0, err
	}
	if rows := series[0].Values; len(rows) != 1 || len(rows[0]) != 2 || json.Unmarshal(rows[0][1], &n) != nil {
		return 0, fmt.Errorf("count the points in InfluxDB: unexpected answer %s", rows)
	}
	return n, nil
}

// temporalAlone signals the workflows directly, one message at a time.
func (r *run) temporalAlone(ctx context.Context, s *system, devices []*account) error {
	const callers = 50
	s.Parts[process.Bridge].Kill()
	var running sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	before, err := s.readings(ctx)
	if err != nil {
		return err
	}
	r.say("%s: %v", caseTemporal, r.Lasts)
	until := before.at.Add(r.Lasts)
	for caller := range callers {
		running.Go(func() {
			for i := caller; time.Now().Before(until); i += callers {
				if i >= len(devices) {
					i = caller
				}
				if err := s.signalOne(ctx, devices[i]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	after, err := s.readings(ctx)
	if err != nil {
		return err
	}
	return r.temporalRow(ctx, s, devices, between(before, after))
}

func (s *system) signalOne(ctx context.Context, a *account) error {
	now := time.Now()
	a.due = append(a.due, now.UnixNano())
	temperature := 50.0
	if a.hot {
		temperature = 80
	}
	_, err := s.twins.Deliver(ctx, device.Delivery{ID: device.ID(a.id), Start: true, Batch: device.Batch{Messages: []device.Message{{
		Channel: device.ChannelTelemetry, Data: map[string]any{"temperature": temperature},
		Time: now.UTC().Truncate(time.Millisecond), Epoch: 1, Seq: a.sent(),
	}}}})
	return err
}

func (r *run) temporalRow(ctx context.Context, s *system, devices []*account, sp span) error {
	row := Row{Case: caseTemporal, What: "one signal after another to all workflows, 50 at once", Devices: len(devices), Unit: "signals/s", CPU: sp.cpu}
	lastOf := func(a *account) int64 { return a.due[len(a.due)-1] }
	var touched []*account
	sent := 0
	for _, a := range devices {
		from := sp.from.UnixNano()
		if lastOf(a) >= from {
			touched = append(touched, a)
		}
		for i := len(a.due) - 1; i >= 0 && a.due[i] >= from; i-- {
			sent++
		}
	}
	slices.SortFunc(touched, func(a, b *account) int { return int(lastOf(b) - lastOf(a)) })
	faults, err := s.awaitExpected(ctx, devices, func(a *account, v deviceworkflow.View) string {
		if epochs := v.Delivery.Epochs; len(epochs) != 1 || epochs[0].Highest != a.sent() {
			return fmt.Sprintf("the last of %d messages is not applied", a.sent())
		}
		return crossesAll(a, v)
	})
	if err != nil {
		return err
	}
	d, numbered, err := s.read(ctx, touched[:min(sampled, len(touched))], sp.from, func(a *account) []uint64 { return []uint64{a.sent()} })
	if err != nil {
		return err
	}
	row.Faults = append(faults, numbered...)
	row.Value = float64(sent) / d.last.Sub(sp.from).Seconds()
	r.add(row)
	return nil
}
