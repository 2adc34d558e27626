package simulator

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/internal/testserver"
)

// brokerWorld puts the world behind a real broker: it subscribes to what the
// devices publish, and its links bring commands to them through the broker.
func brokerWorld(t *testing.T, address string, w *world) {
	t.Helper()
	options := mqtt.NewClientOptions().AddBroker(address).SetClientID("world").SetOrderMatters(true)
	client := mqtt.NewClient(options)
	wait := func(token mqtt.Token) {
		t.Helper()
		if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
			t.Fatalf("world: %v", token.Error())
		}
	}
	wait(client.Connect())
	t.Cleanup(func() { client.Disconnect(100) })
	var known sync.Map
	filters := map[string]byte{"devices/#": 1}
	if w.tasmota != nil {
		filters = map[string]byte{"tele/#": 1, "stat/#": 1}
	}
	wait(client.SubscribeMultiple(filters, func(_ mqtt.Client, m mqtt.Message) {
		parts := strings.Split(m.Topic(), "/")
		if len(parts) == 4 && parts[2] == "commands" || strings.Contains(string(m.Payload()), `{"status":"offline"}`) {
			return // a command of ours, or a last will, which has no number
		}
		if _, there := known.LoadOrStore(parts[1], true); !there {
			w.mutex.Lock()
			w.twin(parts[1]).link = &worldLink{receive: func(topic string, payload []byte) { client.Publish(topic, 1, false, payload) }}
			w.mutex.Unlock()
		}
		w.arrive(parts[1], m.Topic(), m.Payload())
	}))
}

// The devices with real connections: sessions, cuts, last wills and repetitions
// through a broker that is not ours.
func TestRunAgainstMosquitto(t *testing.T) {
	t.Parallel()
	runOnBroker(t, func(o *Options, _ *world) { o.Scenario.Churn = Churn{LoseCounter: 0.2} })
}

// Plugs with real connections: their last wills are the same as their goodbyes, and the
// broker publishes them when it likes.
func TestRunOfPlugsAgainstMosquitto(t *testing.T) {
	t.Parallel()
	r := runOnBroker(t, func(o *Options, w *world) {
		plugs(t, 1)(o, w)
		o.Scenario.Churn = Churn{Restart: 0.2}
	})
	if r.AppliedAgain > 0 {
		t.Errorf("%d messages were applied again", r.AppliedAgain)
	}
}

// runOnBroker is a run of six seconds in which devices often go away and are given new
// credentials. Its report must have no violations.
func runOnBroker(t *testing.T, change func(*Options, *world)) Report {
	t.Helper()
	address := testserver.StartMosquitto(t, "allow_anonymous true", "max_queued_messages 0", "log_type error").URL()
	w := newWorld(sabotage{})
	o := testOptions(t, w)
	change(&o, w)
	brokerWorld(t, address, w)
	o.Brokers, o.Devices, o.Rate, o.Duration = []string{address}, 50, 10, 6*time.Second
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	o.Scenario.Answers = []Answer{{Kind: Obey, Weight: 9}, {Kind: ObeyLate, Weight: 1, Delay: Range{100 * time.Millisecond, 300 * time.Millisecond}}}
	o.Scenario.Faults[0].PerMinute = 20
	churn := &o.Scenario.Churn
	churn.PerMinute, churn.Down, churn.Clean = 30, Range{10 * time.Millisecond, 200 * time.Millisecond}, 0.3
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Clean || r.ReprovisionsDone < 10 || r.Reconnects < 50 {
		t.Errorf("not clean, or too little to show: %+v", r)
	}
	return r
}

func TestRunWithoutBroker(t *testing.T) {
	o := testOptions(t, newWorld(sabotage{}))
	o.Brokers = []string{"tcp://127.0.0.1:1"} // nothing listens on port 1
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "connect to broker tcp://127.0.0.1:1") {
		t.Errorf("error is %v", err)
	}
	o.Brokers = []string{"amqp://localhost"}
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "expected tcp://") {
		t.Errorf("error is %v", err)
	}
}
