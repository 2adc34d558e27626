package e2e

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
)

// The receiver does not answer for one device of MQTT and one customer of Kafka, whose queues fill up. Bridges deliver
// them nothing more, and to others everything, also behind them on the same connection and partition.
// When the receiver is back, each event that waited is processed, once and in order: nothing was dropped.
func TestAFullQueueHoldsUpNobodyElse(t *testing.T) {
	const others, each, most, batch, queue = 10, 10, 60, 4, 5
	var open atomic.Bool
	b := newBilling(t, func(string, int) bool { return false })
	full := map[device.ID]string{"full": "mqtt", "customer/1000": "kafka"}
	b.away = func(id string) bool { return full[device.ID(id)] != "" && !open.Load() }
	receiver := httptest.NewServer(b)
	defer receiver.Close()
	cluster := kafkaCluster(t)
	accounts := shop{"deploy/devstack/e2e/testdata/account.yaml", levelled.kinds, "deploy/devstack/e2e/testdata/bookings.yaml"}
	t.Setenv("DEVICETWIN_KAFKA_BATCH_MESSAGES", fmt.Sprint(batch)) // of the bridge from Kafka
	s := startSystemWriting(t, stack.Options{}, nil, 50, func(c *service.Config) {
		c.Model.Model = "testdata/book.yaml"
		accounts.known(c)
		c.Bridge.BatchMessages = batch
		c.Worker.Notify = map[string]string{"billing": receiver.URL}
	})
	_, fromKafka := accounts.bridge(t, s, cluster.ListenAddrs(), "a")
	awaitReady(t, fromKafka)

	ids := []device.ID{"full", "customer/1000"}
	for i := range others {
		ids = append(ids, device.ID(fmt.Sprintf("till-%d", i)), device.ID(fmt.Sprintf("customer/%d", 1001+i)))
	}
	sent := func(id device.ID) int {
		if full[id] != "" {
			return most
		}
		return each
	}
	publisher, producer := connect(t, s.MQTT.URL(), "tills"), kafkaClient(t, cluster.ListenAddrs())
	for n := 1; n <= most; n++ {
		for _, id := range ids {
			if n > sent(id) {
				continue
			}
			if id.Kind() == device.KindDevice {
				publisher.publish("devices/"+string(id)+"/events/book", fmt.Sprintf(`{"n":%d,"source":"mqtt"}`, n))
				continue
			}
			producer.Produce(t.Context(), &kgo.Record{Key: []byte(id.Name()), Value: fmt.Appendf(nil, `{"n":%d,"source":"kafka"}`, n)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("produce: %v", err)
				}
			})
		}
	}
	if err := producer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}

	done := func(id device.ID) {
		t.Helper()
		eventuallyWithin(t, 2*time.Minute, 100*time.Millisecond, string(id)+" is done", func(ctx context.Context) bool {
			view, err := s.twins.Describe(ctx, id)
			return err == nil && view.Process != nil && view.Process.Done == uint64(sent(id)) && len(view.Process.Queue) == 0
		})
	}
	for _, id := range ids {
		if full[id] == "" {
			done(id)
		}
	}
	awaitMetric(t, s.http, "devicetwin_bridge_no_room_total", 3)
	awaitMetric(t, fromKafka, "devicetwin_bridge_no_room_total", 3)
	for id := range full {
		view, err := s.twins.Describe(t.Context(), id)
		if err != nil || view.Process == nil || view.Process.Done > 0 || len(view.Process.Queue) < queue || len(view.Process.Queue) >= queue+batch {
			t.Errorf("%s: %+v, %v; want %d events in the queue, or up to %d more", id, view.Process, err, queue, batch-1)
		}
	}
	open.Store(true)
	for id := range full {
		done(id)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		booked := b.ledger[string(id)]
		if len(booked) != sent(id) {
			t.Errorf("%s: %d events are processed, want %d", id, len(booked), sent(id))
		}
		for i, e := range booked {
			if e.number != i+1 || e.n != i+1 {
				t.Errorf("%s: in place %d, event %d with n %d", id, i+1, e.number, e.n)
			}
		}
	}
	for _, addr := range []string{s.http, fromKafka} {
		if _, text := get(addr, "/metrics"); !strings.Contains(text, "devicetwin_bridge_dead_letters_total{") || strings.Contains(removeZeros(text), "devicetwin_bridge_dead_letters_total{") {
			t.Errorf("%s: there are dead letters, or none are counted", addr)
		}
	}
}

// removeZeros are metrics without those that are 0.
func removeZeros(metrics string) string {
	var lines []string
	for line := range strings.Lines(metrics) {
		if !strings.HasSuffix(line, " 0\n") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
