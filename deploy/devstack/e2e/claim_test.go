package e2e

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"devicetwin/bridge"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/devicefsm"
	"devicetwin/internal/testlog"
)

// A bridge can read and publish its claim at the broker for development, without a delay,
// and its status names the same log.
func TestABridgeClaimsItsSession(t *testing.T) {
	broker := startBroker(t, stack.Options{})
	model, err := devicefsm.Load("model.yaml", []byte("model: m\ninitial: on\nstates: {on: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	before := ""
	for range 3 {
		var log testlog.Lines
		config := bridge.DefaultConfig()
		config.ID, config.MQTT.Brokers = "b1", []string{broker.URL()}
		b, err := bridge.New(config, bridge.Deps{Model: model, Sink: acceptAll{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- b.Run(ctx) }()
		eventually(t, "the bridge is connected", func(context.Context) bool { return b.Ready() == nil })
		if took := time.Since(began); took > 4*time.Second { // it would give up after 5 s
			t.Errorf("connected after %v", took)
		}
		if log.Count("claim") != 0 {
			t.Errorf("logged: %s", log.String())
		}
		reader := connect(t, broker.URL(), "reader")
		reader.subscribe("bridge/b1/+")
		var claim, status string // the logs that they name
		for claim == "" || status != claim {
			m := reader.next()
			var named bridge.BridgeClaim // a status names its log as a claim does
			if err := json.Unmarshal([]byte(m.payload), &named); err != nil {
				t.Fatal(err)
			}
			if m.topic == "bridge/b1/claim" {
				claim = named.Log
			} else {
				status = named.Log
			}
		}
		if claim == before {
			t.Errorf("%q is claimed again", claim)
		}
		before = claim
		reader.disconnect()
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
