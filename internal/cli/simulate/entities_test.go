package simulate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/service"
)

// The scenario of models/loyalty.yaml is one of entities, whose records the dialect next to it reads.
func TestLoadEntities(t *testing.T) {
	load := func(model string, change func(*Command)) (*Fleet, error) {
		command := New(service.DefaultConfig())
		command.Model = model
		command.Fleet = FleetConfig{Devices: 10, Rate: 1, Duration: time.Second, ConnectRate: 1, InFlight: 1}
		change(&command)
		return command.plan().fleet.load()
	}
	loyalty := filepath.Join("..", "..", "..", "models", "loyalty.yaml")
	fleet, err := load(loyalty, func(*Command) {})
	if err != nil {
		t.Fatal(err)
	}
	e := fleet.Entities()
	if e == nil || e.Topics["purchases"] != 6 || e.Receivers["levels"] != "loyalty.levels" || e.DeadLetters != "loyalty.dead" || e.Model != loyalty {
		t.Fatalf("entities %+v", e)
	}
	for _, file := range []string{e.Kinds, e.Dialect} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if states := fleet.states(); len(states) < 4 {
		t.Errorf("states %v", states)
	}
	for want, change := range map[string]func(*Command){
		"--kafka-brokers": func(c *Command) { c.Kafka.Brokers = nil },
		"HOST:PORT":       func(c *Command) { c.Kafka.Brokers = []string{"kafka"} },
		"--ledger":        func(c *Command) { c.Fleet.Ledger = "ledger.jsonl" },
		"rate: expected":  func(c *Command) { c.Fleet.Rate = -1 },
		"is for devices": func(c *Command) {
			c.Model, c.Fleet.Scenario = pump, strings.TrimSuffix(loyalty, ".yaml")+".scenario.yaml"
		},
		"prefix: expected": func(c *Command) { c.Fleet.Prefix = "a/b" },
	} {
		if _, err := load(loyalty, change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if devices, err := load(pump, func(*Command) {}); err != nil || devices.Entities() != nil {
		t.Errorf("a fleet of devices has entities, %v", err)
	}
}
