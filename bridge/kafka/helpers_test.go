package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/kafkatest"
	"devicetwin/internal/testlog"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// testModel finds every event relevant, but those named "idle".
type testModel struct{}

func (testModel) Name() string      { return "customer" }
func (testModel) Kind() device.Kind { return device.KindDevice }

func (testModel) Hash() string                                        { return "customer-hash" }
func (testModel) Relevant(m device.Message) bool                      { return m.Name != "idle" }
func (testModel) Reads() (names []string, all bool)                   { return nil, true }
func (m testModel) Pass(_ *devicefsm.Filter, msg device.Message) bool { return m.Relevant(msg) }
func (testModel) OneByOne() bool                                      { return false }
func (m testModel) MayLeaveOut(msg device.Message) bool               { return !m.Relevant(msg) }
func (testModel) AppendFilter(b []byte, _ *devicefsm.Filter) []byte   { return b }
func (testModel) Explain(device.Message) []device.Fault               { return nil }
func (testModel) Liveness() (time.Duration, time.Duration)            { return 0, 0 }
func (testModel) ReadFilter(b []byte) (f devicefsm.Filter, rest []byte, err error) {
	return f, b, nil
}

// twins are workflows: what they apply, by the positions, ids and digests that they know (workflows/device).
type twins struct {
	mu      sync.Mutex
	last    map[string]int64    // by entity and log
	digests map[string][]string // by entity
	sent    map[string]bool     // by entity and id of the sender
	applied map[string][]string
	repeats int    // messages that were dropped
	stuck   string // an entity whose deliveries fail
}

func newTwins() *twins {
	return &twins{last: map[string]int64{}, digests: map[string][]string{}, sent: map[string]bool{}, applied: map[string][]string{}}
}

var errDown = errors.New("temporal is down")

func (w *twins) Deliver(ctx context.Context, d device.Delivery) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stuck == string(d.ID) {
		return "", errDown
	}
	for _, m := range d.Batch.Messages {
		if m.Pos > 0 {
			at := string(d.ID) + " " + d.Batch.Log
			if m.Pos <= w.last[at] {
				w.repeats++
				continue
			}
			w.last[at] = m.Pos
		}
		if m.SenderID != "" {
			if w.sent[string(d.ID)+" "+m.SenderID] {
				w.repeats++
				continue
			}
			w.sent[string(d.ID)+" "+m.SenderID] = true
		}
		if m.Digest != "" {
			if m.Redelivered && slices.Contains(w.digests[string(d.ID)], m.Digest) {
				w.repeats++
				continue
			}
			w.digests[string(d.ID)] = append(w.digests[string(d.ID)], m.Digest)
		}
		if m.Channel == device.ChannelSystem { // a report of faults
			continue
		}
		what := m.Name
		if n, ok := m.Data["n"]; ok {
			what = fmt.Sprint(n)
		}
		w.applied[string(d.ID)] = append(w.applied[string(d.ID)], what)
	}
	return "run", nil
}

func (w *twins) setStuck(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stuck = id
}

func (w *twins) repeated() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.repeats
}

func (w *twins) of(id string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.applied[id], " ")
}

func (w *twins) count() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, all := range w.applied {
		n += len(all)
	}
	return n
}

const shop = `
dialect: shop
topics:
  - topic: purchases/{id}
    channel: events
    name: purchase
  - topic: orders
    channel: events
    name: order
    vars: {customer: payload.customer}
    id: "{customer}"
`

func records(t testing.TB, text string) *dialect.Records {
	t.Helper()
	d, err := dialect.Load("shop.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := dialect.NewRecords(wire.DefaultConfig(), d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// world is a cluster of Kafka with a client of its own, and the twins.
type world struct {
	t       *testing.T
	addrs   []string       // of brokers
	fake    *kfake.Cluster // nil: they are real
	group   string         // that sources are members of
	client  *kgo.Client
	admin   *kadm.Client
	twins   *twins
	logs    *testlog.Lines
	dialect string
	change  func(*Config)
}

func newWorld(t *testing.T, partitions int32, options ...kfake.Opt) *world {
	t.Helper()
	all := append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.SeedTopics(partitions, "purchases", "orders"), kfake.GroupMinSessionTimeout(time.Second),
	}, options...)
	cluster, err := kfake.NewCluster(all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := worldOn(t, cluster.ListenAddrs(), "shop")
	w.fake = cluster
	return w
}

// newRealWorld is a world on a real cluster, on which topics are made for it, with as many replicas as there
// are brokers. Its group is its own.
func newRealWorld(t *testing.T, cluster *kafkatest.Cluster, partitions int32, topics ...string) *world {
	t.Helper()
	w := worldOn(t, cluster.Addrs(), t.Name())
	w.connect()
	for _, topic := range topics {
		w.create(topic, partitions, int16(len(w.addrs)))
	}
	t.Cleanup(func() { // when the sources have ended
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		client, err := kgo.NewClient(kgo.SeedBrokers(w.addrs...))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := kadm.NewClient(client).DeleteTopics(ctx, topics...); err != nil {
			t.Errorf("delete topics: %v", err)
		}
	})
	return w
}

// create makes a topic, also where one of this name is about to be deleted.
func (w *world) create(topic string, partitions int32, replicas int16) {
	w.t.Helper()
	var failed error
	w.eventually("topic "+topic+" is made", func() bool {
		_, failed = w.admin.CreateTopic(w.t.Context(), partitions, replicas, nil, topic)
		return failed == nil || !errors.Is(failed, kerr.TopicAlreadyExists)
	})
	if failed != nil {
		w.t.Fatal(failed)
	}
}

func worldOn(t *testing.T, addrs []string, group string) *world {
	w := &world{t: t, addrs: addrs, group: group, twins: newTwins(), logs: &testlog.Lines{}, dialect: shop}
	t.Cleanup(func() {
		if t.Failed() || os.Getenv("SHOW") != "" {
			t.Log(w.logs)
		}
	})
	return w
}

// connect makes the client of the test.
func (w *world) connect(options ...kgo.Opt) {
	w.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.addrs...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MetadataMinAge(50 * time.Millisecond),
	}, options...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	w.client, w.admin = client, kadm.NewClient(client)
}

