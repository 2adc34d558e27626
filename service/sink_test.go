package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	deviceworkflow "devicetwin/workflows/device"
)

func TestWhatAWorkerWritesToKafka(t *testing.T) {
	c := withoutServers()
	c.Worker.Credentials = t.TempDir()
	if p, err := NewPlan(c, Worker); err != nil || len(p.Worker.Sink.Client.Brokers) != 0 {
		t.Errorf("without settings: %+v, %v", p.Worker.Sink, err)
	}
	c.Sink.Brokers, c.Sink.Transitions, c.Sink.Commands, c.Sink.Topics = []string{"127.0.0.1:1"}, "moves", "ends", []string{"levels"}
	c.Worker.Notify = map[string]string{"crm": "kafka:notes", "care": "https://example.org"}
	p, err := NewPlan(c, Worker)
	if err != nil {
		t.Fatal(err)
	}
	if want := (deviceworkflow.RecordTopics{Transitions: "moves", Commands: "ends", Published: []string{"levels"}}); !reflect.DeepEqual(p.Worker.Sink.Topics, want) {
		t.Errorf("topics %+v, want %+v", p.Worker.Sink.Topics, want)
	}
	for what, change := range map[string]func(*Config){
		"expected --kafka-brokers":         func(c *Config) { c.Sink.Brokers = nil },
		"settings of Kafka, and no broker": func(c *Config) { *c = withoutServers(); c.Worker.Credentials = t.TempDir(); c.Sink.TLS = true },
		`topic "a b"`:                      func(c *Config) { c.Sink.Topics = []string{"a b"} },
		`topic "a/b"`:                      func(c *Config) { c.Worker.Notify = map[string]string{"crm": "kafka:a/b"} },
		"topics of Kafka [notes]": func(c *Config) {
			*c = withoutServers()
			c.Worker.Credentials = t.TempDir()
			c.Worker.Notify = map[string]string{"crm": "kafka:notes"}
		},
		`broker "nowhere": expected HOST:PORT`:       func(c *Config) { c.Sink.Brokers = []string{"nowhere"} },
		"SCRAM-SHA-256: expected a user and a passw": func(c *Config) { c.Sink.SASL = "SCRAM-SHA-256" },
	} {
		changed := c
		change(&changed)
		if _, err := NewPlan(changed, Worker); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want %s", err, what)
		}
	}
}

// A worker whose Kafka is unavailable runs, and says so when it has something to write.
func TestAWorkerWithoutItsKafka(t *testing.T) {
	c := withoutServers()
	c.Worker.Credentials, c.Sink.Brokers, c.Sink.Transitions = t.TempDir(), []string{"127.0.0.1:1"}, "moves"
	service, err := Start(c, Worker, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get("http://" + service.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if !strings.Contains(string(body), "devicetwin_worker_kafka_records_total 0") {
		t.Errorf("metrics lack the records:\n%s", body)
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	plan, err := NewPlan(c, Worker)
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{log: slog.New(slog.DiscardHandler)}
	sink, err := s.startSink(plan, NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := sink.WriteRecord(ctx, deviceworkflow.KafkaRecord{Topic: "moves", Key: "a", ID: "1"}); err == nil || errors.Is(err, deviceworkflow.ErrRecordRefused) {
		t.Errorf("%v, want an error that is tried again", err)
	}
	if err := sink.producer.Ready(); err == nil {
		t.Error("it is ready")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
