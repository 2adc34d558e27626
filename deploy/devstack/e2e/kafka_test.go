package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/bridge/kafka"
	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
	deviceworkflow "devicetwin/workflows/device"
)

// shop is what bridges from Kafka and workers know of customers: files, from the root of the repository.
type shop struct{ model, kinds, dialect string }

// levelled are customers with a level, of which others are informed.
var levelled = shop{
	"deploy/devstack/e2e/testdata/levels.yaml", "deploy/devstack/e2e/testdata/kafkakinds.yaml", "deploy/devstack/e2e/testdata/purchases.yaml",
}

// known has a worker know the customers, besides what it knows.
func (s shop) known(c *service.Config) {
	c.Model.Kinds, c.Model.Models = root+"/"+s.kinds, append(c.Model.Models, root+"/"+s.model)
}

// patienceWithKafka is for what takes some rebalances of a group, or the start of a broker, on a busy machine.
const (
	patienceWithKafka = 3 * time.Minute
	pollKafka         = 100 * time.Millisecond
)

// Metrics of bridges from Kafka.
const (
	metricReceived   = "devicetwin_bridge_received_total"
	metricPartitions = "devicetwin_bridge_kafka_partitions"
)

// kafkaCluster starts a Kafka with the topics of purchases and of dead letters.
func kafkaCluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(6, "purchases"), kfake.SeedTopics(1, "dead"),
		kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// kafkaClient is a client of brokers that produces to the topic of purchases.
func kafkaClient(t *testing.T, brokers []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("purchases")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// makeTopics makes topics with so many partitions and replicas each, where they are not there.
func makeTopics(t *testing.T, client *kgo.Client, replicas int16, partitions map[string]int32) {
	t.Helper()
	admin := kadm.NewClient(client)
	for topic, n := range partitions {
		if _, err := admin.CreateTopic(t.Context(), n, replicas, nil, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			t.Fatalf("make topic %s: %v", topic, err)
		}
	}
}

// bridge starts a bridge of customers in the group "shop", and returns the address of its metrics and
// health.
func (s shop) bridge(t *testing.T, in *system, brokers []string, id string) (*process.Process, string) {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	return background(t, "devicetwin", "kafka", "--http-listen", address, "--temporal-address", in.Temporal.Addr(),
		"--temporal-namespace", stack.Namespace, "--influx-url", in.influx.URL, "--influx-token="+in.influx.Token, "--influx-org="+in.influx.Org, "--influx-bucket", in.influx.Bucket,
		"--models", s.model, "--kinds", s.kinds,
		"--kafka-id", id, "--kafka-group", "shop", "--kafka-brokers", strings.Join(brokers, ","),
		"--kafka-dialect", s.dialect, "--kafka-dead-letters", "dead", "--kafka-session-timeout", "5s"), address
}

// worker starts a worker in addition to that of the system, with more arguments.
func (s shop) worker(t *testing.T, in *system, more ...string) *process.Process {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	w := background(t, "devicetwin", append([]string{"worker", "--http-listen", address, "--temporal-address", in.Temporal.Addr(), "--temporal-namespace", stack.Namespace,
		"--influx-url", "", "--mqtt-url", in.MQTT.URL(), "--model", "models/pump.yaml", "--models", s.model, "--kinds", s.kinds, "--worker-credentials", t.TempDir()}, more...)...)
	eventuallyWithin(t, patienceWithKafka, pollKafka, "the worker is ready", func(context.Context) bool {
		status, _ := get(address, "/readyz")
		return status == http.StatusOK
	})
	return w
}

// awaitPartitions waits until a bridge has partitions.
func awaitPartitions(t *testing.T, address string) {
	t.Helper()
	eventuallyWithin(t, patienceWithKafka, pollKafka, address+" has partitions", func(context.Context) bool {
		return metric(address, metricPartitions) >= 1
	})
}

// buyers write purchases to Kafka, and know what they have bought.
type buyers struct {
	t        *testing.T
	producer *kgo.Client
	rounds   int                // purchases of each customer
	spent    map[string]float64 // by customer
}

const numberOfBuyers = 20

// buy has each customer buy some times. Every second purchase is written twice, under the same id.
func (b *buyers) buy(times int) {
	b.t.Helper()
	for range times {
		n := b.rounds
		for c := range numberOfBuyers {
			id := fmt.Sprint(1000 + c)
			for range 1 + n%2 {
				b.producer.Produce(b.t.Context(), &kgo.Record{Key: []byte(id), Value: fmt.Appendf(nil, `{"amount":%d,"id":"p-%d"}`, n+c, n)}, func(_ *kgo.Record, err error) {
					if err != nil {
						b.t.Errorf("produce: %v", err)
					}
				})
			}
			b.spent[id] += float64(n + c)
		}
		b.rounds++
	}
	if err := b.producer.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// buyUntil has the customers go on buying until something holds.
func (b *buyers) buyUntil(what string, holds func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patienceWithKafka); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s: not within %v", what, patienceWithKafka)
		}
		b.buy(1)
	}
}

