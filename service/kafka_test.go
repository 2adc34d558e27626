package service

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/testfile"
)

const purchases = `
dialect: shop
topics:
  - {topic: "purchases/{id}", channel: events, name: purchase}
`

// kafkaWithoutServers is the configuration of a bridge from Kafka whose servers are all unavailable.
func kafkaWithoutServers(t *testing.T) Config {
	c := withoutServers()
	c.Kafka.Brokers, c.Kafka.Log = []string{"127.0.0.1:1"}, t.TempDir()
	c.Kafka.Dialect = []string{testfile.Write(t, "shop.yaml", purchases)}
	return c
}

// While its servers are unavailable, a bridge from Kafka runs, says what it waits for, and ends when it is
// told to.
func TestKafkaWithoutServers(t *testing.T) {
	service, err := Start(kafkaWithoutServers(t), Kafka, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string][]string{
		"/readyz":  {"temporal: ", "kafka: "},
		"/metrics": {"devicetwin_bridge_kafka_partitions 0", "devicetwin_bridge_received_total 0"},
	} {
		response, err := http.Get("http://" + service.HTTPAddr() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		for _, text := range says {
			if !strings.Contains(string(body), text) {
				t.Errorf("%s: lacks %q:\n%s", path, text, body)
			}
		}
		if strings.Contains(string(body), "publisher") {
			t.Errorf("%s: a bridge from Kafka has no connection to an MQTT broker:\n%s", path, body)
		}
	}
	began := time.Now()
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the end took %v", took)
	}
}

func TestFaultsOfTheKafkaConfiguration(t *testing.T) {
	c := kafkaWithoutServers(t)
	c.Kafka.ID, c.Kafka.SASL, c.Kafka.LogMax, c.Model.Model = "a b", "PLAIN", 1, ""
	c.Kafka.Dialect = append(c.Kafka.Dialect, "nowhere.yaml", testfile.Write(t, "bad.yaml", "dialect: d\ntopics:\n  - {topic: \"a/{id}\", channel: nothing}\n"))
	_, err := NewPlan(c, Kafka)
	for _, part := range []string{`bridge id "a b"`, "PLAIN: expected a user and a password", "log (--kafka-log)", "no model", "nowhere.yaml", `channel "nothing"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v\nlacks %s", err, part)
		}
	}
	c = kafkaWithoutServers(t)
	for what, change := range map[string]func(*Config){
		"no topic is read":           func(c *Config) { c.Kafka.Dialect = nil },
		"it is that of dead letters": func(c *Config) { c.Kafka.DeadLetters = "purchases" },
	} {
		changed := c
		change(&changed)
		if _, err := NewPlan(changed, Kafka); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want %s", err, what)
		}
	}
	if _, err := NewPlan(c, Kafka|Worker); err == nil || !strings.Contains(err.Error(), "a process of its own") {
		t.Errorf("with a worker: %v", err)
	}
	plan, err := NewPlan(c, Kafka)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Process != c.Kafka.ID || plan.Journal.Dir != c.Kafka.Log || len(plan.Dialects) > 0 || plan.Publisher.ClientID != "" {
		t.Errorf("plan %+v", plan)
	}
}
