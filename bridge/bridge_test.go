package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/device"

	"github.com/prometheus/client_golang/prometheus"
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
	broker *fakeBroker
	temp   *fakeSignaller
	logs   *logLines
	stop   context.CancelFunc
	ended  chan error

	mu    sync.Mutex
	acked []string
}

func startRig(t *testing.T, cfg Config, plan ...fakePlan) *rig {
	t.Helper()
	r := &rig{
		t: t, broker: &fakeBroker{plan: plan}, temp: &fakeSignaller{takes: time.Millisecond},
		logs: &logLines{}, ended: make(chan error, 1),
	}
	b, err := New(cfg, Deps{Model: testModel{}, Signaller: r.temp, Log: r.logs.logger(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	b.dial, b.probe = r.broker.dial, r.broker.dial
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
	in := r.broker.last().in
	in.deliver <- delivery{
		from: in.from, topic: "devices/" + device + "/telemetry", dup: dup, at: time.Now().UTC(),
		payload: fmt.Appendf(nil, `{"hot":1,"id":%d}`, id),
		ack: func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.acked = append(r.acked, fmt.Sprint(id))
		},
	}
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
		if got := fmt.Sprint(r.broker.last().subscribed); got != "[devices/# $aws/things/+/shadow/#]" {
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
		s := r.Stats()
		if s.Received != 5 || s.Events != 5 || s.Signals != 2 || s.Window != 0 || s.Devices != 1 {
			t.Errorf("stats: %+v", s)
		}
		r.end()
		if !r.broker.last().closed {
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
		refused := fakePlan{connectErr: fmt.Errorf("connection refused")}
		r := startRig(t, DefaultConfig(), fakePlan{}, refused, refused, refused, fakePlan{present: true}, fakePlan{})
		r.temp.takes = 5 * time.Second
		r.deliver("d", 1, false)
		r.deliver("d", 2, false)
		first := r.broker.last()
		first.lost <- fmt.Errorf("EOF")
		synctest.Wait()
		if err := r.Ready(); err == nil {
			t.Error("ready without a broker")
		}
		time.Sleep(20 * time.Second)
		if n := r.broker.count(); n != 5 {
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
		if n, m := r.logs.count("broker lost"), r.logs.count("broker is back"); n != 1 || m != 1 {
			t.Errorf("the log says %d times lost and %d times back", n, m)
		}
		if n := r.logs.count("forgotten the session"); n != 0 {
			t.Error("the session was present")
		}
		r.broker.last().lost <- fmt.Errorf("EOF")
		time.Sleep(20 * time.Second)
		if n := r.logs.count("forgotten the session"); n != 1 || r.Stats().SessionsLost != 1 {
			t.Error("a lost session goes unnoticed")
		}
		if s := r.Stats(); s.Connects != 3 || s.ConnectionsLost != 2 || s.Repeated != 2 {
			t.Errorf("stats: %+v", s)
		}
		r.end()
	})
}

func TestTwoWithOneClientIDDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		for range 1000 {
			select {
			case r.broker.last().lost <- fmt.Errorf("taken over"):
			default:
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := r.broker.count(); n > 25 {
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
		in := r.broker.last().in
		taken := 0
		for full := false; !full; {
			select {
			case in.deliver <- delivery{from: in.from, topic: "devices/d/telemetry", payload: []byte(`{"hot":1}`), at: time.Now()}:
				taken++
			default:
				full = true
			}
			synctest.Wait()
		}
		if want := cfg.Window + cap(in.deliver); taken != want {
			t.Errorf("took %d messages, expected %d", taken, want)
		}
		if s := r.Stats(); s.Window != cfg.Window {
			t.Errorf("window %d", s.Window)
		}
		r.temp.setDown(false)
		time.Sleep(time.Minute)
		if s := r.Stats(); s.Window != 0 || s.Events != uint64(taken) {
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
			broker := &fakeBroker{}
			plan := fakePlan{}
			plan.onPublish = func(topic string, payload []byte) {
				broker.clients[0].in.deliver <- delivery{topic: topic, payload: payload}
			}
			broker.plan = []fakePlan{plan, {}}
			b, err := New(cfg, Deps{Model: testModel{}, Signaller: &fakeSignaller{}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			b.dial, b.probe = broker.dial, broker.dial
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
			broker := &fakeBroker{plan: []fakePlan{{connectErr: fmt.Errorf("refused")}, {}}}
			b, err := New(cfg, Deps{Model: testModel{}, Signaller: &fakeSignaller{}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			b.dial, b.probe = broker.dial, broker.dial
			err = b.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), "shared subscriptions") {
				t.Errorf("run: %v", err)
			}
			if n := broker.count(); n != 2 {
				t.Errorf("%d connections, expected two probes", n)
			}
		})
	})
}

func TestPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := fakePlan{publishErr: errLost}
		broker := &fakeBroker{plan: []fakePlan{{connectErr: fmt.Errorf("refused")}, broken, {}}}
		logs := &logLines{}
		cfg := DefaultMQTTConfig()
		cfg.ClientID = "out"
		p := newPublisher(cfg, broker.dial, logs.logger())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { p.Run(ctx); close(ended) }()

		published := make(chan error, 1)
		go func() { published <- p.Publish(t.Context(), "devices/d/commands/x", 1, false, []byte("hello")) }()
		time.Sleep(time.Second)
		select {
		case err := <-published:
			t.Fatalf("published over a broken connection: %v", err)
		default:
		}
		broker.last().lost <- fmt.Errorf("EOF")
		if err := <-published; err != nil {
			t.Fatal(err)
		}
		if got := broker.last().published; len(got) != 1 || got[0] != "devices/d/commands/x hello" || !p.Connected() {
			t.Errorf("published %v", got)
		}

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		broker.last().mu.Lock()
		broker.last().publishErr = errLost
		broker.last().mu.Unlock()
		if err := p.Publish(short, "a", 1, false, nil); err == nil || !strings.Contains(err.Error(), "deadline") {
			t.Errorf("publishing without end: %v", err)
		}
		for _, topic := range []string{"", "a/+", "#", "a\x00", "a\xff"} {
			if err := p.Publish(t.Context(), topic, 1, false, nil); err == nil {
				t.Errorf("topic %q is accepted", topic)
			}
		}
		stop()
		<-ended
		if p.Connected() {
			t.Error("still connected")
		}
	})
}
