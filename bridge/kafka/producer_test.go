package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// producer is a producer at the brokers of a world.
func (w *world) producer() *Producer {
	w.t.Helper()
	p, err := newProducer(ClientConfig{Brokers: w.addrs}, "worker", prometheus.NewRegistry(), w.logs.Logger(), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Close(ctx)
	})
	return p
}

// write writes a record, and tries again for as long as it is not written.
func (w *world) write(p *Producer, r Record) {
	w.t.Helper()
	w.eventually("written "+r.ID, func() bool {
		ctx, cancel := context.WithTimeout(w.t.Context(), 100*time.Millisecond)
		defer cancel()
		return p.Write(ctx, r) == nil
	})
}

func TestAProducerWritesRecords(t *testing.T) { writes(newWorld(t, 3)) }

func writes(w *world) {
	t := w.t
	p := w.producer()
	at := time.UnixMilli(time.Now().UnixMilli()).UTC()
	const keys, each = 5, 20
	for n := range each {
		for k := range keys {
			w.write(p, Record{
				Topic: "purchases", Key: fmt.Sprint("c", k), ID: fmt.Sprintf("%d-%d", k, n), Value: fmt.Append(nil, n), At: at,
				Headers: []Header{{"a", "b"}},
			})
		}
	}
	if err := p.Ready(); err != nil {
		t.Error(err)
	}
	next := map[string]int{}
	partitions := map[string]int32{}
	for _, r := range w.dead("purchases", keys*each) {
		key := string(r.Key)
		if want := fmt.Sprint(next[key]); string(r.Value) != want || !r.Timestamp.Equal(at) {
			t.Errorf("%s=%s at %v, want %s at %v", key, r.Value, r.Timestamp, want, at)
		}
		if p, ok := partitions[key]; ok && p != r.Partition {
			t.Errorf("%s is on the partitions %d and %d", key, p, r.Partition)
		}
		partitions[key] = r.Partition
		if len(r.Headers) != 2 || r.Headers[0].Key != HeaderID || string(r.Headers[0].Value) != fmt.Sprintf("%s-%d", key[1:], next[key]) || r.Headers[1].Key != "a" {
			t.Errorf("headers %v", r.Headers)
		}
		next[key]++
	}
	if n := p.Metric("records_total"); n != keys*each {
		t.Errorf("%v records are counted, want %d", n, keys*each)
	}
	// Given again, a record is not written again.
	w.write(p, Record{Topic: "purchases", Key: "c0", ID: "0-0", Value: []byte("again"), At: at})
	w.write(p, Record{Topic: "orders", Key: "c0", ID: "0-0", Value: []byte("elsewhere"), At: at})
	w.write(p, Record{Topic: "purchases", Key: "c0", ID: "last", Value: []byte("last"), At: at})
	w.dead("orders", 1)
	for _, r := range w.dead("purchases", keys*each+1) {
		if string(r.Value) == "again" {
			t.Error("a record is written twice")
		}
	}
	p.Close(t.Context())
	if err := p.Write(t.Context(), Record{Topic: "purchases", Key: "c0", ID: "closed"}); err == nil {
		t.Error("a record is written after the end")
	}
}

// A topic that is missing does not end the attempts; it is reported, and callers do not wait for long.
func TestAProducerWithoutItsTopic(t *testing.T) {
	w := newWorld(t, 1)
	p := w.producer()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	first := Record{Topic: "later", Key: "a", ID: "1", Value: []byte("1")}
	if err := p.Write(ctx, first); err == nil || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "topic later") {
		t.Errorf("%v, want an error that is tried again", err)
	}
	if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "kafka") {
		t.Errorf("ready: %v", err)
	}
	began := time.Now()
	for i := range 10 {
		_ = p.Write(t.Context(), Record{Topic: "later", Key: "b", ID: fmt.Sprint("b", i), Value: []byte("b")})
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ten callers waited for %v", took)
	}
	w.connect()
	w.create("later", 1, 1)
	w.write(p, first)
	w.eventually("ready", func() bool { return p.Ready() == nil })
	for i := range 10 {
		w.write(p, Record{Topic: "later", Key: "b", ID: fmt.Sprint("b", i), Value: []byte("b")})
	}
	if n := p.Metric("records_failed_total"); n == 0 {
		t.Error("no failure is counted")
	}
}

// What is too large is refused, and the next record is written.
func TestAProducerRefusesWhatIsTooLarge(t *testing.T) {
	w := newWorld(t, 1)
	p := w.producer()
	if err := p.Write(t.Context(), Record{Topic: "purchases", Key: "a", ID: "1", Value: make([]byte, 2<<20)}); !errors.Is(err, ErrRefused) {
		t.Errorf("%v, want it refused", err)
	}
	if err := p.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	w.write(p, Record{Topic: "purchases", Key: "a", ID: "2", Value: []byte("2")})
	w.dead("purchases", 1)
}

// A record whose response does not come is written once, although it is given again and again.
func TestARecordWhoseResponseIsLate(t *testing.T) {
	w := newWorld(t, 1)
	p := w.producer()
	w.write(p, Record{Topic: "purchases", Key: "a", ID: "0", Value: []byte("0")})
	lost := 0
	w.fake.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		lost++
		w.fake.KeepControl()
		if lost > 3 {
			return nil, nil, false
		}
		asked := r.(*kmsg.ProduceRequest)
		response := asked.ResponseKind().(*kmsg.ProduceResponse)
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = asked.Topics[0].Topic, asked.Topics[0].TopicID
		partition := kmsg.NewProduceResponseTopicPartition()
		partition.ErrorCode = kerr.RequestTimedOut.Code
		topic.Partitions = append(topic.Partitions, partition)
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	for i := range 5 {
		w.write(p, Record{Topic: "purchases", Key: "a", ID: fmt.Sprint(i + 1), Value: fmt.Append(nil, i+1)})
	}
	for i, r := range w.dead("purchases", 6) {
		if string(r.Value) != fmt.Sprint(i) {
			t.Errorf("record %d is %s", i, r.Value)
		}
	}
}

// A producer knows so many of the records that it has written.
func TestWhatAProducerRemembersIsBounded(t *testing.T) {
	p := &Producer{known: map[recordKey]bool{}}
	for i := range 3*keptWritten + 7 {
		p.remember(recordKey{"t", fmt.Sprint(i)})
	}
	if len(p.known) != keptWritten || !p.known[recordKey{"t", fmt.Sprint(3*keptWritten + 6)}] || p.known[recordKey{"t", fmt.Sprint(2*keptWritten + 6)}] {
		t.Errorf("%d are known, want the last %d", len(p.known), keptWritten)
	}
}

func TestFaultsOfAProducer(t *testing.T) {
	if _, err := NewProducer(ClientConfig{Brokers: []string{"x"}}, "w", nil, nil); err == nil || !strings.Contains(err.Error(), `broker "x"`) {
		t.Error(err)
	}
}
