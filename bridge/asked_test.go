package bridge

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// addressed is the dialect asking, in which devices are reached.
type addressed struct{ asking }

func (a addressed) Decode(topic string, payload []byte, dup bool, at time.Time) ([]wire.Received, error) {
	received, err := a.asking.Decode(topic, payload, dup, at)
	for i := range received {
		received[i].Message.From = &device.Address{Dialect: "own"}
	}
	return received, err
}

// heardBack are the messages that a client got.
type heardBack struct {
	mu     sync.Mutex
	topics []string
}

func (h *heardBack) Publish(_ context.Context, topic string, _ byte, _ bool, _ []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topics = append(h.topics, topic)
	return nil
}

func (h *heardBack) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.topics, " ")
}

// A bridge without a session asks all devices, and a device after its birth; one whose
// session was kept knows what was published meanwhile.
func TestMosquittoDevicesAreAsked(t *testing.T) {
	broker := startMosquitto(t)
	p := startPublisher(t, broker.mqtt("devices"))
	standard, err := Deps{}.dialect(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.ID, cfg.MQTT = "asks", broker.mqtt("")
	asked, sink := &heardBack{}, &starts{with: map[string]string{}}
	start := func() (*Bridge, func()) {
		return startBridge(t, cfg, Deps{Model: namedModel(t, "pump"), Sink: sink, Dialect: addressed{asking{standard}}, Questions: asked})
	}
	b, stop := start()
	eventually(t, "all are asked", func() bool { return asked.all() == "all/ask" })
	if err := p.Publish(t.Context(), "devices/d1/status", 1, true, []byte(`{"status":"online"}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device is asked", func() bool { return b.Metric("questions_total") == 3 })
	if got := asked.all(); !strings.HasPrefix(got, "all/ask ") || strings.Count(got, "own/d1/ask") != 1 || strings.Count(got, "second") != 1 {
		t.Errorf("asked %s", got)
	}
	stop()
	b, stop = start()
	defer stop()
	eventually(t, "the retained birth is there again", func() bool { return b.Metric("ignored_total") >= 1 })
	if err := p.Publish(t.Context(), "devices/d2/status", 1, false, []byte(`{"status":"online"}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another device is asked", func() bool { return b.Metric("questions_total") == 2 })
	if got := asked.all(); strings.Count(got, "all/ask") != 1 || strings.Count(got, "own/d1/ask") != 1 || strings.Count(got, "own/d2/ask") != 1 {
		t.Errorf("asked %s after the session was kept", got)
	}
}
