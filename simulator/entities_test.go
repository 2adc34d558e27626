package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/wire"
)

func readTestEntities(t *testing.T, change ...string) *EntityScenario {
	t.Helper()
	src, err := os.ReadFile("../models/loyalty.scenario.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(change...).Replace(string(src))
	s, err := ReadEntityScenario("loyalty.scenario.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func loyaltyModel(t *testing.T) *devicefsm.Model {
	t.Helper()
	src, err := os.ReadFile("../models/loyalty.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := devicefsm.Load("loyalty.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// purchases reads records as the dialect of the model does.
func purchases(topic string, key, value []byte) ([]wire.Received, error) {
	var data map[string]any
	if err := json.Unmarshal(value, &data); err != nil {
		return nil, err
	}
	r := wire.Received{ID: device.ID("customer/" + string(key)), Object: value, Message: device.Message{
		Channel: device.ChannelEvents, Name: "purchase", Data: data,
	}}
	return []wire.Received{r}, nil
}

// shop is a service that counts purchases, as exactly as a test wants it to.
type shop struct {
	t      *testing.T
	client *kgo.Client
	model  *devicefsm.Model
	wrong  string // what it does wrong, some of it once it has counted 30 purchases
	done   int
	mixed  bool // the order was wrong once

	mutex     sync.Mutex
	customers map[string]*shopCustomer
	notified  int
}

type shopCustomer struct {
	log   AppliedLog
	count int
	known map[any]bool
}

func startShop(t *testing.T, options []kgo.Opt, wrong string) *shop {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.ConsumeTopics("purchases"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, client: client, model: loyaltyModel(t), wrong: wrong, customers: map[string]*shopCustomer{}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { s.take(ctx, r) })
		}
	})
	t.Cleanup(func() { cancel(); running.Wait(); client.Close() })
	return s
}

func (s *shop) take(ctx context.Context, r *kgo.Record) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	id := "customer/" + string(r.Key)
	c := s.customers[id]
	if c == nil {
		c = &shopCustomer{known: map[any]bool{}}
		s.customers[id] = c
	}
	received := deletion(device.ID(id))
	if len(r.Value) > 0 {
		var err error
		if received, err = purchases(r.Topic, r.Key, r.Value); err != nil {
			headers := []kgo.RecordHeader{
				{Key: headerTopic, Value: []byte(r.Topic)}, {Key: headerPartition, Value: fmt.Append(nil, r.Partition)}, {Key: headerOffset, Value: fmt.Append(nil, r.Offset)},
			}
			s.write(ctx, &kgo.Record{Topic: "loyalty.dead", Key: r.Key, Headers: headers})
			s.write(ctx, &kgo.Record{Topic: "loyalty.dead", Key: r.Key, Headers: headers}) // as bridges may
			return
		}
	}
	m := &received[0]
	m.Complete()
	if !s.model.Relevant(m.Message) {
		return
	}
	if len(r.Value) == 0 {
		c.count = 0
		s.note(c, m.Message)
		return
	}
	if n := m.Message.Data["purchase"]; c.known[n] && s.wrong != "copies" {
		return
	} else {
		c.known[n] = true
	}
	wrong := ""
	if s.done++; s.done == 30 {
		wrong = s.wrong
	}
	switch wrong {
	case "lost":
		return
	case "twice":
		s.note(c, m.Message)
	}
	if s.wrong == "count" {
		c.count++
	}
	c.count++
	s.note(c, m.Message)
	level := map[int]string{5: "silver", 10: "gold"}[c.count]
	if level == "" || s.wrong == "unnotified" {
		return
	}
	s.notified++
	s.tell(ctx, id, level, s.notified)
	s.tell(ctx, id, level, s.notified) // the same again
	if s.wrong == "notified twice" {
		s.notified++
		s.tell(ctx, id, level, s.notified)
	}
}

func (s *shop) note(c *shopCustomer, m device.Message) {
	digest, err := readDigest(m)
	if err != nil {
		s.t.Error(err)
	}
	entry := Applied{Digest: digest, Durable: time.Now()}
	if n := len(c.log.Entries); s.wrong == "order" && n > 0 && s.done >= 30 && !s.mixed {
		s.mixed = true
		c.log.Entries = append(c.log.Entries[:n-1], entry, c.log.Entries[n-1])
		return
	}
	c.log.Entries = append(c.log.Entries, entry)
	c.log.Signals++
}

