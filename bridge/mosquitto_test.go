package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/internal/testserver"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// mosquitto is a real broker with persistence, on a port of its own, that can
// be ended and started again.
type mosquitto struct {
	*testserver.Mosquitto
	t *testing.T
}

func startMosquitto(t *testing.T) *mosquitto {
	t.Helper()
	return &mosquitto{testserver.StartMosquitto(t, "allow_anonymous true", "persistence true", "persistence_location "+t.TempDir()+"/",
		"max_inflight_messages 1000", "max_queued_messages 0", "log_type error", "log_type warning"), t}
}

func (m *mosquitto) mqtt(clientID string) mqtt.Config {
	c := mqtt.DefaultConfig()
	c.Brokers = []string{"mqtt://" + m.Address}
	c.ClientID = clientID
	c.BackoffMin, c.BackoffMax = 10*time.Millisecond, 100*time.Millisecond
	return c
}

// dial makes a connection with a clean session that delivers to a channel.
func (m *mosquitto) dial(cfg mqtt.Config, to chan<- mqtt.Message) mqtt.Conn {
	m.t.Helper()
	dial, err := mqtt.NewDialer(cfg, mqtt.CleanSession, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return dial(m.t.Context(), func(ctx context.Context, message mqtt.Message) {
		select {
		case to <- message:
		case <-ctx.Done():
		}
	})
}

// workflowModel is what the workflows behind a signaller have seen: the numbers
// of each device, in the order in which each first came.
type workflowModel struct {
	mu   sync.Mutex
	down bool
	seen map[string][]uint64
}

func (w *workflowModel) Deliver(_ context.Context, d device.Delivery) (string, error) {
	id := d.ID.Name()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down || rand.N(10) == 0 {
		return "", errDown
	}
	known := make(map[uint64]bool)
	for _, seq := range w.seen[id] {
		known[seq] = true
	}
	for _, m := range d.Batch.Messages {
		if m.Seq > 0 && !known[m.Seq] {
			known[m.Seq] = true
			w.seen[id] = append(w.seen[id], m.Seq)
		}
	}
	if rand.N(10) == 0 {
		return "", errDown // accepted, and the answer was lost
	}
	return "run", nil
}

func (w *workflowModel) setDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func (w *workflowModel) count() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seqs := range w.seen {
		n += len(seqs)
	}
	return n
}

// eventually waits for what other processes do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// startBridge runs a bridge; the returned function stops it and waits.
func startBridge(t *testing.T, cfg Config, deps Deps) (*Bridge, func()) {
	t.Helper()
	b, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	eventually(t, "the bridge is ready", func() bool { return b.Ready() == nil })
	return b, stop
}

