package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/mqtt"
	"devicetwin/mqtt/mqtttest"
	"devicetwin/wire"
)

// errDown is a sink's error that passes.
var errDown = errors.New("temporal is down")

// fakeSink accepts after a while, or fails as long as down is set.
type fakeSink struct {
	takes time.Duration

	mu       sync.Mutex
	down     bool
	failing  string   // a device whose signals fail
	accepted []string // device:id
	attempts int
}

func (s *fakeSink) Deliver(ctx context.Context, d device.Delivery) (string, error) {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if s.down || string(d.ID) == s.failing {
		return "", errDown
	}
	for _, m := range d.Batch.Messages {
		s.accepted = append(s.accepted, fmt.Sprintf("%s:%v", d.ID, m.Data["id"]))
	}
	return "run", nil
}

func (s *fakeSink) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *fakeSink) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.accepted, " ")
}

// rig is a running bridge with a fake broker and a fake Temporal.
type rig struct {
	*Bridge
	t      *testing.T
	broker *mqtttest.Broker
	temp   *fakeSink
	logs   *logLines
	stop   context.CancelFunc
	ended  chan error

	mu    sync.Mutex
	acked []string
}

func startRig(t *testing.T, cfg Config, plan ...mqtttest.Plan) *rig {
	t.Helper()
	r := &rig{
		t: t, broker: &mqtttest.Broker{Plans: plan}, temp: &fakeSink{takes: time.Millisecond},
		logs: &logLines{}, ended: make(chan error, 1),
	}
	b, err := New(cfg, Deps{Model: testModel{}, Sink: r.temp, Log: r.logs.logger(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	b.dial, b.probe = r.broker.Dial, earlier(cfg.ID).Dial
	r.Bridge = b
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	go func() { r.ended <- b.Run(ctx) }()
	synctest.Wait()
	return r
}

// retainer is a broker for probes. It delivers what is published, and retains it.
type retainer struct {
	mu       sync.Mutex
	retained map[string][]byte
	connects int

	refuses, loses error         // of Connect, and of each connection after it
	deaf           bool          // what is published is dropped, and nothing is delivered
	hides          string        // a topic that may not be read
	lags           time.Duration // what is retained comes later
}

func (r *retainer) Dial(ctx context.Context, handle mqtt.Handler) mqtt.Conn {
	c := &retainerConn{retainer: r, lost: make(chan error, 1)}
	ctx, c.stop = context.WithCancel(ctx)
	c.deliver = func(m mqtt.Message) { go handle(ctx, m) }
	return c
}

// earlier is a broker where a bridge was before, so that nothing is waited for.
func earlier(id string) *retainer {
	r := &retainer{}
	r.set(wire.ClaimTopic(id), `{"log":"earlier","at":"1999-12-31T00:00:00Z"}`)
	r.set(wire.StatusTopic(id), `{"status":"offline","log":"earlier","at":"1999-12-31T01:00:00Z"}`)
	return r
}

// set retains a message.
func (r *retainer) set(topic, payload string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retained == nil {
		r.retained = map[string][]byte{}
	}
	r.retained[topic] = []byte(payload)
}

func (r *retainer) get(topic string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.retained[topic])
}

// attempts is how many connections there were.
func (r *retainer) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.connects
}

// fail sets how it fails.
func (r *retainer) fail(refuses, loses error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses, r.loses = refuses, loses
}

type retainerConn struct {
	*retainer
	stop    func()
	deliver func(mqtt.Message)
	lost    chan error
}

func (c *retainerConn) Connect(context.Context) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connects++
	if c.refuses == nil && c.loses != nil {
		c.lost <- c.loses
	}
	return false, c.refuses
}

func (c *retainerConn) Subscribe(_ context.Context, filters []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, payload := range c.retained {
		if slices.Contains(filters, topic) && topic != c.hides && !c.deaf {
			time.AfterFunc(c.lags, func() { c.deliver(mqtt.Message{Topic: topic, Payload: payload, Retained: true}) })
		}
	}
	return nil
}

func (c *retainerConn) Publish(_ context.Context, topic string, _ byte, retained bool, payload []byte) error {
	if c.deaf {
		return nil
	}
	if retained {
		c.set(topic, string(payload))
	}
	c.deliver(mqtt.Message{Topic: topic, Payload: payload})
	return nil
}

func (c *retainerConn) Broker() string      { return "fake" }
func (c *retainerConn) Lost() <-chan error  { return c.lost }
func (c *retainerConn) Close(time.Duration) { c.stop() }

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

// stuckConfig has a small window and no quota but the time of a stuck device.
func stuckConfig() Config {
	cfg := DefaultConfig()
	cfg.QuotaRate, cfg.QuotaBurst, cfg.QuotaWaiting, cfg.Window = 0, 0, 0, 10
	return cfg
}

// testModel finds everything relevant but telemetry without a "hot" key.
type testModel struct{}

func (testModel) Name() string { return "pump" }
func (testModel) Hash() string { return "pump-hash" }

func (testModel) Relevant(m device.Message) bool {
	_, hot := m.Data["hot"]
	return hot || m.Channel != device.ChannelTelemetry
}

func (t testModel) Pass(_ *devicefsm.Filter, m device.Message) bool { return t.Relevant(m) }
func (testModel) Reads() (names []string, all bool)                 { return nil, true }

func (testModel) Kind() device.Kind                                 { return device.KindDevice }
func (testModel) Explain(device.Message) []device.Fault             { return nil }
func (testModel) AppendFilter(b []byte, _ *devicefsm.Filter) []byte { return b }
func (testModel) ReadFilter(b []byte) (f devicefsm.Filter, rest []byte, err error) {
	return f, b, nil
}
func (testModel) OneByOne() bool                           { return false }
func (t testModel) MayLeaveOut(m device.Message) bool      { return !t.Relevant(m) }
func (testModel) Liveness() (time.Duration, time.Duration) { return 0, 0 }

// logLines is a log to be looked at.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logLines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
