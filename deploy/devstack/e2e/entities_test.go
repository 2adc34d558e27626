package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/simulator"
)

// make demo MODEL=models/loyalty.yaml, for a short time: customers buy, and every count is exact.
func TestDemoOfCustomers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	out, err := program(t, "devstack", "demo", "--model", "models/loyalty.yaml", "--devices", "60", "--rate", "4", "--duration", "20s", "--seed", "1", "--report", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "CLEAN") || !strings.Contains(string(out), "loyalty.levels, loyalty.statements, purchases") {
		t.Fatalf("devstack demo: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r simulator.EntityReport
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if !r.Clean || r.Counted < 500 || r.NotifiedExpected < 30 || r.Copies == 0 || r.Deletions == 0 || r.DeadLetters == 0 || r.Applied != r.Relevant {
		t.Errorf("report %+v", r)
	}
}

// The broker of Kafka keeps what it has, and has the topics that it was asked for.
func TestKafkaOfTheStack(t *testing.T) {
	o := stack.Options{DataDir: t.TempDir(), Parts: []stack.Part{stack.PartKafka}, KafkaTopics: map[string]int{"purchases": 4, "dead": 1}}
	for life, want := range []int{1, 2} {
		s, err := stack.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka.Addr()), kgo.ConsumeTopics("purchases"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "purchases", Key: []byte("1000"), Value: []byte("{}")}).FirstErr(); err != nil {
			t.Errorf("life %d: %v", life, err)
		}
		topics, err := kadm.NewClient(client).ListTopics(t.Context())
		if err != nil || len(topics["purchases"].Partitions) != 4 || len(topics["dead"].Partitions) != 1 {
			t.Errorf("life %d: topics %v, %v", life, topics, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		read := 0
		for read < want && ctx.Err() == nil {
			read += client.PollFetches(ctx).NumRecords()
		}
		cancel()
		if read != want {
			t.Errorf("life %d: %d records, want %d", life, read, want)
		}
		client.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