// produce writes records; one without a value is "key=".
func (w *world) produce(topic string, records ...string) {
	w.t.Helper()
	if w.client == nil {
		w.connect()
	}
	var all []*kgo.Record
	for _, r := range records {
		key, value, keyed := strings.Cut(r, "=")
		record := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
		if !keyed {
			record.Key, record.Value = nil, []byte(r)
		} else if value == "" {
			record.Value = nil
		}
		all = append(all, record)
	}
	if err := w.client.ProduceSync(w.t.Context(), all...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// running is a source that runs.
type running struct {
	*Source
	world *world
	stop  context.CancelFunc
	done  chan struct{}
	alive *lifeline
}

// lifeline is what a process has of the world: connections, and deliveries. It can be cut.
type lifeline struct {
	twins *twins
	mu    sync.Mutex
	conns []net.Conn
	cut   bool
}

var errCut = errors.New("the process is dead")

func (l *lifeline) dial(ctx context.Context, network, host string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, host)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.cut {
		c.Close()
		err = errCut
	}
	if err == nil {
		l.conns = append(l.conns, c)
	}
	return c, err
}

func (l *lifeline) Deliver(ctx context.Context, d device.Delivery) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return "", errCut
	}
	return l.twins.Deliver(ctx, d)
}

func (l *lifeline) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for _, c := range l.conns {
		c.Close()
	}
}

func (w *world) config(id string) Config {
	cfg := DefaultConfig()
	cfg.ID, cfg.Group, cfg.Client.Brokers = id, w.group, w.addrs
	cfg.SessionTimeout, cfg.TopicsEvery, cfg.CommitEvery = 2*time.Second, 100*time.Millisecond, 20*time.Millisecond
	cfg.RetryMin, cfg.RetryMax, cfg.LingerMax = time.Millisecond, 20*time.Millisecond, 10*time.Millisecond
	cfg.DrainTimeout = 5 * time.Second
	if w.change != nil {
		w.change(&cfg)
	}
	return cfg
}

func (w *world) start(id string) *running {
	w.t.Helper()
	alive := &lifeline{twins: w.twins}
	cfg := w.config(id)
	var more []kgo.Opt
	if !cfg.Client.TLS { // which dials itself
		more = append(more, kgo.Dialer(alive.dial))
	}
	s, err := newSource(cfg, Deps{
		Model: testModel{}, Sink: alive, Records: records(w.t, w.dialect), Clock: wire.Clock{MaxAhead: time.Minute, MaxBehind: time.Hour},
		Log: w.logs.Logger(),
	}, more...)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{s, w, stop, make(chan struct{}), alive}
	go func() {
		defer close(r.done)
		if err := s.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(r.end)
	return r
}

// end stops the source in order.
func (r *running) end() {
	r.stop()
	<-r.done
}

// kill ends the source as kill -9 would, as far as others see it: it delivers and commits nothing
// more, and leaves nothing.
func (r *running) kill() {
	r.alive.end()
	r.stop()
}

// eventually waits until something holds.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("not %s: applied %v", what, w.twins.applied)
		}
	}
}

// patience is how long what takes milliseconds may take on a busy machine.
const patience = 90 * time.Second

// committed is what the group has, as "partition:offset".
func (w *world) committed(topic string) string {
	w.t.Helper()
	if w.client == nil {
		w.connect()
	}
	all, err := w.admin.FetchOffsets(w.t.Context(), w.group)
	if err != nil {
		return err.Error()
	}
	var list []string
	for partition, o := range all[topic] {
		list = append(list, fmt.Sprintf("%d:%d", partition, o.At))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// dead reads dead letters from a topic until there are so many.
func (w *world) dead(topic string, n int) (all []*kgo.Record) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.ConsumeTopics(topic))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for len(all) < n && ctx.Err() == nil {
		all = append(all, client.PollFetches(ctx).Records()...)
	}
	if len(all) != n {
		w.t.Fatalf("%d dead letters, want %d", len(all), n)
	}
	return all
}
