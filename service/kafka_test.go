package service

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
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

// What docs/kafka.md says of customers is what models/shop has, and a bridge and a worker start with it.
func TestTheShopOfTheKafkaPage(t *testing.T) {
	const shop = "../models/shop"
	page, err := os.ReadFile("../docs/kafka.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop.kinds.yaml", "shop.dialect.yaml"} {
		file, err := os.ReadFile(filepath.Join(shop, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "```yaml\n"+string(file)+"```\n") {
			t.Errorf("the page lacks %s as it is", name)
		}
	}
	c := kafkaWithoutServers(t)
	c.Kafka.Dialect = []string{shop + "/shop.dialect.yaml"}
	c.Model.Model, c.Model.Models, c.Model.Kinds = "", []string{shop}, shop+"/shop.kinds.yaml"
	c.Worker.Credentials = t.TempDir()
	for _, parts := range []Parts{Kafka, Worker} {
		s, err := Start(c, parts, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	plan, err := NewPlan(c, Kafka)
	if err != nil {
		t.Fatal(err)
	}
	records, err := plan.Kafka.records()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ topic, key, value, want string }{
		{"purchases", "4711", `{"amount": 120, "items": 3}`, `customer/4711 purchase map[amount:120]`},
		{"returns", "2026/0815", `{"customer": "4711"}`, `customer/4711 return map[order:2026/0815]`},
		{"purchases", "x-1", `{"amount": 120}`, `customer id "x-1": expected ^(?:[0-9]{4,12})$`},
		{"returns", "1", `{"customer": "12"}`, `customer id "12": expected ^(?:[0-9]{4,12})$`},
	} {
		received, err := records.Decode(records.Name(tt.topic, []byte(tt.key)), []byte(tt.value), false, time.Now())
		got := fmt.Sprint(err)
		if len(received) == 1 {
			received[0].Complete()
			got = fmt.Sprint(received[0].ID, " ", received[0].Message.Name, " ", received[0].Message.Data)
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s %s: %s, want %s", tt.topic, tt.key, got, tt.want)
		}
	}
}
