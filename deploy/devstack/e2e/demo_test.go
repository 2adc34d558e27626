package e2e

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"devicetwin/deploy/devstack/pki"
)

// The main job, as make demo does it, on a small fleet.
func TestDemo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	out, err := program(t, "devstack", "demo", "--devices", "60", "--duration", "20s", "--seed", "1", "--report", file).CombinedOutput()
	if err != nil {
		t.Fatalf("devstack demo: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "CLEAN") {
		t.Errorf("the output does not say CLEAN:\n%s", out)
	}
	report := readReport(t, file)
	if report.Devices != 60 || report.Sent < 800 {
		t.Errorf("%d devices sent %d messages; want 60, and at least 800", report.Devices, report.Sent)
	}
	expectClean(t, report, 3)
}

// devstack dev prints all addresses, takes a device's message, and ends
// cleanly at Ctrl-C.
func TestDev(t *testing.T) {
	data := t.TempDir()
	command := program(t, "devstack", "dev", "--data-dir", data, "--http-listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0",
		"--mqtt-port", "0", "--mqtt-tls-port", "0", "--temporal-port", "0", "--temporal-ui-port", "0", "--influx-port", "0")
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
	defer kill.Stop()
	addresses := map[string]string{}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), "/workflows/") {
		if name, rest, ok := strings.Cut(strings.TrimSpace(lines.Text()), "  "); ok {
			addresses[name] = strings.Fields(rest)[0]
		}
	}
	for _, name := range []string{"MQTT", "MQTT, TLS", "metrics", "API", "Temporal", "Temporal UI", "InfluxDB"} {
		if addresses[name] == "" {
			t.Errorf("no address of %s: %v", name, addresses)
		}
	}
	pump := connect(t, addresses["MQTT"], "pump-1")
	pump.publish("devices/pump-1/telemetry", `{"temperature": 95.5}`)
	eventually(t, "the point of the message", func(context.Context) bool {
		return len(queryInflux(t, addresses["InfluxDB"], `SELECT temperature FROM pump WHERE device = 'pump-1'`)) == 1
	})
	if kept, err := filepath.Glob(filepath.Join(data, "models", "*", "pump.yaml")); err != nil || len(kept) != 1 {
		t.Errorf("the model that devices started with is not kept: %v %v", kept, err)
	}
	// The same pump with a certificate, from the authority that was made.
	a, err := pki.Open(filepath.Join(data, "tls"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pump = connect(t, addresses["MQTT, TLS"], "pump-1", certificate(t, a, a, "pump-1", time.Hour))
	pump.publish("devices/pump-1/telemetry", `{"temperature": 60.5}`)
	eventually(t, "the point of the message by TLS", func(context.Context) bool {
		return len(queryInflux(t, addresses["InfluxDB"], `SELECT temperature FROM pump WHERE device = 'pump-1'`)) == 2
	})
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := command.Wait(); err != nil {
		t.Errorf("devstack dev after Ctrl-C: %v", err)
	}
}