func (s *shop) tell(ctx context.Context, id, level string, n int) {
	s.write(ctx, &kgo.Record{Topic: "loyalty.levels", Key: []byte(id), Value: fmt.Appendf(nil, `{"data":{"level":%q}}`, level), Headers: []kgo.RecordHeader{
		{Key: headerID, Value: []byte(strconv.Itoa(n))}, {Key: headerEntity, Value: []byte(id)},
	}})
}

func (s *shop) write(ctx context.Context, r *kgo.Record) {
	if err := s.client.ProduceSync(ctx, r).FirstErr(); err != nil && ctx.Err() == nil {
		s.t.Errorf("write: %v", err)
	}
}

func (s *shop) Applied(_ context.Context, id string) (AppliedLog, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if c := s.customers[id]; c != nil {
		return c.log, nil
	}
	return AppliedLog{}, nil
}

func (s *shop) Context(_ context.Context, id string) (map[string]any, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if c := s.customers[id]; c != nil {
		return map[string]any{"purchases": float64(c.count)}, nil
	}
	return nil, nil
}

func (s *shop) States(context.Context) (map[string]int, error) {
	return map[string]int{"member": 1}, nil
}

// playShop plays customers against a shop that does something wrong, or nothing.
func playShop(t *testing.T, wrong string) EntityReport {
	t.Helper()
	scenario := readTestEntities(t, "per_minute: 0.3", "per_minute: 10", "per_minute: 0.2", "per_minute: 6", "delay: [0s, 2s]", "delay: [0s, 300ms]",
		"after: [1s, 5s]", "after: [100ms, 500ms]")
	var seeds []kfake.Opt
	for topic, partitions := range scenario.Topics() {
		seeds = append(seeds, kfake.SeedTopics(int32(partitions), topic))
	}
	cluster, err := kfake.NewCluster(append(seeds, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	options := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	s := startShop(t, options, wrong)
	o := EntityOptions{
		Kafka: options, Scenario: scenario, Kind: "customer", Model: s.model, Twins: s, Meaning: purchases,
		Entities: 30, Rate: 20, Duration: 2 * time.Second, Seed: 1, StartRate: 1000, Log: slog.New(slog.DiscardHandler),
	}
	if wrong != "" {
		o.Drain = 2 * time.Second
	}
	report, err := RunEntities(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Customers whose purchases are all counted leave a clean ledger, with something of everything in it.
func TestEntities(t *testing.T) {
	r := playShop(t, "")
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.HasPrefix(text.String(), "CLEAN") {
		t.Errorf("report, %v:\n%s", err, text.String())
	}
	if r.Counted < 100 || r.Applied != r.Relevant || r.Copies == 0 || r.Deletions == 0 || r.DeadLetters == 0 || r.NotifiedExpected < 10 || r.WrittenAgain == 0 || r.RecordToState.Count == 0 {
		t.Errorf("something did not happen: %+v", r)
	}
}

// What a service does wrong is in the ledger, under its name.
func TestEntityLedgerFindsFaults(t *testing.T) {
	for wrong, found := range map[string]func(EntityReport) bool{
		"lost":           func(r EntityReport) bool { return r.Lost == 1 && len(r.LostMessages) == 1 && r.Unsettled > 0 },
		"twice":          func(r EntityReport) bool { return r.Duplicated == 1 && r.Lost == 0 },
		"copies":         func(r EntityReport) bool { return r.Duplicated > 0 && r.CountsWrong > 0 },
		"count":          func(r EntityReport) bool { return r.CountsWrong > 0 && r.Lost == 0 && r.Duplicated == 0 },
		"order":          func(r EntityReport) bool { return r.Reordered > 0 && r.Lost == 0 },
		"unnotified":     func(r EntityReport) bool { return r.NotifiedMissing == r.NotifiedExpected && r.NotifiedMissing > 0 },
		"notified twice": func(r EntityReport) bool { return r.NotifiedSpurious == r.NotifiedExpected && r.NotifiedMissing == 0 },
	} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			if r := playShop(t, wrong); r.Clean || !found(r) {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// A topic that is not there is named, before anything is written.
func TestEntitiesNeedTopics(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "purchases"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	_, err = RunEntities(t.Context(), EntityOptions{
		Kafka: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, Scenario: readTestEntities(t), Kind: "customer", Model: loyaltyModel(t), Twins: &shop{},
		Meaning: purchases, Entities: 1,
	})
	if err == nil || !strings.Contains(err.Error(), "loyalty.dead, loyalty.levels") {
		t.Errorf("error %v", err)
	}
}

// The same seed gives the same records, and their times rise.
func TestEntityPlan(t *testing.T) {
	s := readTestEntities(t)
	play := func(seed uint64) (all []string) {
		for i := range 5 {
			p, last := newEntityPlan(s, "7", seed, i, 20, time.Minute), time.Duration(0)
			for act, more := p.next(); more; act, more = p.next() {
				if act.at < last {
					t.Fatalf("%v comes after %v", act.at, last)
				}
				last = act.at
				all = append(all, fmt.Sprintf("%v %d %s %s", act.at, act.kind, act.topic, act.value))
			}
			if p.err != nil {
				t.Fatal(p.err)
			}
		}
		return all
	}
	first, again, other := play(1), play(1), play(2)
	if len(first) < 100 || strings.Join(first, "\n") != strings.Join(again, "\n") {
		t.Errorf("two plans of one seed differ, of %d and %d records", len(first), len(again))
	}
	if strings.Join(first, "\n") == strings.Join(other, "\n") {
		t.Error("two seeds give the same plan")
	}
}

// All faults of a file are reported at once.
func TestEntityScenarioFaults(t *testing.T) {
	_, err := ReadEntityScenario("s.yaml", []byte(`
scenario: s
kafka: {kinds: k.yaml, dialect: d.yaml, dead_letters: "dead letters"}
records:
  sale: {topic: sales, id: n, value: {n: 1}}
deleted: {per_minute: 1000, topic: sales}
expect:
  count: {record: sail, in: sold}
  notified: {topic: levels, field: level, at: [{count: 5, says: a}, {count: 5, says: b}]}
`))
	for _, want := range []string{"dead letters", `"n" is written by the simulator`, "600", `no records "sail"`, "more than the count before"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	for src, want := range map[string]bool{"scenario: s\nrecords: {}": true, "scenario: s\nprofiles: {}": false, "": false, "a: [": false} {
		if PlaysEntities([]byte(src)) != want {
			t.Errorf("%q: plays entities %t", src, !want)
		}
	}
}

// A dialect that takes records for those of others, or reads what is to be refused, is an error before
// the run.
func TestEntityMeaningsAreChecked(t *testing.T) {
	o := EntityOptions{Scenario: readTestEntities(t), Kind: "customer", Model: loyaltyModel(t), Twins: &shop{}, Entities: 1}
	o.Meaning = func(topic string, key, value []byte) ([]wire.Received, error) {
		return []wire.Received{{ID: "customer/other", Object: value}}, nil
	}
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "is of customer/other") {
		t.Errorf("error %v", err)
	}
	o.Meaning = func(topic string, key, value []byte) ([]wire.Received, error) {
		return []wire.Received{{ID: device.ID("customer/" + string(key)), Object: []byte("{}"), Message: device.Message{Channel: device.ChannelEvents, Name: "purchase"}}}, nil
	}
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "which is to be refused") {
		t.Errorf("error %v", err)
	}
}

// An entity stays on its partition while its topic grows.
func TestEntitiesKeepTheirPartition(t *testing.T) {
	partition := keptPartitions("purchases")
	moved := false
	for i := range 50 {
		r := &kgo.Record{Key: []byte(strconv.Itoa(i))}
		before := partition(r, 3)
		if partition(r, 12) != before || before >= 3 {
			t.Errorf("entity %d moved", i)
		}
		moved = moved || partition(&kgo.Record{Key: []byte(strconv.Itoa(100 + i))}, 12) >= 3
	}
	if !moved {
		t.Error("no new entity is on a new partition")
	}
}
