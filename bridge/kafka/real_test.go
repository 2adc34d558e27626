package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"devicetwin/internal/kafkatest"
)

// What is promised holds on a real Apache Kafka: one cluster for all, since it takes long to start.
func TestRealKafka(t *testing.T) {
	cluster := kafkatest.Start(t, 2, "offsets.topic.replication.factor=2")
	for _, test := range []struct {
		name       string
		partitions int32
		run        func(w *world)
	}{
		{"members come, go and are killed", 6, membersChange},
		{"offsets are set back", 2, rewind},
		{"partitions are added", 1, grow},
		{"a record that cannot be read", 1, poison},
		{"transactions", 1, transactions},
		{"a topic is deleted", 1, func(w *world) { deleted(w, false) }},
		{"a fetch does not come", 1, unfetched},
		{"records are written", 3, writes},
		{"brokers are killed", 6, func(w *world) { brokersEnd(w, cluster) }},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newRealWorld(t, cluster, test.partitions, "purchases", "orders")) })
	}
	for _, test := range []struct {
		name string
		run  func(w *world, goOn bool)
	}{
		{"records are removed", keepNoLonger},
		{"retention while nobody reads", retention},
		{"a topic is made again while nobody reads it", remadeUnread},
		{"a topic is made again while it is read", remadeRead},
	} {
		t.Run(test.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, goOn bool) { test.run(newRealWorld(t, cluster, 1, "purchases", "orders"), goOn) })
		})
	}
}

// brokersEnd kills each of two brokers, one of which is the controller, while records are written and read.
func brokersEnd(w *world, cluster *kafkatest.Cluster) {
	w.t.Helper()
	const entities, rounds = 20, 40
	a, b := w.start("a"), w.start("b")
	w.eventually("ready", func() bool { return a.Ready() == nil && b.Ready() == nil })
	want := map[string]string{}
	for round := range rounds {
		switch round {
		case 5:
			cluster.Kill(1)
		case 15:
			cluster.Start(1)
		case 20:
			cluster.Kill(0)
			cluster.Start(0)
		case 25:
			b.kill()
		case 30:
			b = w.start("b")
		case 35:
			cluster.Stop(1)
			cluster.Start(1)
		}
		var batch []string
		for e := range entities {
			name := fmt.Sprint("c", e)
			batch = append(batch, fmt.Sprintf(`%s={"n":%d}`, name, round))
			want[name] = strings.TrimSpace(want[name] + " " + fmt.Sprint(round))
		}
		w.produce("purchases", batch...)
	}
	w.eventually("all applied", func() bool { return w.twins.count() == entities*rounds })
	for name, order := range want {
		if got := w.twins.of(name); got != order {
			w.t.Errorf("%s: applied %s, want %s", name, got, order)
		}
	}
	w.eventually("all committed", func() bool {
		lag, err := w.admin.Lag(w.t.Context(), w.group)
		return err == nil && lag.Error() == nil && lag[w.group].Lag.Total() == 0
	})
	w.eventually("ready", func() bool { return a.Ready() == nil && b.Ready() == nil })
	w.t.Logf("%d messages were delivered again, and dropped", w.twins.repeated())
}

// retention lets a topic drop everything after what was committed.
func retention(w *world, goOn bool) {
	w.t.Helper()
	afterTwo(w, goOn).end()
	w.produce("purchases", `a={"n":2}`, `a={"n":3}`, `a={"n":4}`)
	alter := func(value string) {
		w.t.Helper()
		r, err := w.admin.AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, "purchases")
		if err == nil {
			_, err = r.On("purchases", func(c *kadm.AlterConfigsResponse) error { return c.Err })
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	alter("1")
	w.eventually("without records", func() bool {
		starts, err := w.admin.ListStartOffsets(w.t.Context(), "purchases")
		start, ok := starts.Lookup("purchases", 0)
		return err == nil && ok && start.Offset == 5
	})
	alter("-1")
	s := w.start("a")
	if !goOn {
		s.stopped("partition purchases/0 is stopped: the topic no longer keeps what comes after offset 2")
		return
	}
	w.eventually("ready", func() bool { return s.Ready() == nil })
	w.produce("purchases", `a={"n":5}`)
	w.eventually("applied", func() bool { return w.twins.of("a") == "0 1 5" })
	if n := s.Metric("kafka_records_lost_total"); n != 3 {
		w.t.Errorf("%v are counted as lost, want 3", n)
	}
}
