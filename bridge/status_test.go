package bridge

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/mqtt"
	"devicetwin/mqtt/mqtttest"
)

func TestBridgeSaysWhetherItIsOnline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.ID, cfg.Partition = "b7", ingest.Partition{Index: 1, Of: 3}
		r := startRig(t, cfg)
		r.deliver("d", 1, false)
		time.Sleep(time.Second)
		r.broker.Last().Lose(mqtt.ErrLost)
		time.Sleep(20 * time.Second)
		r.end()
		log := `,"log":"` + r.lineage + `"}`
		want := []string{
			`bridge/b7/status {"status":"online","at":"2000-01-01T00:00:00Z","partition":"1/3"` + log,
			`bridge/b7/status {"status":"offline","reason":"stopped","at":"2000-01-01T00:00:21Z","partition":"1/3"` + log,
		}
		first, last := r.broker.First().Published(), r.broker.Last().Published()
		if len(first) != 1 || first[0] != want[0] || len(last) != 2 || last[1] != want[1] {
			t.Errorf("first %q, last %q", first, last)
		}
	})
}

// A broker whose answers are behind a full window must not keep the bridge.
func TestUnconfirmedStatusHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig(), mqtttest.Plan{PublishErr: mqtt.ErrLost})
		r.deliver("d", 1, false)
		time.Sleep(time.Second)
		if got := r.acks(); got != "1" {
			t.Errorf("acknowledged %q", got)
		}
		r.end()
	})
}

func TestMosquittoTellsThatTheBridgeIsLost(t *testing.T) {
	m := startMosquitto(t)
	heard := make(chan mqtt.Message, 10)
	listener := m.dial(m.mqtt("listener"), heard)
	defer listener.Close(0)
	if _, err := listener.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := listener.Subscribe(t.Context(), []string{"bridge/+/status"}); err != nil {
		t.Fatal(err)
	}
	var b *Bridge
	expect := func(status, reason string) {
		t.Helper()
		select {
		case d := <-heard:
			var s BridgeStatus
			if err := json.Unmarshal(d.Payload, &s); err != nil || s.Status != status || s.Reason != reason || s.Log != b.lineage || s.Log == "" || d.Topic != "bridge/b7/status" {
				t.Errorf("on %s: %s, expected %s %s", d.Topic, d.Payload, status, reason)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody says %s %s", status, reason)
		}
	}
	cfg := DefaultConfig()
	cfg.ID, cfg.MQTT = "b7", m.mqtt("")
	var stop func()
	b, stop = startBridge(t, cfg, Deps{
		Model: testModel{}, Sink: &workflowModel{seen: make(map[string][]uint64)}, Log: slog.New(slog.DiscardHandler),
	})
	expect("online", "")
	// Another client under its name throws the bridge out. If that client kept the
	// session, Mosquitto would take it for the bridge's next connection.
	other := m.dial(m.mqtt("devicetwin-bridge-b7"), heard)
	if _, err := other.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("offline", "lost")
	other.Close(0)
	expect("online", "")
	stop()
	expect("offline", "stopped")
}

func TestStatusIsNotSubscribedTo(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Subscribe = []string{"bridge/+/status"}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "bridge/bridge/status") {
		t.Errorf("%v", err)
	}
}
