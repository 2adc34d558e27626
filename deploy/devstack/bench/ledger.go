package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/device"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// Nothing here is taken on trust: after each case the workflows are asked what
// they applied. Each counts how many messages it applied and how many of
// them were late; with numbers from 1 without a gap, "as many as were sent, and
// none late" leaves no message lost, applied twice, or out of order. Single
// devices are asked for each number as well, and when it was durable.

// askers is how many workflows are asked at once.
const askers = 16

// each does something for every device, a few at a time, until the first error.
func each(ctx context.Context, devices []*account, do func(ctx context.Context, a *account) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan *account)
	var running sync.WaitGroup
	for range min(askers, len(devices)) {
		running.Go(func() {
			for a := range todo {
				if err := do(ctx, a); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	func() {
		defer close(todo)
		for _, a := range devices {
			select {
			case todo <- a:
			case <-ctx.Done():
				return
			}
		}
	}()
	running.Wait()
	return context.Cause(ctx)
}

// expectation returns what is wrong with a device, "" if nothing.
type expectation func(a *account, v deviceworkflow.View) string

// countsAll is for the counter model: everything that was sent, once, in order.
func countsAll(a *account, v deviceworkflow.View) string {
	count, _ := v.Snapshot.Context()["count"].(float64)
	switch {
	case v.Delivery.Applied != a.sent():
		return fmt.Sprintf("%d sent, %d applied", a.sent(), v.Delivery.Applied)
	case uint64(count) != a.sent():
		return fmt.Sprintf("%d sent, %v counted", a.sent(), count)
	}
	return inOrder(a, v)
}

// crossesAll is for the threshold model: every change of class, and with the last
// of them the state. What did not change the class may have been left out.
func crossesAll(a *account, v deviceworkflow.View) string {
	excursions, _ := v.Snapshot.Context()["excursions"].(float64)
	want := "temperature.normal,reports.coming"
	if a.hot {
		want = "temperature.hot,reports.coming"
	}
	switch {
	case uint64(excursions) != a.excursions:
		return fmt.Sprintf("%d excursions sent, %v counted", a.excursions, excursions)
	case v.StateName != want:
		return fmt.Sprintf("in state %s, expected %s", v.StateName, want)
	}
	return inOrder(a, v)
}

func inOrder(a *account, v deviceworkflow.View) string {
	switch {
	case v.Delivery.Late > 0:
		return fmt.Sprintf("%d messages out of order", v.Delivery.Late)
	case len(v.Delivery.Epochs) != 1 || v.Delivery.Epochs[0].Highest > a.sent():
		return fmt.Sprintf("numbers that were never sent: %+v", v.Delivery.Epochs)
	}
	return ""
}

// awaitExpected waits until every device is as expected, and returns what is wrong
// with those that never are.
func (s *system) awaitExpected(ctx context.Context, devices []*account, expect expectation) (faults []string, err error) {
	open := devices
	_, err = process.Drain(ctx, 200*time.Millisecond, func(ctx context.Context) (int, error) {
		open, faults, err = s.unexpected(ctx, open, expect)
		return len(open), errors.Join(err, s.Crashed())
	})
	return faults, err
}

// unexpected are the devices that are not as expected, and what is wrong with them.
func (s *system) unexpected(ctx context.Context, devices []*account, expect expectation) (wrong []*account, faults []string, err error) {
	var mu sync.Mutex
	err = each(ctx, devices, func(ctx context.Context, a *account) error {
		view, err := s.twins.Snapshot(ctx, device.ID(a.id))
		fault := ""
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			fault = err.Error()
		default:
			fault = expect(a, view)
		}
		if fault != "" {
			mu.Lock()
			defer mu.Unlock()
			wrong, faults = append(wrong, a), append(faults, fmt.Sprintf("device %s: %s", a.id, fault))
		}
		return nil
	})
	return wrong, faults, err
}

// durable is when messages became durable in the state of their devices.
type durable struct {
	at      []time.Time // of each message that was applied
	delays  []delay     // the shortest first
	signals int
	last    time.Time
}

// delay is how late a message was that was due at a time.
type delay struct {
	due  time.Time
	late time.Duration
}

func (d *durable) sort() {
	slices.SortFunc(d.delays, func(a, b delay) int { return cmp.Compare(a.late, b.late) })
}

// between is how many were in a span of time.
func (d *durable) between(from, to time.Time) (n int) {
	for _, at := range d.at {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// latency is a quantile of the time from when a message was due until the new
// state was durable, in milliseconds.
func (d *durable) latency(q float64) float64 {
	if len(d.delays) == 0 {
		return math.NaN()
	}
	return float64(d.delays[min(len(d.delays)-1, int(q*float64(len(d.delays))))].late) / float64(time.Millisecond)
}

// read asks devices for each message that they applied, and returns what is wrong.
// Latencies are of the messages that count picks and that were due from a moment
// on.
func (s *system) read(ctx context.Context, devices []*account, from time.Time, counts func(*account) []uint64) (*durable, []string, error) {
	d := &durable{}
	var faults []string
	var mu sync.Mutex
	err := each(ctx, devices, func(ctx context.Context, a *account) error {
		log, err := s.twins.Applied(ctx, device.ID(a.id))
		if err != nil {
			return err
		}
		when, fault := examine(a, log)
		mu.Lock()
		defer mu.Unlock()
		if fault != "" {
			faults = append(faults, fault)
		}
		d.signals += log.Signals
		for _, at := range when {
			if d.at = append(d.at, at); at.After(d.last) {
				d.last = at
			}
		}
		for _, seq := range counts(a) {
			due := time.Unix(0, a.due[seq-1])
			at, ok := when[seq]
			if !ok {
				faults = append(faults, fmt.Sprintf("device %s: message %d is lost", a.id, seq))
			} else if !due.Before(from) {
				d.delays = append(d.delays, delay{due, max(0, at.Sub(due))})
			}
		}
		return nil
	})
	d.sort()
	return d, faults, err
}

// examine goes through what a device applied, number by number.
func examine(a *account, log twinclient.Applied) (when map[uint64]time.Time, fault string) {
	when = make(map[uint64]time.Time, len(log.Entries))
	highest := uint64(0)
	for _, e := range log.Entries {
		_, again := when[e.Seq]
		switch {
		case again:
			return when, fmt.Sprintf("device %s: message %d is applied twice", a.id, e.Seq)
		case e.Seq < highest:
			return when, fmt.Sprintf("device %s: message %d is applied after %d", a.id, e.Seq, highest)
		case e.Epoch != 1 || e.Seq > a.sent():
			return when, fmt.Sprintf("device %s: message %d of epoch %d was never sent", a.id, e.Seq, e.Epoch)
		}
		highest, when[e.Seq] = e.Seq, e.Durable
	}
	return when, ""
}

// all are the numbers of all messages of a device, and crossings those that
// change its class.
func all(a *account) []uint64 {
	numbers := make([]uint64, a.sent())
	for i := range numbers {
		numbers[i] = uint64(i) + 1
	}
	return numbers
}

func crossings(a *account) []uint64 { return a.crossings }
