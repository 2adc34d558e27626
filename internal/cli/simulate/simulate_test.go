package simulate

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/cli"
	"devicetwin/internal/testserver"
	"devicetwin/service"
	"devicetwin/simulator"
)

const pump = "../../../models/pump.yaml"

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

// A fleet shows its progress.
func TestFleetMetrics(t *testing.T) {
	metrics := service.NewRegistry()
	figures := newFleetFigures(metrics)
	figures.show(simulator.Progress{Sent: 7, Devices: 3, Connected: 2, Waiting: 1})
	server, err := service.StartHTTP(service.HTTPConfig{Listen: "127.0.0.1:0"}, metrics, nil, slog.New(slog.DiscardHandler))
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
	addr, _ := testserver.FreeAddress(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan int, 1)
	go func() {
		grammar := struct {
			Simulate Command `cmd:""`
		}{New(service.DefaultConfig())}
		defer broker.Close() // also if it ends before it has begun
		ended <- cli.Execute(ctx, &grammar, "devicetwin", "", []string{"simulate", "--model", pump, "--http-listen", addr,
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
	if status := <-ended; status == cli.ExitOK {
		t.Error("a simulation without a broker succeeds")
	}
}

// A model without a scenario next to it: the error says what a scenario is, and where
// to find one.
func TestAMissingScenarioIsExplained(t *testing.T) {
	fleet := FleetConfig{Devices: 1, Scenario: filepath.Join(t.TempDir(), "none.scenario.yaml")}
	_, err := fleet.Load(Servers{}, pump)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v does not say that the file does not exist", err)
	}
	for _, want := range []string{"none.scenario.yaml", "models/pump.scenario.yaml", "simulator/SCENARIO.md", "--scenario"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %s", err, want)
		}
	}
}

// A fleet of another dialect needs no more than its name: model and scenario are those of its
// devices, and the servers hear of it.
func TestFleetOfAnotherDialect(t *testing.T) {
	t.Chdir("../../..") // where the default is
	c := New(service.DefaultConfig())
	config := FleetConfig{Devices: 1, Rate: 1, Duration: time.Minute, ConnectRate: 1, InFlight: 1, Prefix: "p", Dialect: "tasmota"}
	fleet, err := config.Load(c.Servers, "")
	if err != nil {
		t.Fatal(err)
	}
	said := fleet.plan.options.Speech.Voice("p-1", simulator.Identity{}).Noise("")
	if said.Topic != "tele/p-1/SENSOR" || fleet.model.Name() != "plug" || fleet.plan.options.Scenario.Name != "plug" {
		t.Errorf("it speaks on %s, with model %s and scenario %s", said.Topic, fleet.model.Name(), fleet.plan.options.Scenario.Name)
	}
	if got := config.Dialects(); len(got) != 1 || got[0] != "tasmota" {
		t.Errorf("bridge and worker are given %v", got)
	}
	config.Dialect = "zigbee2mqtt"
	if _, err := config.Load(c.Servers, "models/plug.yaml"); err == nil || !strings.Contains(err.Error(), "zigbee2mqtt") {
		t.Errorf("a dialect that no simulated device speaks: %v", err)
	}
}
