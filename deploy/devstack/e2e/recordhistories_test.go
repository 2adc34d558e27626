package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
	deviceworkflow "devicetwin/workflows/device"
)

// TestRecordRecords is TestRecordHistories for a customer whose purchases are records of Kafka with ids,
// some of them written twice, and of whom records are written, at first while one of the topics is
// missing; and for a device whose records are on many partitions.
func TestRecordRecords(t *testing.T) {
	const customer, half, all = "customer/1000", 3, 40
	brokers := kafkaCluster(t).ListenAddrs()
	s := startSystemWriting(t, stack.Options{}, nil, 12, levelled.known, func(c *service.Config) {
		c.Sink.Brokers, c.Sink.Transitions, c.Sink.Commands, c.Sink.Topics = brokers, "states", "ends", []string{"levels"}
		c.Worker.Notify = map[string]string{"crm": "kafka:notes"}
	})
	levelled.bridge(t, s, brokers, "a")
	producer := kafkaClient(t, brokers)
	makeTopics(t, producer, 1, map[string]int32{"ends": 1, "levels": 1, "notes": 1})
	buy := func(from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			for range 1 + n%2 {
				if err := producer.ProduceSync(t.Context(), &kgo.Record{Key: []byte("1000"), Value: fmt.Appendf(nil, `{"amount":1,"id":"p-%d"}`, n)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	view := func(what string, holds func(deviceworkflow.View) bool) {
		t.Helper()
		eventuallyWithin(t, patienceWithKafka, pollKafka, what, func(ctx context.Context) bool {
			v, err := s.twins.Describe(ctx, customer)
			return err == nil && holds(v)
		})
	}
	buy(0, half)
	view("a record waits, and purchases are counted", func(v deviceworkflow.View) bool {
		return len(v.Records.List) > 0 && v.Delivery.Applied == half
	})
	makeTopics(t, producer, 1, map[string]int32{"states": 1})
	view("no record waits", func(v deviceworkflow.View) bool { return len(v.Records.List) == 0 })
	buy(half, all)
	view("every purchase is counted once, and everything is written", func(v deviceworkflow.View) bool {
		return v.Snapshot.Context()["times"] == float64(all) && v.Delivery.Duplicates == all/2 && v.Runs > 0 && v.Records.Last == 4 && len(v.Records.List) == 0
	})
	readRecords(t, brokers, patienceWithKafka, map[string]int{"states": 2, "levels": 1, "notes": 1, "ends": 1})
	spread(t, s)
	if *record {
		recordRuns(t, s, deviceworkflow.WorkflowID(customer), filepath.Join(historiesDir, "bought"))
		recordRuns(t, s, deviceworkflow.WorkflowID("spread"), filepath.Join(historiesDir, "spread"))
		recordModel(t, root+"/"+levelled.model)
	}
}

// spread has a device with records on more partitions than a workflow keeps logs of bridges, each with an
// id of its sender. They are delivered again, over the end of a run, and some are written
// again by their sender.
func spread(t *testing.T, s *system) {
	t.Helper()
	const name, partitions, each = "spread", 9, 7
	online := map[string]any{"status": "online"}
	var logs []*bridgeLog
	for p := range partitions {
		l := &bridgeLog{t: t, s: s, id: name, name: fmt.Sprintf("topic:%d", p)}
		for n := range each {
			l.record(device.ChannelStatus, online)
			l.messages[n].SenderID = fmt.Sprintf("%016x", each*p+n)
		}
		l.deliver(0)
		logs = append(logs, l)
	}
	eventuallyWithin(t, patienceWithKafka, pollKafka, "spread continued as new", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, name)
		return err == nil && view.Runs > 0 && view.Delivery.Applied == partitions*each
	})
	for _, l := range logs {
		l.deliver(0)
	}
	again := &bridgeLog{t: t, s: s, id: name, name: "topic:9"}
	for n := range 5 {
		again.record(device.ChannelStatus, online)
		again.messages[n].SenderID = fmt.Sprintf("%016x", partitions*each-5+n)
	}
	again.record(device.ChannelTelemetry, map[string]any{"temperature": 95.0})
	again.deliver(0)
	eventuallyWithin(t, patienceWithKafka, pollKafka, "spread applied each record once", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, name)
		return err == nil && view.StateName == "overheated" && view.Delivery.Applied == partitions*each+1 && view.Delivery.Duplicates == partitions*each+5
	})
}