// Customers buy while bridges from Kafka and a worker are killed in the middle of it, and come back, and some purchases are
// written twice: each is counted once, whoever reads a record that cannot be read finds it among the dead letters, and
// what customers become is written to Kafka, once and in order.
func TestEachRecordOfKafkaIsCountedOnce(t *testing.T) {
	countPurchases(t, kafkaCluster(t).ListenAddrs(), 1, func(int) {})
}

// The same, on a real cluster of two brokers, each of which is killed meanwhile.
func TestEachRecordOfRealKafkaIsCountedOnce(t *testing.T) {
	k := serverstest.Kafka(t, ports, 2, "offsets.topic.replication.factor=2")
	countPurchases(t, k.Addresses, 2, func(stage int) {
		n := k.Nodes[1-stage]
		n.Kill()
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// countPurchases has customers buy in three stages; disturb is called while the records of the
// first two, 0 and 1, are read. The topics are made with so many replicas.
func countPurchases(t *testing.T, brokers []string, replicas int16, disturb func(stage int)) {
	t.Helper()
	s := startSystemWriting(t, stack.Options{}, nil, 20, levelled.known, func(c *service.Config) { // several runs
		c.Sink.Brokers, c.Sink.Transitions, c.Sink.Commands, c.Sink.Topics = brokers, "states", "ends", []string{"levels"}
		c.Worker.Notify = map[string]string{"crm": "kafka:notes"}
	})
	operator := operatorOf(t, s, "")
	b := &buyers{t: t, producer: kafkaClient(t, brokers), spent: map[string]float64{}}
	makeTopics(t, b.producer, replicas, map[string]int32{"purchases": 6, "dead": 1, "states": 3, "ends": 3, "levels": 3, "notes": 3})
	startWorker := func() *process.Process {
		return levelled.worker(t, s, "--worker-run-events", "20", "--kafka-brokers", strings.Join(brokers, ","),
			"--kafka-transitions", "states", "--kafka-commands", "ends", "--kafka-topics", "levels", "--worker-notify", "crm=kafka:notes")
	}
	worker := startWorker()
	first, firstHTTP := levelled.bridge(t, s, brokers, "a")
	_, secondHTTP := levelled.bridge(t, s, brokers, "b")
	awaitPartitions(t, firstHTTP)
	awaitPartitions(t, secondHTTP)

	b.buy(20)
	b.buyUntil("both bridges have received something", func() bool { return metric(firstHTTP, metricReceived) >= 1 && metric(secondHTTP, metricReceived) >= 1 })
	first.Kill()
	disturb(0)
	b.buy(5)
	worker.Kill() // customers become loyal just now
	b.buy(15)
	if err := b.producer.ProduceSync(t.Context(), &kgo.Record{Key: []byte("1000"), Value: []byte(`{"amount":`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	startWorker()
	first, firstHTTP = levelled.bridge(t, s, brokers, "a") // the same member
	// The other bridge may have read everything by then.
	b.buyUntil("the bridge that was killed receives something again", func() bool { return metric(firstHTTP, metricReceived) >= 1 })
	first.Kill()
	disturb(1)
	b.buy(20)

	for id, want := range b.spent {
		eventuallyWithin(t, patienceWithKafka, pollKafka, "customer "+id+" has every purchase, each once", func(ctx context.Context) bool {
			c, err := operator.Device(ctx, device.ID("customer/"+id))
			return err == nil && string(c.Context) == fmt.Sprintf(`{"spent":%v,"times":%d}`, want, b.rounds)
		})
	}
	l := readRecords(t, brokers, patienceWithKafka, map[string]int{"states": 2 * numberOfBuyers, "levels": numberOfBuyers, "notes": numberOfBuyers, "ends": numberOfBuyers})
	for id := range b.spent {
		key := "customer/" + id
		for _, c := range []struct{ topic, member, want string }{
			{"states", "to", "regular loyal"}, {"states", "event", "purchase purchase"}, {"levels", "level", "loyal"}, {"levels", "times", "30"},
			{"notes", "to", "crm"}, {"ends", "name", "welcome"}, {"ends", "status", "succeeded"},
		} {
			if got := l.says(c.topic, key, c.member); got != c.want {
				t.Errorf("%s: topic %s says %s of %q, want %s", key, c.topic, got, c.member, c.want)
			}
		}
		if numbers := l.numbers(key); !slices.Equal(numbers, []string{"1", "2", "3", "4"}) {
			t.Errorf("%s: the records have the numbers %v, want 1 to 4", key, numbers)
		}
	}
	t.Logf("%d purchases of each customer; %d records were written again, and dropped", b.rounds, l.repeated)
	consumer := kafkaClient(t, brokers, kgo.ConsumeTopics("dead"))
	ctx, cancel := context.WithTimeout(t.Context(), patienceWithKafka)
	defer cancel()
	letters := consumer.PollFetches(ctx).Records()
	if len(letters) == 0 || string(letters[0].Key) != "1000" || string(letters[0].Value) != `{"amount":` {
		t.Errorf("dead letters %v", letters)
	}
}

// ledger is what a reader of topics has got, which drops what has an id that it had before.
type ledger struct {
	t        *testing.T
	records  map[string]map[string][]*kgo.Record // by topic and key
	known    map[string]bool                     // topics and ids
	count    map[string]int                      // by topic
	repeated int
}

// readRecords reads topics from their beginning until each has as many records as are wanted; and a little
// longer, to see that there are no others. It waits as long as within says.
func readRecords(t *testing.T, brokers []string, within time.Duration, want map[string]int) *ledger {
	t.Helper()
	consumer := kafkaClient(t, brokers, kgo.ConsumeTopics(slices.Sorted(maps.Keys(want))...))
	l := &ledger{t: t, records: map[string]map[string][]*kgo.Record{}, known: map[string]bool{}, count: map[string]int{}}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for !l.has(want) && ctx.Err() == nil {
		consumer.PollFetches(ctx).EachRecord(l.take)
	}
	more, end := context.WithTimeout(t.Context(), 2*time.Second)
	defer end()
	for more.Err() == nil {
		consumer.PollFetches(more).EachRecord(l.take)
	}
	for topic, n := range want {
		if l.count[topic] != n {
			t.Errorf("%d records on %s, want %d", l.count[topic], topic, n)
		}
	}
	return l
}

func (l *ledger) has(want map[string]int) bool {
	for topic, n := range want {
		if l.count[topic] < n {
			return false
		}
	}
	return true
}

func (l *ledger) take(r *kgo.Record) {
	id := headerOf(r, kafka.HeaderID)
	if id == "" || headerOf(r, deviceworkflow.HeaderEntity) != string(r.Key) {
		l.t.Errorf("a record of %s with the key %s has the headers %v", r.Topic, r.Key, r.Headers)
	}
	if l.known[r.Topic+" "+id] {
		l.repeated++
		return
	}
	l.known[r.Topic+" "+id] = true
	l.count[r.Topic]++
	if l.records[r.Topic] == nil {
		l.records[r.Topic] = map[string][]*kgo.Record{}
	}
	l.records[r.Topic][string(r.Key)] = append(l.records[r.Topic][string(r.Key)], r)
}

func headerOf(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// says is what a member of the values on a topic says of an entity, in order.
func (l *ledger) says(topic, key, member string) string {
	l.t.Helper()
	var all []string
	for _, r := range l.records[topic][key] {
		var value map[string]any
		if err := json.Unmarshal(r.Value, &value); err != nil {
			l.t.Errorf("%s: %v", r.Value, err)
		}
		all = append(all, fmt.Sprint(value[member]))
	}
	return strings.Join(all, " ")
}

// numbers are those of the records of an entity on all topics, sorted. Notifications have none.
func (l *ledger) numbers(key string) (all []string) {
	for _, topic := range l.records {
		for _, r := range topic[key] {
			if n := headerOf(r, deviceworkflow.HeaderNumber); n != "" {
				all = append(all, n)
			}
		}
	}
	slices.Sort(all)
	return all
}
