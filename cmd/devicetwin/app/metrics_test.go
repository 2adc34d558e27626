package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"devicetwin/simulator"
)

func get(t *testing.T, addr, path string) string {
	t.Helper()
	response, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A process shows on one page what the bridge counts and what the Temporal client
// counts, with names and units as Prometheus has them, and buckets for seconds.
func TestMetricsOfAllParts(t *testing.T) {
	service := startWithoutServers(t)
	defer service.Close()
	get(t, service.HTTPAddr(), "/readyz") // asks Temporal, which is away
	page := get(t, service.HTTPAddr(), "/metrics")
	for _, want := range []string{
		"\ndevicetwin_bridge_connected 0\n",
		"\ndevicetwin_influx_points_dropped_total 0\n",
		"\n# TYPE temporal_request_total counter\n",
		"\n# TYPE temporal_request_failure_total counter\n",
		"\n# TYPE temporal_request_latency_seconds histogram\n",
		`le="0.001"}`,
		"\ngo_goroutines ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics lack %q:\n%s", want, page)
		}
	}
	for _, no := range []string{"otel_scope", "target_info"} {
		if strings.Contains(page, no) {
			t.Errorf("the metrics have %s", no)
		}
	}
}

// A fleet shows its progress, and listens only if it is told to: it mostly runs
// beside a bridge that has the usual port.
func TestFleetMetrics(t *testing.T) {
	var cli commandLine
	parser, err := newParser(&cli, "devicetwin", "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for command, listen := range map[string]*HTTPConfig{"simulate": &cli.Simulate.HTTP, "bridge": &cli.Bridge.HTTP} {
		if _, err := parser.Parse([]string{command}); err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"bridge": "127.0.0.1:8090"}[command]; listen.Listen != want {
			t.Errorf("%s listens at %q; want %q", command, listen.Listen, want)
		}
	}
	metrics := newRegistry()
	figures := newFleetFigures(metrics)
	figures.show(simulator.Progress{Sent: 7, Devices: 3, Connected: 2, Waiting: 1})
	server, err := startHTTP(HTTPConfig{Listen: "127.0.0.1:0"}, metrics, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close(t.Context())
	page := get(t, server.Addr(), "/metrics")
	for _, want := range []string{"sent_total 7", "devices 3", "devices_connected 2", "devices_waiting 1", "reprovisions_total 0"} {
		if !strings.Contains(page, "\ndevicetwin_simulator_"+want+"\n") {
			t.Errorf("the metrics lack %s:\n%s", want, page)
		}
	}
}

// The metrics of a simulation are there while it runs, and its client's too.
func TestSimulateServesMetrics(t *testing.T) {
	broker, err := net.Listen("tcp", "127.0.0.1:0") // says nothing, so that the fleet waits
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan int, 1)
	go func() {
		var cli commandLine
		ended <- Execute(ctx, &cli, "devicetwin", "", []string{"simulate", "--model", pump, "--http-listen", addr,
			"--mqtt-url", "tcp://" + broker.Addr().String(), "--temporal-address", "127.0.0.1:1"}, io.Discard, io.Discard)
	}()
	conn, err := broker.Accept() // the fleet has begun
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if page := get(t, addr, "/metrics"); !strings.Contains(page, "devicetwin_simulator_sent_total 0") {
		t.Errorf("no figures of the fleet:\n%s", page)
	}
	cancel()
	conn.Close()
	if status := <-ended; status == ExitOK {
		t.Error("a simulation without a broker succeeds")
	}
}

// Profiles are served only where they are asked for.
func TestProfiles(t *testing.T) {
	for _, profile := range []bool{false, true} {
		server, err := startHTTP(HTTPConfig{Listen: "127.0.0.1:0", Profile: profile}, newRegistry(), nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close(t.Context())
		response, err := http.Get("http://" + server.Addr() + "/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(body), "# HeapAlloc = "); got != profile {
			t.Errorf("with profiles %t: %s, and a profile: %t", profile, response.Status, got)
		}
	}
}
