package bridge

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
)

// starts keeps with which model each device was started, and what was said of it later.
type starts struct {
	mu   sync.Mutex
	with map[string]string
}

func (s *starts) Deliver(_ context.Context, d device.Delivery) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.with[d.ID.Name()] == "" {
		s.with[d.ID.Name()] = fmt.Sprintf("%s %t", d.Model, d.Provisional)
	}
	for _, m := range d.Batch.Messages {
		if m.Model != "" {
			s.with[d.ID.Name()] += " then " + m.Model
		}
	}
	return "run", nil
}

func (s *starts) of(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.with[id]
}

func namedModel(t *testing.T, name string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load(name, []byte("model: "+name+"\nevents: {reading: {channel: telemetry}}\ninitial: on\nstates: {on: {on: {reading: off}}, off: {on: {reading: on}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// At its first start, and at the next ones, a bridge gets the births that a real broker
// has retained, and devices that were born before it are started with their models.
func TestMosquittoRetainsBirths(t *testing.T) {
	broker := startMosquitto(t)
	pump, tank := namedModel(t, "pump"), namedModel(t, "tank")
	p := startPublisher(t, broker.mqtt("devices"))
	publish := func(retained bool, topic, payload string) {
		t.Helper()
		if err := p.Publish(t.Context(), topic, 1, retained, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	const births = 200
	for i := range births {
		publish(true, fmt.Sprintf("devices/tank-%d/status", i), `{"status":"boot","model":"tank"}`)
	}
	for _, retained := range []bool{true, false} {
		t.Run(fmt.Sprint(retained), func(t *testing.T) {
			sink := &starts{with: map[string]string{}}
			cfg := DefaultConfig()
			cfg.ID, cfg.MQTT = fmt.Sprintf("retained-%t", retained), broker.mqtt("")
			cfg.ModelFromBirth, cfg.RetainedBirths = true, retained
			start := func() (*Bridge, func()) {
				return startBridge(t, cfg, Deps{Model: pump, Models: []ingest.Model{tank}, Sink: sink})
			}
			b, stop := start()
			eventually(t, "the retained births are there", func() bool { return b.Metric("ignored_total") >= births })
			publish(false, "devices/tank-7/telemetry", `{"t":1}`)
			publish(false, "devices/other/telemetry", `{"t":1}`)
			eventually(t, "the readings are delivered", func() bool { return sink.of("tank-7") != "" && sink.of("other") != "" })
			want := " true"
			if retained {
				want = tank.Hash() + " false then " + tank.Hash()
			}
			if got := sink.of("tank-7"); got != want {
				t.Errorf("started with %q, want %q", got, want)
			}
			if got := sink.of("other"); got != " true" {
				t.Errorf("one without a birth: started with %q", got)
			}
			if n := b.Metric("retained_models_total"); (n == births) != retained {
				t.Errorf("%v models from retained births", n)
			}
			stop()

			b, stop = start() // of the session that was kept
			defer stop()
			eventually(t, "the retained births are there again", func() bool { return b.Metric("ignored_total") >= births })
			publish(false, "devices/tank-8/telemetry", `{"t":1}`)
			eventually(t, "the reading is delivered", func() bool { return sink.of("tank-8") != "" })
			if got := sink.of("tank-8"); strings.HasPrefix(got, tank.Hash()) != retained {
				t.Errorf("after a restart: started with %q", got)
			}
		})
	}
}
