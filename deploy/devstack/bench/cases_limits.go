package bench

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"devicetwin/bridge"
	"devicetwin/deploy/devstack/process"
	"devicetwin/device"
)

// fanIn is what a subscriber knows of each topic.
type fanIn struct {
	mu       sync.Mutex
	highest  map[string]uint64
	faults   []string
	received atomic.Uint64
}

func (f *fanIn) look(topic, payload []byte) {
	f.received.Add(1)
	seq, err := strconv.ParseUint(string(payload), 10, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.highest[string(topic)]
	if err != nil || seq != before+1 {
		f.faults = append(f.faults, fmt.Sprintf("%s: %q after %d", topic, payload, before))
	}
	f.highest[string(topic)] = seq
}

// playBroker measures the broker alone.
func (r *run) playBroker(ctx context.Context) error {
	const publishers, ahead = 50, 20_000
	s, err := r.startBrokerOnly(ctx, caseBroker)
	defer s.close()
	if err != nil {
		return err
	}
	f := &fanIn{highest: map[string]uint64{}}
	sub, err := newSubscriber(ctx, s.At(process.Broker), "fan-in", "devices/#", f.look)
	if err != nil {
		return err
	}
	defer sub.close()
	devices := newAccounts("dev", max(publishers, r.Devices/10), "telemetry")
	l := &load{
		devices: devices, conns: publishers, ahead: ahead, done: f.received.Load,
		say: func(a *account, b []byte) []byte { return strconv.AppendUint(b, a.sent(), 10) },
	}
	s.count = f.received.Load
	sp, err := s.play(ctx, caseBroker, l, r.warmUp(), r.Lasts)
	if err != nil {
		return err
	}
	row := Row{Case: caseBroker, What: "50 publishers, one persistent subscriber", Devices: len(devices), Unit: "messages/s"}
	sp.into(&row)
	row.Value = sp.count
	row.Faults, err = f.check(ctx, l, sub)
	if err != nil {
		return err
	}
	r.add(row)
	return nil
}

// check waits for the last message, and returns what is missing.
func (f *fanIn) check(ctx context.Context, l *load, sub *subscriber) ([]string, error) {
	_, err := process.Drain(ctx, 10*time.Millisecond, func(context.Context) (int, error) {
		select {
		case <-sub.ended:
			return 0, fmt.Errorf("the broker ended the subscription: %w", sub.err)
		default:
			return int(l.sent.Load() - f.received.Load()), nil
		}
	})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	faults := f.faults
	for _, a := range l.devices {
		if got := f.highest[a.topic]; got != a.sent() {
			faults = append(faults, fmt.Sprintf("device %s: %d sent, the last received is %d", a.id, a.sent(), got))
		}
	}
	return faults, nil
}

// acceptAll is a Temporal that accepts everything, to measure the bridge alone.
type acceptAll struct{ signals atomic.Uint64 }

func (t *acceptAll) Deliver(context.Context, device.Delivery) (string, error) {
	t.signals.Add(1)
	return "run", nil
}

// playKnown measures the memory of a bridge for idle devices. The bridge is in this
// process, in which nothing else grows: this is the only way to know how many devices
// there are without a workflow for each.
func (r *run) playKnown(ctx context.Context) error {
	s, err := r.startBrokerOnly(ctx, caseBridge)
	defer s.close()
	if err != nil {
		return err
	}
	cfg := bridge.DefaultConfig()
	cfg.MQTT.Brokers = []string{"tcp://" + s.At(process.Broker)}
	cfg.MaxDevices = max(cfg.MaxDevices, r.Known)
	b, err := bridge.New(cfg, bridge.Deps{Model: s.model, Sink: &acceptAll{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := b.Run(ctx); err != nil {
			cancel(fmt.Errorf("bridge: %w", err))
		}
	})
	defer func() { cancel(nil); running.Wait() }()
	row, err := r.grow(ctx, s, b)
	if err != nil {
		return err
	}
	r.add(row)
	return nil
}

// grow lets a bridge learn of devices, and compares its memory before and after.
func (r *run) grow(ctx context.Context, s *system, b *bridge.Bridge) (Row, error) {
	ready := func(context.Context) (bool, error) { return b.Ready() == nil, nil }
	if err := process.Poll(ctx, 20*time.Millisecond, ready); err != nil {
		return Row{}, err
	}
	// The first devices cause the allocations that happen only once.
	if err := r.meet(ctx, s, b, "first", 1000); err != nil {
		return Row{}, err
	}
	before := heap()
	began := time.Now()
	if err := r.meet(ctx, s, b, "known", r.Known); err != nil {
		return Row{}, err
	}
	row := Row{Case: caseBridge, What: "the bridge's memory for devices that are idle", Devices: r.Known, Unit: "B/device"}
	row.Value = (heap() - before) / float64(r.Known)
	row.Remark = fmt.Sprintf("live heap after a collection; Temporal replaced by one that takes everything, so the bridge took %s messages/s",
		number(2*float64(r.Known)/time.Since(began).Seconds()))
	if known := int(b.Metric("devices_known")); known != r.Known+1000 {
		row.Faults = append(row.Faults, fmt.Sprintf("the bridge knows %d devices of %d", known, r.Known+1000))
	}
	return row, nil
}

// meet lets each of n devices publish two messages, after which the bridge discards
// the state that it can.
func (r *run) meet(ctx context.Context, s *system, b *bridge.Bridge, prefix string, n int) error {
	// In portions, so that nothing here remembers what was sent.
	const portion = 5000
	before := b.Metric("received_total")
	for first := 0; first < n; first += portion {
		some := newAccounts(prefix+"-"+strconv.Itoa(first), min(portion, n-first), "telemetry")
		l := &load{addr: s.At(process.Broker), devices: some, say: reading, conns: connections, messages: 2 * len(some)}
		if err := l.run(ctx); err != nil {
			return err
		}
	}
	left, err := process.Drain(ctx, 20*time.Millisecond, func(context.Context) (int, error) {
		return 2*n - int(b.Metric("received_total")-before) + int(b.Metric("held_messages")), nil
	})
	if err == nil && left > 0 {
		err = notThrough(left, 2*n)
	}
	return err
}

// heap is what is alive in this process.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers released
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// heapOf is what is alive in the bridge or the worker.
func (s *system) heapOf(ctx context.Context, part process.Part) (float64, error) {
	body, err := s.Get(ctx, part, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut([]byte(body), []byte("# HeapAlloc = "))
	value, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseFloat(string(value), 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("read the memory of %s: no HeapAlloc in its profile", part)
	}
	return n, nil
}
