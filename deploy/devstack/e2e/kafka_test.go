package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
)

const (
	kafkaKinds   = "testdata/kafkakinds.yaml"
	loyaltyModel = "testdata/loyalty.yaml"
)

// withCustomers has a worker know the customers of Kafka, besides what it knows.
func withCustomers(c *service.Config) {
	c.Model.Kinds, c.Model.Models = kafkaKinds, append(c.Model.Models, loyaltyModel)
}

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

// kafkaClient is a client of a cluster that produces to the topic of purchases.
func kafkaClient(t *testing.T, cluster *kfake.Cluster, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("purchases")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// kafkaBridge starts a bridge of customers from a cluster, and returns the address of its metrics and
// health.
func kafkaBridge(t *testing.T, s *system, cluster *kfake.Cluster, id string) (*process.Process, string) {
	t.Helper()
	http := "127.0.0.1:" + freePort(t)
	const here = "deploy/devstack/e2e/"
	return background(t, "devicetwin", "kafka", "--http-listen", http, "--temporal-address", s.Temporal.Addr(),
		"--temporal-namespace", stack.Namespace, "--influx-url", s.influx.URL, "--influx-token="+s.influx.Token, "--influx-org="+s.influx.Org, "--influx-bucket", s.influx.Bucket,
		"--models", here+loyaltyModel, "--kinds", here+kafkaKinds,
		"--kafka-id", id, "--kafka-group", "shop", "--kafka-brokers", strings.Join(cluster.ListenAddrs(), ","),
		"--kafka-dialect", here+"testdata/purchases.yaml", "--kafka-dead-letters", "dead", "--kafka-session-timeout", "2s"), http
}

// Customers buy while bridges from Kafka are killed in the middle of it, and come back: each purchase is
// counted once, and whoever reads a record that cannot be read finds it among the dead letters.
func TestEachRecordOfKafkaIsCountedOnce(t *testing.T) {
	const customers, rounds = 20, 60
	cluster := kafkaCluster(t)
	s := startSystemWriting(t, stack.Options{}, nil, 20, withCustomers) // several runs
	operator := operatorOf(t, s, "")
	a, _ := kafkaBridge(t, s, cluster, "a")
	_, addressB := kafkaBridge(t, s, cluster, "b")
	awaitReady(t, addressB)
	const read = "devicetwin_bridge_received_total"

	producer := kafkaClient(t, cluster)
	spent := map[string]float64{}
	buy := func(from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			for c := range customers {
				id := fmt.Sprint(1000 + c)
				producer.Produce(t.Context(), &kgo.Record{Key: []byte(id), Value: fmt.Appendf(nil, `{"amount":%d}`, n+c)}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("produce: %v", err)
					}
				})
				spent[id] += float64(n + c)
			}
		}
		if err := producer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	buy(0, 20)
	awaitMetric(t, addressB, read, 1)
	a.Kill()
	buy(20, 40)
	if err := producer.ProduceSync(t.Context(), &kgo.Record{Key: []byte("1000"), Value: []byte(`{"amount":`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	a, addressA := kafkaBridge(t, s, cluster, "a") // the same member
	awaitReady(t, addressA)
	awaitMetric(t, addressA, read, 1)
	a.Kill()
	buy(40, rounds)

	for id, want := range spent {
		eventuallyWithin(t, time.Minute, 100*time.Millisecond, "customer "+id+" has every purchase, each once", func(ctx context.Context) bool {
			c, err := operator.Device(ctx, device.ID("customer/"+id))
			return err == nil && string(c.Context) == fmt.Sprintf(`{"spent":%v,"times":%d}`, want, rounds)
		})
	}
	consumer := kafkaClient(t, cluster, kgo.ConsumeTopics("dead"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	letters := consumer.PollFetches(ctx).Records()
	if len(letters) == 0 || string(letters[0].Key) != "1000" || string(letters[0].Value) != `{"amount":` {
		t.Errorf("dead letters %v", letters)
	}
}
