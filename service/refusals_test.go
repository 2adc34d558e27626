package service

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"devicetwin/bridge"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/points"
)

// deliveries is a sink that shows what is delivered.
type deliveries chan device.Delivery

func (s deliveries) Deliver(_ context.Context, d device.Delivery) (string, error) {
	s <- d
	return "run", nil
}

// What InfluxDB refuses of a device, and what a point has no room for, becomes a fault
// of that device; the service's own points are not its concern.
func TestRefusedReadingsAreFaultsOfTheirDevice(t *testing.T) {
	influx := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		zipped, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, _ := io.ReadAll(zipped)
		old := strings.Count(string(body), " old=")
		if old == 0 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"partial write: points beyond retention policy dropped=%d"}`, old)
	}))
	t.Cleanup(influx.Close)
	config := points.DefaultConfig()
	config.URL, config.FlushEvery = influx.URL, time.Millisecond
	writer, err := points.NewWriter(config, points.Deps{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	sink := make(deliveries, 16)
	br := startReporting(t, writer, sink)

	wide := strings.Builder{}
	for n := range points.MaxFields + 3 {
		fmt.Fprintf(&wide, `,"f%d":1`, n)
	}
	for _, c := range []struct {
		device, object string
		want           device.Fault
	}{
		{"p1", `{"old":1}`, device.Fault{
			Topic: "telemetry", Reason: device.FaultPoint, Detail: "points beyond retention policy", Value: `old=1`,
		}},
		{"p2", `{` + wide.String()[1:] + `}`, device.Fault{
			Topic: "telemetry", Reason: device.FaultTooManyFields, Detail: "a point has room for", Count: 3,
		}},
		{"p3", `{"text":"` + strings.Repeat("x", points.MaxString+1) + `"}`, device.Fault{
			Topic: "telemetry", Reason: device.FaultPoint, Detail: "field text: a string of ", Value: `"` + strings.Repeat("x", 100),
		}},
	} {
		writer.WritePoint("transitions", map[string]string{"device": c.device, "model": "pump"}, map[string]any{"old": 1.0}, time.Now())
		writer.WriteReading("pump", c.device, []byte(c.object), nil, time.Now())
		select {
		case d := <-sink:
			f := d.Batch.Messages[0].Faults[0]
			if d.Start || string(d.ID) != c.device || len(d.Batch.Messages) != 1 || len(d.Batch.Messages[0].Faults) != 1 {
				t.Errorf("%s: delivered %+v", c.device, d)
			}
			if time.Since(f.At) > time.Minute || f.Topic != c.want.Topic || f.Reason != c.want.Reason || f.Count != c.want.Count ||
				!strings.Contains(f.Detail, c.want.Detail) || !strings.HasPrefix(f.Value, c.want.Value) {
				t.Errorf("%s: reported %+v, want %+v", c.device, f, c.want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: no report", c.device)
		}
	}
	if n := br.Metric("faults_total"); n != 5 {
		t.Errorf("%v faults are counted, want 5", n)
	}
}

// startReporting runs a bridge without a broker, and the writer, whose end it does not
// survive: the writer ends last, as in a service, and is not held up by that.
func startReporting(t *testing.T, writer *points.Writer, sink deliveries) *bridge.Bridge {
	t.Helper()
	model, err := devicefsm.Load("pump.yaml", []byte("id: pump\ninitial: a\nstates: {a: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := bridge.DefaultConfig()
	c.MQTT.Brokers = []string{"tcp://127.0.0.1:1"}
	br, err := bridge.New(c, bridge.Deps{Model: model, Points: writer, Sink: sink, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	reportRefusals(writer, br)
	ended := make(chan struct{})
	writing, stop := context.WithCancel(context.Background())
	go func() { writer.Run(writing); close(ended) }()
	bridging, cancel := context.WithCancel(context.Background())
	closed := make(chan error)
	go func() { closed <- br.Run(bridging) }()
	t.Cleanup(func() {
		cancel()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for range 1000 {
			writer.WriteReading("pump", "p1", []byte(`{"old":1}`), nil, time.Now())
		}
		stop()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Error("the writer does not end")
		}
	})
	return br
}
