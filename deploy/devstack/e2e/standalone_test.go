package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/cli"
	"devicetwin/deploy/devstack/pki"
	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	twinclient "devicetwin/workflows/client"
)

// standalone is devicetwin-standalone on ports that it keeps over restarts.
type standalone struct {
	t                    *testing.T
	data, model          string
	http, api            string
	mqtt, mqtts          string
	temporal, influx, ui string
}

func newStandalone(t *testing.T) *standalone {
	t.Helper()
	p := func() string { return freePort(t) }
	return &standalone{
		t: t, data: filepath.Join(t.TempDir(), "data"), model: filepath.Join("models", "pump.yaml"),
		http: "127.0.0.1:" + p(), api: "127.0.0.1:" + p(), mqtt: p(), mqtts: p(), temporal: p(), influx: p(), ui: p(),
	}
}

func (s *standalone) args() []string {
	return []string{
		"--data", s.data, "--model", s.model, "--http-listen", s.http, "--api-listen", s.api, "--mqtt-port", s.mqtt, "--mqtt-tls-port", s.mqtts,
		"--temporal-port", s.temporal, "--temporal-ui-port", s.ui, "--influx-port", s.influx, "--worker-run-events", "50",
	}
}

// start returns when it is ready.
func (s *standalone) start() *process.Process {
	s.t.Helper()
	c := background(s.t, cli.StandaloneName, s.args()...)
	deadline := time.Now().Add(time.Minute)
	for {
		if status, _ := get(s.http, "/readyz"); status == 200 {
			return c
		}
		if c.Over() || time.Now().After(deadline) {
			s.t.Fatalf("devicetwin-standalone is not ready (ended: %v)", c.Over())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Everything in one process, killed and started again in the middle of a run:
// nothing that a device has sent is lost, duplicated or reordered.
func TestKilledStandaloneLosesNothing(t *testing.T) {
	s := newStandalone(t)
	running := s.start()
	report := filepath.Join(t.TempDir(), "report.json")
	fleet := background(t, "devicetwin", "simulate", "--mqtt-url", "tcp://127.0.0.1:"+s.mqtt, "--temporal-address", "127.0.0.1:"+s.temporal,
		"--model", "models/pump.yaml", "--devices", "20", "--rate", "4", "--duration", "40s", "--seed", "7", "--report", report)
	for range 3 {
		awaitMetric(t, s.http, process.MetricReceived, 250)
		running.Kill()
		running = s.start()
		if fleet.Over() {
			t.Fatal("the fleet ended before the last kill")
		}
	}
	if err := fleet.Wait(); err != nil {
		t.Errorf("simulate: %v", err)
	}
	expectClean(t, readReport(t, report), 3)
	if rows := queryInflux(t, "http://127.0.0.1:"+s.influx, `SELECT COUNT(temperature) FROM pump`); len(rows) == 0 {
		t.Error("no points are left")
	}

	if err := running.Stop(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	s.expectSecrets()
}

// expectSecrets looks at who may read the files.
func (s *standalone) expectSecrets() {
	s.t.Helper()
	for path, most := range map[string]os.FileMode{"": 0o700, "tls": 0o700, "tls/ca.key": 0o600, "tls/server.key": 0o600, "credentials": 0o700} {
		info, err := os.Stat(filepath.Join(s.data, path))
		if err != nil || info.Mode().Perm()&^most != 0 {
			s.t.Errorf("%s: mode %v, %v; want at most %v", path, info.Mode(), err, most)
		}
	}
}

// The conversation of a user: start, issue a certificate, be a device by TLS;
// and a second process on the same data reports the conflict. A model that was changed
// leaves the devices of the old one alive.
func TestStandaloneByHand(t *testing.T) {
	s := newStandalone(t)
	src, err := os.ReadFile(filepath.Join(root, s.model))
	if err != nil {
		t.Fatal(err)
	}
	s.model = filepath.Join(t.TempDir(), "plant.yaml")
	if err := os.WriteFile(s.model, src, 0o600); err != nil {
		t.Fatal(err)
	}
	running := s.start()

	out, err := program(t, cli.StandaloneName, "cert", "pump-1", "--data", s.data, "--mqtt-tls-port", s.mqtts).CombinedOutput()
	if err != nil {
		t.Fatalf("issue a certificate: %v\n%s", err, out)
	}
	s.tryPrintedCommand(string(out))
	if out, err := program(t, cli.StandaloneName, "cert", "pump-1", "--data", s.data).CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "has a certificate already") {
		t.Errorf("a second certificate: %v\n%s", err, out)
	}
	a, err := pki.Open(filepath.Join(s.data, "tls"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	boot := func(url string) {
		t.Helper()
		pump := connect(t, url, "pump-1", certificate(t, a, a, "pump-1", time.Hour))
		pump.publish("devices/pump-1/status", `{"status":"boot"}`)
		pump.disconnect()
	}
	boot("ssl://127.0.0.1:" + s.mqtts)
	s.awaitState("pump-1", "online")

	second := program(t, cli.StandaloneName, s.args()...)
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "in use by another process") {
		t.Errorf("a second process: %v\n%s", err, out)
	}

	running.Kill()
	changed := bytes.Replace(src, []byte("event.temperature > 90"), []byte("event.temperature > 80"), 1)
	if bytes.Equal(changed, src) {
		t.Fatal("the model has no temperature of 90 to change")
	}
	if err := os.WriteFile(s.model, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	for _, id := range []string{"pump-1", "pump-2"} {
		device := connect(t, "tcp://127.0.0.1:"+s.mqtt, id)
		device.publish("devices/"+id+"/telemetry", `{"temperature":85}`)
	}
	s.awaitState("pump-2", "overheated") // by the new model
	device := connect(t, "tcp://127.0.0.1:"+s.mqtt, "pump-1")
	device.publish("devices/pump-1/telemetry", `{"temperature":95}`)
	s.awaitState("pump-1", "overheated") // by the old one
	if status, body := get(s.api, "/v1/devices/pump-1"); status != 200 || !strings.Contains(body, `"overheated"`) {
		t.Errorf("the API says of pump-1: %d %s", status, body)
	}
}

func (s *standalone) awaitState(id device.ID, state string) {
	s.t.Helper()
	twins := twinclient.New(dialTemporal(s.t, "127.0.0.1:"+s.temporal), stack.Namespace, taskQueue, "")
	eventually(s.t, string(id)+" in state "+state, func(ctx context.Context) bool {
		view, err := twins.Snapshot(ctx, id)
		return err == nil && view.StateName == state
	})
}

// tryPrintedCommand runs the mosquitto_pub that cert printed.
func (s *standalone) tryPrintedCommand(printed string) {
	s.t.Helper()
	if _, err := exec.LookPath("mosquitto_pub"); err != nil {
		s.t.Log("mosquitto_pub is not installed (Debian: mosquitto-clients): what cert printed is not tried")
		return
	}
	i := strings.Index(printed, "mosquitto_pub")
	if i < 0 {
		s.t.Fatalf("no command to try in:\n%s", printed)
	}
	runShell(s.t, exec.Command("sh", "-ec", strings.TrimSpace(printed[i:])))
}

func TestWrongUsageOfStandalone(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{
		{},
		{"--data", data, "--listen", "gateway"},
		{"--data", data, "--keep-points", "1m"},
		{"--data", data, "--http-listen", ""},
		{"--data", data, "--mqtt-tls-cert-file", "server.pem"},
		{"--data", data, "--model", "models/none.yaml"},
		{"cert", "pump-1"},
		{"cert", "pump-1", "--data", data, "--days", "0"},
	} {
		command := program(t, cli.StandaloneName, args...)
		out, _ := command.CombinedOutput()
		if status := command.ProcessState.ExitCode(); status != 2 {
			t.Errorf("devicetwin-standalone %v: exit status %d\n%s", args, status, out)
		}
	}
}
