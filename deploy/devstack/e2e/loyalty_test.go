package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
)

// loyal are the customers of the loyalty programme that docs/kafka.md describes.
var loyal = shop{"models/loyalty.yaml", "models/shop/shop.kinds.yaml", "models/shop/shop.dialect.yaml"}

// The loyalty programme over a real cluster of two brokers: customers buy in random order, while
// one bridge is killed, another one is added, and a broker is killed. Every customer's count is exact, and each level is
// reported once. LOYALTY_CUSTOMERS is how many customers there are, with ten purchases each on average; 10000
// take about half an hour.
func TestTheLoyaltyProgramme(t *testing.T) {
	customers := 100
	if n, err := strconv.Atoi(os.Getenv("LOYALTY_CUSTOMERS")); err == nil {
		customers = n
	}
	purchases := 10 * customers
	limit := patienceWithKafka + time.Duration(purchases)*50*time.Millisecond
	k := serverstest.Kafka(t, ports, 2, "offsets.topic.replication.factor=2")
	s := startSystemWriting(t, stack.Options{}, nil, service.DefaultConfig().Worker.RunEvents, loyal.known, func(c *service.Config) {
		c.Sink.Brokers, c.Worker.CountEvery = k.Addresses, service.DefaultConfig().Worker.CountEvery
		c.Worker.Notify = map[string]string{"levels": "kafka:loyalty.levels", "statements": "kafka:loyalty.statements"}
	})
	operator := operatorOf(t, s, "")
	producer := kafkaClient(t, k.Addresses)
	makeTopics(t, producer, 2, map[string]int32{"purchases": 12, "returns": 1, "dead": 1, "loyalty.levels": 6, "loyalty.statements": 1})
	first, firstHTTP := loyal.bridge(t, s, k.Addresses, "a")
	_, secondHTTP := loyal.bridge(t, s, k.Addresses, "b")
	awaitPartitions(t, firstHTTP)
	awaitPartitions(t, secondHTTP)

	counts := map[string]int{}
	random := rand.New(rand.NewPCG(19, 5))
	buy := func(n int) {
		t.Helper()
		for range n {
			id := fmt.Sprint(100_000 + random.IntN(customers))
			counts[id]++
			producer.Produce(t.Context(), &kgo.Record{Key: []byte(id), Value: fmt.Appendf(nil, `{"amount":%d}`, 1+random.IntN(200))}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("produce: %v", err)
				}
			})
		}
		if err := producer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	buy(purchases * 4 / 10)
	eventuallyWithin(t, limit, pollKafka, "the first bridge receives purchases", func(context.Context) bool { return metric(firstHTTP, metricReceived) >= 1 })
	first.Kill()
	_, thirdHTTP := loyal.bridge(t, s, k.Addresses, "c")
	buy(purchases * 3 / 10)
	awaitPartitions(t, thirdHTTP)
	broker := k.Nodes[1]
	broker.Kill()
	buy(purchases - purchases*4/10 - purchases*3/10) // the other one leads everything now
	if err := broker.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	admin := kadm.NewClient(producer)
	eventuallyWithin(t, limit, pollKafka, "Temporal has accepted every purchase", func(ctx context.Context) bool {
		lags, err := admin.Lag(ctx, "shop")
		return err == nil && lags.Error() == nil && lags["shop"].Lag.Total() == 0
	})
	accepted := time.Since(began)
	want := map[string][]string{} // what is reported of each customer
	reports := 0
	for id, n := range counts {
		if n >= 5 {
			want[id] = append(want[id], "silver at 5")
		}
		if n >= 10 {
			want[id] = append(want[id], "gold at 10")
		}
		reports += len(want[id])
	}
	l := readRecords(t, k.Addresses, limit, map[string]int{"loyalty.levels": reports})
	complete := time.Since(began)

	for id, n := range counts {
		level := "basic"
		for _, l := range []struct {
			from int
			name string
		}{{5, "silver"}, {10, "gold"}} {
			if n >= l.from {
				level = l.name
			}
		}
		var got string
		eventuallyWithin(t, limit, pollKafka, "customer "+id+" has every purchase, each once", func(ctx context.Context) bool {
			c, err := operator.Device(ctx, device.ID("customer/"+id))
			got = string(c.Context)
			return err == nil && got == fmt.Sprintf(`{"level":%q,"purchases":%d}`, level, n)
		})
		if levels := l.levels("customer/" + id); !slices.Equal(levels, sorted(want[id])) {
			t.Errorf("customer %s with %d purchases: reported %q, want %q", id, n, levels, want[id])
		}
	}
	t.Logf("%d customers, %d purchases, read by the bridges that lived: %v and %v; %d levels were reported, and %d of them again, which the reader dropped",
		len(counts), purchases, metric(secondHTTP, metricReceived), metric(thirdHTTP, metricReceived), reports, l.repeated)
	t.Logf("Temporal had accepted all after %v, %.0f records/s; all levels were reported after %v, and all customers were looked at after %v",
		accepted.Round(100*time.Millisecond), float64(purchases)/accepted.Seconds(), complete.Round(100*time.Millisecond), time.Since(began).Round(time.Second))
}

// levels is what was reported of an entity, sorted: notifications may overtake one another.
func (l *ledger) levels(key string) (all []string) {
	l.t.Helper()
	for _, r := range l.records["loyalty.levels"][key] {
		var report struct {
			Data struct {
				Level     string
				Purchases int
			}
		}
		if err := json.Unmarshal(r.Value, &report); err != nil {
			l.t.Errorf("%s: %v", r.Value, err)
		}
		all = append(all, fmt.Sprintf("%s at %d", report.Data.Level, report.Data.Purchases))
	}
	return sorted(all)
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
