package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/simulator"
)

// With Kafka, its own faults are run and a few of those of all systems; with brokers of MQTT, none of its own.
func TestKafkaCases(t *testing.T) {
	kafka := []process.BrokerKind{process.Kafka}
	all, err := Choice{Brokers: kafka}.Cases()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, c := range all {
		found = append(found, c.Fault.Name)
		if c.Fault.String() == "" || c.Fault.plays() <= 0 {
			t.Errorf("fault %+v says nothing", c.Fault)
		}
	}
	for _, want := range []string{"kill-kafka", "kill-controller", "pause-kafka", "move-leaders", "rebalance-bridges", "delay-everybody-kafka", "throttle-everybody-kafka",
		"grow-topic", "kill-worker", "kill-temporal"} {
		if !slices.Contains(found, want) {
			t.Errorf("%s is not among the faults %v", want, found)
		}
	}
	if len(found) != 10 {
		t.Errorf("%d faults: %v", len(found), found)
	}
	if short, err := (Choice{Brokers: kafka, Short: true}).Cases(); err != nil || len(short) != 1 || short[0].Fault.Name != shortKafka {
		t.Errorf("the short form: %v, %v", short, err)
	}
	if _, err := (Choice{Brokers: kafka, Only: []string{"kill-broker"}}).Cases(); err == nil {
		t.Error("a broker of MQTT can be killed in a case with Kafka")
	}
	if _, err := (Choice{Brokers: []process.BrokerKind{process.NATS}, Only: []string{"move-leaders"}}).Cases(); err == nil {
		t.Error("leaders can be moved in a case without Kafka")
	}
}

// A case with Kafka passes only if it proved something, and the figures agree.
func TestConcludeEntities(t *testing.T) {
	clean := func() Outcome {
		return Outcome{Fault: "grow-topic", Broker: process.Kafka, ContinuedAsNew: 4, Added: 9, Entities: &simulator.EntityReport{
			Clean: true, Sent: 120, Relevant: 100, Applied: 100, Counted: 90, NotifiedExpected: 8, Copies: 5, Deletions: 2, DeadLetters: 3, DeadLettersMeant: 3,
		}}
	}
	ok := clean()
	if ok.conclude(nil); !ok.Clean || ok.verdict() != "yes" {
		t.Fatalf("a case without violations: %+v", ok)
	}
	for name, spoil := range map[string]func(*Outcome) error{
		"error":               func(*Outcome) error { return errors.New("the customers ended too soon") },
		"no report":           func(o *Outcome) error { o.Entities = nil; return nil },
		"nothing applied":     func(o *Outcome) error { o.Entities.Applied, o.Entities.Relevant = 0, 0; return nil },
		"nobody notified":     func(o *Outcome) error { o.Entities.NotifiedExpected = 0; return nil },
		"no copy":             func(o *Outcome) error { o.Entities.Copies = 0; return nil },
		"no deletion":         func(o *Outcome) error { o.Entities.Deletions = 0; return nil },
		"nothing refused":     func(o *Outcome) error { o.Entities.DeadLetters, o.Entities.DeadLettersMeant = 0, 0; return nil },
		"never continued":     func(o *Outcome) error { o.ContinuedAsNew = 0; return nil },
		"not clean":           func(o *Outcome) error { o.Entities.Clean = false; return nil },
		"clean with a loss":   func(o *Outcome) error { o.Entities.Lost = 1; return nil },
		"clean, wrong count":  func(o *Outcome) error { o.Entities.CountsWrong = 1; return nil },
		"clean, told twice":   func(o *Outcome) error { o.Entities.NotifiedSpurious = 1; return nil },
		"clean, too few":      func(o *Outcome) error { o.Entities.Applied--; return nil },
		"clean, dead letters": func(o *Outcome) error { o.Entities.DeadLetters++; return nil },
		"not on new ones":     func(o *Outcome) error { o.Added = 0; return nil },
	} {
		o := clean()
		o.conclude(spoil(&o))
		if o.Clean || o.Error == "" || o.verdict() == "yes" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	bad := clean()
	bad.Entities.Clean, bad.Entities.Lost = false, 1
	bad.conclude(nil)
	var text strings.Builder
	if err := (Report{Outcomes: []Outcome{ok, bad}}).WriteTable(&text); err != nil || !strings.Contains(text.String(), "1 of 2 clean") || bad.verdict() != "no" {
		t.Errorf("table, %v:\n%s", err, text.String())
	}
	bad.summarize(&text)
	if !strings.Contains(text.String(), "NOT CLEAN") || !strings.Contains(text.String(), "1 lost") {
		t.Errorf("summary:\n%s", text.String())
	}
}

// On a real cluster: one of the brokers is found behind a proxy, leaders move, the one that leads most is found, and a
// topic grows; and what is written meanwhile is read, once and in order.
func TestKafkaOfACase(t *testing.T) {
	_, err := servers.FindKafka()
	serverstest.Need(t, err)
	pool := process.NewPortPool()
	s := &system{System: process.NewSystem(nil, t.TempDir(), getPatience), pool: pool, kafka: &kafkaSystem{partitions: partitions}}
	defer s.close()
	if err := s.Prepare(pool, append([]Part{linkPort, quorum}, kafkaNodes...)...); err != nil {
		t.Fatal(err)
	}
	if err := s.addKafka(Link{Everybody, KafkaBroker}); err != nil {
		t.Fatal(err)
	}
	if err := s.launch(t.Context(), kafkaNodes); err != nil {
		t.Fatal(err)
	}
	if err := s.makeTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	leaders := func() (all []int32) {
		topics, err := s.kafka.admin.ListTopics(t.Context(), purchases)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range topics[purchases].Partitions.Sorted() {
			all = append(all, p.Leader)
		}
		return all
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.cluster.Addresses...), kgo.DefaultProduceTopic(purchases), kgo.ConsumeTopics(purchases),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	written := 0
	write := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		for range 20 {
			if err := client.ProduceSync(ctx, &kgo.Record{Key: []byte("1000"), Value: fmt.Append(nil, written)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			written++
		}
	}
	write()
	before := leaders()
	if err := s.moveLeaders(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := leaders()
	for i := range before {
		if before[i] == after[i] {
			t.Errorf("partition %d is led by %d as before", i, after[i])
		}
	}
	write()
	if err := s.proxied.delay(); err != nil {
		t.Fatal(err)
	}
	write()
	if err := s.proxied.restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.proxied.carried() == 0 {
		t.Error("nothing came over the link")
	}
	victim, err := s.leader(t.Context())
	if err != nil || victim == Controller || !slices.Contains(kafkaNodes, victim) {
		t.Fatalf("leader %q, %v", victim, err)
	}
	s.Parts[victim].Kill()
	write()
	if err := s.Parts[victim].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.growTopic(t.Context()); err != nil || len(leaders()) != grownPartitions {
		t.Fatalf("leaders %v, %v", leaders(), err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: levels, Value: []byte("{}")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for read := 0; read < written && ctx.Err() == nil; {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if string(r.Value) != fmt.Sprint(read) {
				t.Errorf("record %d is %s", read, r.Value)
			}
			read++
		})
	}
	if ctx.Err() != nil {
		t.Errorf("not all of %d records were read", written)
	}
	if n, err := s.onAddedPartitions(t.Context()); err != nil || n != 0 {
		t.Errorf("%d records are on partitions that were added, %v", n, err)
	}
}
