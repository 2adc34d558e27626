package serverstest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/process"
)

// A cluster keeps what it has acknowledged while each of its brokers is killed, and started again.
func TestKafka(t *testing.T) {
	k := Kafka(t, process.NewPortPool(), 2, "offsets.topic.replication.factor=2")
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addresses...), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(t.Context(), 1, 2, nil, "t"); err != nil {
		t.Fatal(err)
	}
	written := 0
	write := func() {
		t.Helper()
		written++
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := client.ProduceSync(ctx, &kgo.Record{Value: fmt.Append(nil, written)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write()
	for i, n := range k.Nodes {
		n.Kill()
		if i > 0 { // else nobody says who leads the partition
			write()
		}
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		write()
		inSync(t, admin)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for read := 0; read < written; {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			t.Fatal(err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			if read++; string(r.Value) != fmt.Sprint(read) {
				t.Errorf("record %d is %s", read, r.Value)
			}
		})
	}
}

// inSync waits until both brokers have all of the partition: without the other one, nobody else could lead it.
func inSync(t *testing.T, admin *kadm.Client) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		topics, err := admin.ListTopics(t.Context(), "t")
		if err == nil && len(topics["t"].Partitions[0].ISR) == 2 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the brokers are not in sync: %v, %v", topics, err)
		}
	}
}
