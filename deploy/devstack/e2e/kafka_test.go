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

// Customers buy while bridges from Kafka are killed in the middle of it, and come back: each purchase is
// counted once, and whoever reads a record that cannot be read finds it among the dead letters.
func TestEachRecordOfKafkaIsCountedOnce(t *testing.T) {
	const customers, rounds = 20, 60
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(6, "purchases"), kfake.SeedTopics(1, "dead"),
		kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	const kinds, loyalty = "testdata/kafkakinds.yaml", "testdata/loyalty.yaml"
	s := startSystemWriting(t, stack.Options{}, nil, 20, func(c *service.Config) { // several runs
		c.Model.Kinds, c.Model.Models = kinds, []string{loyalty}
	})
	operator := operatorOf(t, s, "")
	start := func(id string) (*process.Process, string) {
		http := "127.0.0.1:" + freePort(t)
		const here = "deploy/devstack/e2e/"
		return background(t, "devicetwin", "kafka", "--http-listen", http, "--temporal-address", s.Temporal.Addr(),
			"--temporal-namespace", stack.Namespace, "--influx-url", "", "--models", here+loyalty, "--kinds", here+kinds,
			"--kafka-id", id, "--kafka-group", "shop", "--kafka-brokers", strings.Join(cluster.ListenAddrs(), ","),
			"--kafka-dialect", here+"testdata/purchases.yaml", "--kafka-dead-letters", "dead", "--kafka-session-timeout", "2s"), http
	}
	a, _ := start("a")
	_, addressB := start("b")
	awaitReady(t, addressB)
	const read = "devicetwin_bridge_received_total"

	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("purchases"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
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
	a, addressA := start("a") // the same member
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
	consumer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	letters := consumer.PollFetches(ctx).Records()
	if len(letters) == 0 || string(letters[0].Key) != "1000" || string(letters[0].Value) != `{"amount":` {
		t.Errorf("dead letters %v", letters)
	}
}