func startPublisher(t *testing.T, cfg mqtt.Config) *mqtt.Publisher {
	t.Helper()
	p, err := mqtt.NewPublisher(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return p
}

// fleet publishes numbered messages of several devices, each of them again
// until the broker confirms it.
type fleet struct {
	t       *testing.T
	p       *mqtt.Publisher
	devices int
	seq     uint64
}

// publish sends n messages for each device and returns when all are confirmed.
func (f *fleet) publish(n int) {
	var publishers sync.WaitGroup
	for d := range f.devices {
		publishers.Go(func() {
			for i := range n {
				payload := fmt.Sprintf(`{"epoch":1,"seq":%d,"hot":1}`, f.seq+uint64(i)+1)
				topic := fmt.Sprintf("devices/d%d/telemetry", d)
				if err := f.p.Publish(f.t.Context(), topic, 1, false, []byte(payload)); err != nil {
					f.t.Errorf("publishing: %v", err)
					return
				}
			}
		})
	}
	publishers.Wait()
	f.seq += uint64(n)
}

func (f *fleet) check(w *workflowModel) {
	f.t.Helper()
	eventually(f.t, "every message has arrived", func() bool { return w.count() >= f.devices*int(f.seq) })
	w.mu.Lock()
	defer w.mu.Unlock()
	for device, seqs := range w.seen {
		for i, seq := range seqs {
			if seq != uint64(i)+1 {
				f.t.Fatalf("%s: place %d holds number %d", device, i+1, seq)
			}
		}
	}
}

func TestMosquittoRestarts(t *testing.T) {
	m := startMosquitto(t)
	w := &workflowModel{seen: make(map[string][]uint64)}
	cfg := DefaultConfig()
	cfg.MQTT = m.mqtt("")
	cfg.RetryMin, cfg.RetryMax = time.Millisecond, 5*time.Millisecond
	deps := Deps{Model: testModel{}, Sink: w, Log: slog.New(slog.DiscardHandler)}
	b, stop := startBridge(t, cfg, deps)
	f := &fleet{t: t, p: startPublisher(t, m.mqtt("fleet")), devices: 5}
	during := func(n int, fault func()) {
		t.Helper()
		before := w.count()
		done := make(chan struct{})
		go func() { f.publish(n); close(done) }()
		eventually(t, "some have arrived", func() bool { return w.count() > before+n })
		fault()
		<-done
		f.check(w)
	}

	// The broker ends and comes back, in the middle of it.
	for range 3 {
		during(200, func() {
			m.Stop(syscall.SIGTERM)
			m.Start()
		})
	}
	if s := b.counts; s.connectsLost.Load() < 3 || s.sessionsLost.Load() != 0 {
		t.Errorf("stats: %+v", s)
	}

	// The bridge ends and comes back.
	during(200, func() {
		stop()
		b, stop = startBridge(t, cfg, deps)
	})

	// Nothing may go on to Temporal, the broker is killed, and restarts with
	// what it saved last: what the bridge holds must arrive anyway.
	w.setDown(true)
	f.publish(20)
	eventually(t, "the bridge holds all of it", func() bool { return b.counts.Held.Load() >= 100 })
	m.Stop(syscall.SIGKILL)
	m.Start()
	eventually(t, "the bridge has reconnected", func() bool { return b.counts.connected.Load() })
	w.setDown(false)
	f.check(w)

	eventually(t, "all is acknowledged", func() bool { return b.counts.Held.Load() == 0 })

	// A broker that lets the bridge wait redelivers to it: nothing goes twice.
	w.setDown(true)
	f.publish(20)
	eventually(t, "the bridge holds all of it", func() bool { return b.counts.Held.Load() >= 100 })
	repeated := b.counts.Repeated.Load()
	m.Stop(syscall.SIGTERM)
	m.Start()
	eventually(t, "all of it was delivered again", func() bool { return b.counts.Repeated.Load() >= repeated+100 })
	if n := b.counts.Held.Load(); n != 100 {
		t.Errorf("%d messages held, expected the 100 that were before", n)
	}
	w.setDown(false)
	f.check(w)
	eventually(t, "all is acknowledged", func() bool { return b.counts.Window.Load() == 0 })
}

func TestMosquittoDeadLetterAndSharedSubscription(t *testing.T) {
	m := startMosquitto(t)
	out := startPublisher(t, m.mqtt("bridge-out"))
	cfg := DefaultConfig()
	cfg.ID = "b7"
	cfg.MQTT = m.mqtt("")
	cfg.Subscribe = []string{"$share/bridges/devices/#"}
	b, _ := startBridge(t, cfg, Deps{
		Model: testModel{}, Sink: &workflowModel{seen: make(map[string][]uint64)},
		DeadLetters: out, Log: slog.New(slog.DiscardHandler),
	})

	letters := make(chan mqtt.Message, 10)
	listener := m.dial(m.mqtt("listener"), letters)
	defer listener.Close(0)
	if _, err := listener.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := listener.Subscribe(t.Context(), []string{"bridge/+/deadletter"}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		topic, payload string
		reason         wire.Reason
	}{
		{"devices/d/telemetri", `{}`, wire.ReasonBadTopic},
		{"devices/no.dots/status", `{}`, wire.ReasonBadDeviceID},
		{"devices/d/status", `{"status":`, wire.ReasonBadPayload},
		{"devices/d/status", strings.Repeat("x", 200<<10), wire.ReasonTooLarge},
	} {
		if err := out.Publish(t.Context(), bad.topic, 1, false, []byte(bad.payload)); err != nil {
			t.Fatal(err)
		}
		select {
		case d := <-letters:
			var l DeadLetter
			if err := json.Unmarshal(d.Payload, &l); err != nil || l.Topic != bad.topic || l.Reason != bad.reason || d.Topic != "bridge/b7/deadletter" {
				t.Errorf("dead letter on %s: %.200s: %v", d.Topic, d.Payload, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no dead letter for %s", bad.reason)
		}
	}
	eventually(t, "all is acknowledged", func() bool { return b.counts.Window.Load() == 0 })
	if s := b.counts; s.Value("dead_letters_total") != 4 || s.deadLettersUnpublished.Load() != 0 {
		t.Errorf("stats: %+v", s)
	}
}
