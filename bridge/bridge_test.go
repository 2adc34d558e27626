package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/device"
	"devicetwin/mqtt"
	"devicetwin/mqtt/mqtttest"
)

// fakeSignaller accepts after a while, or fails as long as down is set.
type fakeSignaller struct {
	takes time.Duration

	mu       sync.Mutex
	down     bool
	failing  string   // a device whose signals fail
	accepted []string // device:id
	attempts int
}

func (s *fakeSignaller) SignalExisting(ctx context.Context, device string, b device.Batch) error {
	return s.Signal(ctx, device, b)
}

func (s *fakeSignaller) Signal(ctx context.Context, device string, b device.Batch) error {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if s.down || device == s.failing {
		return errDown
	}
	for _, m := range b.Messages {
		s.accepted = append(s.accepted, fmt.Sprintf("%s:%v", device, m.Data["id"]))
	}
	return nil
}

func (s *fakeSignaller) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *fakeSignaller) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.accepted, " ")
}

// rig is a running bridge with a fake broker and a fake Temporal.
type rig struct {
	*Bridge
	t      *testing.T
	broker *mqtttest.Broker
	temp   *fakeSignaller
	logs   *logLines
	stop   context.CancelFunc
	ended  chan error

	mu    sync.Mutex
	acked []string
}

func startRig(t *testing.T, cfg Config, plan ...mqtttest.Plan) *rig {
	t.Helper()
	r := &rig{
		t: t, broker: &mqtttest.Broker{Plans: plan}, temp: &fakeSignaller{takes: time.Millisecond},
		logs: &logLines{}, ended: make(chan error, 1),
	}
	b, err := New(cfg, Deps{Model: testModel{}, Signaller: r.temp, Log: r.logs.logger(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	b.dial, b.probe = r.broker.Dial, r.broker.Dial
	r.Bridge = b
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	go func() { r.ended <- b.Run(ctx) }()
	synctest.Wait()
	return r
}

func (r *rig) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		r.t.Errorf("run: %v", err)
	}
}

// deliver publishes to the bridge over its current connection.
func (r *rig) deliver(device string, id int, dup bool) {
	r.broker.Last().Deliver(mqtt.Message{
		Topic: "devices/" + device + "/telemetry", Dup: dup, At: time.Now().UTC(),
		Payload: fmt.Appendf(nil, `{"hot":1,"id":%d}`, id),
		Ack: func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.acked = append(r.acked, fmt.Sprint(id))
		},
	})
}

func (r *rig) acks() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.acked, " ")
}

func TestMessagesAreAcknowledgedOnceAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		if got := fmt.Sprint(r.broker.Last().Subscribed()); got != "[devices/# $aws/things/+/shadow/#]" {
			t.Errorf("subscribed to %s", got)
		}
		if err := r.Ready(); err != nil {
			t.Errorf("ready: %v", err)
		}
		for id := 1; id <= 5; id++ {
			r.deliver("d", id, false)
		}
		if got := r.acks(); got != "" {
			t.Errorf("acknowledged before acceptance: %s", got)
		}
		time.Sleep(10 * time.Millisecond)
		if got := r.acks(); got != "1 2 3 4 5" {
			t.Errorf("acknowledged: %s", got)
		}
		s := r.counts
		if s.received.Load() != 5 || s.events.Load() != 5 || s.signals.Load() != 2 || s.window.Load() != 0 || s.devices.Load() != 1 {
			t.Errorf("stats: %+v", s)
		}
		r.end()
		if !r.broker.Last().Closed() {
			t.Error("connection left open")
		}
	})
}

func TestStopWaitsForWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		r.temp.takes = 3 * time.Second
		for id := 1; id <= 3; id++ {
			r.deliver("d", id, false)
		}
		synctest.Wait()
		r.end()
		if got := r.acks(); got != "1 2 3" {
			t.Errorf("acknowledged: %s", got)
		}
	})
}

func TestStopGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		r := startRig(t, cfg)
		r.temp.setDown(true)
		r.deliver("d", 1, false)
		synctest.Wait()
		began := time.Now()
		r.end()
		if took := time.Since(began); took > cfg.DrainTimeout+2*time.Second {
			t.Errorf("stopped after %v", took)
		}
		if got := r.acks(); got != "" {
			t.Errorf("acknowledged: %s", got)
		}
	})
}

func TestTemporalOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		r.temp.setDown(true)
		for id := 1; id <= 100; id++ {
			r.deliver(fmt.Sprint("d", id%10), id, false)
		}
		time.Sleep(10 * time.Minute)
		if err := r.Ready(); err == nil {
			t.Error("ready while temporal is away")
		}
		if got := r.acks(); got != "" {
			t.Errorf("acknowledged: %s", got)
		}
		if n := r.temp.attempts; n > 300 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		r.temp.setDown(false)
		time.Sleep(20 * time.Second)
		if got := r.acks(); len(strings.Fields(got)) != 100 || !strings.HasPrefix(got, "1 2 3 4 5 6") {
			t.Errorf("acknowledged: %s", got)
		}
		if n, m := r.logs.count("temporal does not take signals"), r.logs.count("temporal takes signals again"); n != 1 || m != 1 {
			t.Errorf("the log says %d times that temporal is away and %d times that it is back", n, m)
		}
		r.end()
	})
}

func TestReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := mqtttest.Plan{ConnectErr: fmt.Errorf("connection refused")}
		r := startRig(t, DefaultConfig(), mqtttest.Plan{}, refused, refused, refused, mqtttest.Plan{Present: true}, mqtttest.Plan{})
		r.temp.takes = 5 * time.Second
		r.deliver("d", 1, false)
		r.deliver("d", 2, false)
		first := r.broker.Last()
		first.Lose(fmt.Errorf("EOF"))
		synctest.Wait()
		if err := r.Ready(); err == nil {
			t.Error("ready without a broker")
		}
		time.Sleep(20 * time.Second)
		if n := r.broker.Count(); n != 5 {
			t.Fatalf("%d connections", n)
		}
		if err := r.Ready(); err != nil {
			t.Errorf("ready: %v", err)
		}
		// The first connection's acknowledgements are void; the broker delivers again.
		r.deliver("d", 1, true)
		r.deliver("d", 2, true)
		r.deliver("d", 3, false)
		time.Sleep(5 * time.Minute)
		if got := r.acks(); got != "1 2 3" {
			t.Errorf("acknowledged: %s", got)
		}
		if got := r.temp.got(); got != "d:1 d:2 d:3" {
			t.Errorf("signalled: %s", got)
		}
		if n, m := r.logs.count("lost the connection to the broker"), r.logs.count("reconnected to the broker"); n != 1 || m != 1 {
			t.Errorf("the log says %d times lost and %d times back", n, m)
		}
		if n := r.logs.count("forgotten the session"); n != 0 {
			t.Error("the session was present")
		}
		r.broker.Last().Lose(fmt.Errorf("EOF"))
		time.Sleep(20 * time.Second)
		if n := r.logs.count("forgotten the session"); n != 1 || r.counts.sessionsLost.Load() != 1 {
			t.Error("a lost session goes unnoticed")
		}
		if s := r.counts; s.connects.Load() != 3 || s.connectsLost.Load() != 2 || s.repeated.Load() != 2 {
			t.Errorf("stats: %+v", s)
		}
		r.end()
	})
}

func TestTwoWithOneClientIDDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		for range 1000 {
			r.broker.Last().Lose(fmt.Errorf("taken over"))
			time.Sleep(100 * time.Millisecond)
		}
		if n := r.broker.Count(); n > 25 {
			t.Errorf("%d connections in 100 s", n)
		}
		r.end()
	})
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Window = 10
		r := startRig(t, cfg)
		r.temp.setDown(true)
		var taken atomic.Int64
		var enough atomic.Bool
		go func() {
			conn := r.broker.Last()
			for !enough.Load() {
				conn.Deliver(mqtt.Message{Topic: "devices/d/telemetry", Payload: []byte(`{"hot":1}`), At: time.Now()})
				taken.Add(1)
			}
		}()
		synctest.Wait()
		if want := cfg.Window + cap(r.loop.inbox); int(taken.Load()) != want {
			t.Errorf("took %d messages, expected %d", taken.Load(), want)
		}
		enough.Store(true)
		if s := r.counts; int(s.window.Load()) != cfg.Window {
			t.Errorf("window %d", s.window.Load())
		}
		r.temp.setDown(false)
		time.Sleep(time.Minute)
		if s := r.counts; s.window.Load() != 0 || s.events.Load() != uint64(taken.Load()) {
			t.Errorf("afterwards: %+v", s)
		}
		r.end()
	})
}

func TestSharedSubscriptionsAreProbed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Subscribe = []string{"$share/bridges/devices/#"}
	t.Run("delivers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			broker := &mqtttest.Broker{}
			plan := mqtttest.Plan{}
			plan.OnPublish = func(topic string, payload []byte) {
				go broker.First().Deliver(mqtt.Message{Topic: topic, Payload: payload})
			}
			broker.Plans = []mqtttest.Plan{plan, {}}
			b, err := New(cfg, Deps{Model: testModel{}, Signaller: &fakeSignaller{}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			b.dial, b.probe = broker.Dial, broker.Dial
			ctx, stop := context.WithCancel(t.Context())
			go func() {
				time.Sleep(time.Second)
				if b.Ready() != nil {
					t.Error("not ready after a good probe")
				}
				stop()
			}()
			if err := b.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("swallows", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			broker := &mqtttest.Broker{Plans: []mqtttest.Plan{{ConnectErr: fmt.Errorf("refused")}, {}}}
			b, err := New(cfg, Deps{Model: testModel{}, Signaller: &fakeSignaller{}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			b.dial, b.probe = broker.Dial, broker.Dial
			err = b.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), "shared subscriptions") {
				t.Errorf("run: %v", err)
			}
			if n := broker.Count(); n != 2 {
				t.Errorf("%d connections, expected two probes", n)
			}
		})
	})
}
