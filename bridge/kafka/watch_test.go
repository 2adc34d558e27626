package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// notReady waits until a source is not ready for a reason.
func (r *running) notReady(why string) {
	r.world.t.Helper()
	r.world.eventually("not ready, because "+why, func() bool {
		err := r.Ready()
		return err != nil && strings.Contains(err.Error(), why)
	})
}

// A partition of which records are there and none is fetched is reported, although nothing fails.
func TestAFetchThatDoesNotComeIsReported(t *testing.T) { unfetched(newWorld(t, 1)) }

func unfetched(w *world) {
	w.t.Helper()
	w.change = func(c *Config) { c.StillAfter = time.Second }
	w.produce("purchases", `a={"n":1}`)
	s := w.start("a")
	w.eventually("applied", func() bool { return w.twins.of("a") == "1" })
	w.eventually("ready", func() bool { return s.Ready() == nil })
	at := place{"purchases", 0}
	s.client.PauseFetchPartitions(at.asMap()) // the client fetches nothing, and nobody says so
	for n := 2; w.twins.count() == n-1 && n < 20; n++ {
		w.produce("purchases", fmt.Sprintf(`a={"n":%d}`, n)) // a fetch that is under way may have the first ones
		time.Sleep(100 * time.Millisecond)
	}
	w.produce("purchases", `a={"n":100}`)
	s.notReady("partition purchases/0 has records that are not fetched")
	if n := w.logs.Count("has records that are not fetched"); n != 1 {
		w.t.Errorf("logged %d times", n)
	}
	w.eventually("counted", func() bool { return s.Metric("kafka_partitions_still") == 1 && s.Metric("kafka_lag") > 0 })
	s.resume(at)
	w.eventually("applied", func() bool { return strings.HasSuffix(w.twins.of("a"), " 100") })
	w.eventually("ready", func() bool { return s.Ready() == nil })
}

// What is committed of transactions is read, and nothing of those that were aborted. The offsets of markers, behind
// which nothing comes, do not make a partition one that is not fetched.
func TestTransactions(t *testing.T) { transactions(newWorld(t, 1)) }

func transactions(w *world) {
	w.t.Helper()
	w.change = func(c *Config) { c.StillAfter = 400 * time.Millisecond }
	s := w.start("a")
	producer, err := kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.TransactionalID(w.group), kgo.DefaultProduceTopic("purchases"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer producer.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for n, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := producer.BeginTransaction(); err != nil {
			w.t.Fatal(err)
		}
		r := &kgo.Record{Key: []byte("a"), Value: fmt.Appendf(nil, `{"n":%d}`, n)}
		if err := producer.ProduceSync(ctx, r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
		if err := producer.EndTransaction(ctx, end); err != nil {
			w.t.Fatal(err)
		}
	}
	w.eventually("applied", func() bool { return w.twins.count() == 2 })
	if got := w.twins.of("a"); got != "0 2" {
		w.t.Errorf("applied %s, want 0 2", got)
	}
	w.eventually("known to have no more records", func() bool {
		p := s.partition(place{"purchases", 0})
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.barren > p.next
	})
	if err := s.Ready(); err != nil || w.logs.Count("has records that are not fetched") > 0 {
		w.t.Errorf("%v; a marker is not a record: %v", err, w.logs)
	}
	w.produce("purchases", `a={"n":9}`)
	w.eventually("applied", func() bool { return w.twins.of("a") == "0 2 9" })
}

// A topic that is deleted while it is read, and stays away, is reported, also by a source that
// goes on when it comes back.
func TestATopicThatIsDeleted(t *testing.T) {
	bothWays(t, func(t *testing.T, goOn bool) { deleted(newWorld(t, 1), goOn) })
}

func deleted(w *world, goOn bool) {
	w.t.Helper()
	w.change = func(c *Config) { c.GoOn, c.StillAfter = goOn, 400*time.Millisecond }
	w.produce("purchases", `a={"n":1}`)
	w.produce("orders", `{"customer":"b","n":1}`)
	s := w.start("a")
	w.eventually("applied", func() bool { return w.twins.count() == 2 })
	if _, err := w.admin.DeleteTopic(w.t.Context(), "purchases"); err != nil {
		w.t.Fatal(err)
	}
	s.notReady("topic purchases is not there; was it deleted?")
	if n := w.logs.Count("a topic is not there any more"); n != 1 {
		w.t.Errorf("logged %d times: %v", n, w.logs)
	}
	w.produce("orders", `{"customer":"b","n":2}`)
	w.eventually("others are read", func() bool { return w.twins.of("b") == "1 2" })
	if !goOn {
		return
	}
	w.create("purchases", 1, 1)
	w.client.PurgeTopicsFromClient("purchases")
	w.produce("purchases", `a={"n":5}`)
	w.eventually("applied", func() bool { return w.twins.of("a") == "1 5" })
	w.eventually("ready", func() bool { return s.Ready() == nil })
}

// While the brokers do not answer, the source is not ready.
func TestBrokersThatDoNotAnswer(t *testing.T) {
	w := newWorld(t, 1)
	w.change = func(c *Config) { c.StillAfter = 200 * time.Millisecond }
	s := w.start("a")
	w.eventually("ready", func() bool { return s.Ready() == nil && s.Metric("kafka_partitions") == 2 })
	w.fake.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.fake.KeepControl()
		return nil, errors.New("the connection ends"), true
	})
	s.notReady("kafka: look for the ends of topics")
}

// The log of a partition that was cut while it was read stops it: what comes at the offsets that were read
// before is not what was there.
func TestALogThatWasCutWhileItIsRead(t *testing.T) {
	bothWays(t, func(t *testing.T, goOn bool) {
		w := newWorld(t, 1, kfake.NumBrokers(2))
		w.change = func(c *Config) { c.GoOn = goOn }
		w.produce("purchases", `a={"n":1}`, `a={"n":2}`, `a={"n":3}`)
		s := w.start("a")
		w.eventually("committed", func() bool { return w.committed("purchases") == "0:3" })
		w.fake.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(r kmsg.Request) (kmsg.Response, error, bool) {
			w.fake.KeepControl()
			return cutAt(r.(*kmsg.OffsetForLeaderEpochRequest), 1), nil, true
		})
		other := 1 - w.fake.LeaderFor("purchases", 0) // a new leader, whose log the client compares
		if err := w.fake.MoveTopicPartition("purchases", 0, other); err != nil {
			t.Fatal(err)
		}
		s.stopped("partition purchases/0 is stopped: its log was cut")
		if n := s.Metric("kafka_records_lost_total"); n != 2 {
			t.Errorf("%v are counted as lost, want 2", n)
		}
		if got := w.twins.of("a"); got != "1 2 3" || w.committed("purchases") != "0:3" {
			t.Errorf("applied %s, committed %s", got, w.committed("purchases"))
		}
	})
}

// cutAt answers that the logs end at an offset.
func cutAt(r *kmsg.OffsetForLeaderEpochRequest, end int64) kmsg.Response {
	answer := r.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for _, t := range r.Topics {
		at := kmsg.NewOffsetForLeaderEpochResponseTopic()
		at.Topic = t.Topic
		for _, p := range t.Partitions {
			of := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			of.Partition, of.LeaderEpoch, of.EndOffset = p.Partition, p.LeaderEpoch, end
			at.Partitions = append(at.Partitions, of)
		}
		answer.Topics = append(answer.Topics, at)
	}
	return answer
}
