package app

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

const pump = "../../../models/pump.yaml"

func run(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = Main(args, &out, &err)
	return status, out.String(), err.String()
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestExitStatuses(t *testing.T) {
	broken := write(t, "broken.yaml", "model: x\ninital: a\nstates: {a: {on: {go: nowhere}}}\n")
	unknown := write(t, "unknown.yaml", "model: x\ninitial: a\nstates: {a: {invoke: {src: fly, onDone: b}}, b: {}}\n")
	for _, tt := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"help", []string{"--help"}, ExitOK, "Usage: devicetwin"},
		{"help of a command", []string{"simulate", "--help"}, ExitOK, "--devices"},
		{"no command", nil, ExitUsage, "expected one of"},
		{"unknown flag", []string{"run", "--mqtt-ulr=x"}, ExitUsage, "mqtt-ulr"},
		{"bad value", []string{"run", "--bridge-window=many"}, ExitUsage, "bridge-window"},
		{"value out of range", []string{"run", "--model", pump, "--bridge-window=0"}, ExitUsage, "window 0: expected 1 to 65535"},
		{"all faults of the settings", []string{"run", "--model", pump, "--mqtt-url=ftp://x", "--worker-run-events=0"}, ExitUsage, "--worker-run-events"},
		{"bad partition", []string{"bridge", "--model", pump, "--bridge-partition=4/3"}, ExitUsage, "INDEX/COUNT such as 1/3"},
		{"no such model", []string{"worker", "--model=none.yaml"}, ExitUsage, "none.yaml"},
		{"broken model", []string{"bridge", "--model", broken}, ExitUsage, `broken.yaml:2:1: unknown key "inital"`},
		{"all faults of it", []string{"model", "check", broken}, ExitUsage, `"nowhere"`},
		{"unknown activity", []string{"worker", "--model", unknown}, ExitUsage, `invokes "fly": no such activity`},
		{"no such scenario", []string{"simulate", "--model", pump, "--scenario=none.yaml"}, ExitUsage, "none.yaml"},
		{"no devices", []string{"simulate", "--model", pump, "--devices=0", "--rate=-1"}, ExitUsage, "rate: expected"},
		{"good model", []string{"model", "check", pump}, ExitOK, "pump"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := run(tt.args...)
			if status != tt.want || !strings.Contains(stdout+stderr, tt.says) {
				t.Errorf("exit status %d, want %d, and to read %q in\n%s%s", status, tt.want, tt.says, stdout, stderr)
			}
		})
	}
}

// The picture in the README is the pump's.
func TestREADMEShowsThePump(t *testing.T) {
	status, graph, stderr := run("model", "graph", pump)
	readme, err := os.ReadFile("../../../README.md")
	if status != ExitOK || err != nil {
		t.Fatalf("exit status %d, %s, %v", status, stderr, err)
	}
	if !strings.Contains(string(readme), strings.TrimSpace(graph)) {
		t.Errorf("the README lacks this picture of models/pump.yaml:\n%s", graph)
	}
}

func TestConfigurationFile(t *testing.T) {
	good := write(t, "good.yaml", "mqtt: {url: [\"tcp://one:1\", \"tcp://two:2\"], topic_prefix: things}\nlog-level: debug\nduration: 1d12h\nbridge:\n  window: 17\nworker:\n  notify: {on_call: \"https://example.org/hook?a=b\"}\n")
	var got struct {
		Config `embed:""`
		Fleet  FleetConfig     `embed:""`
		Bridge BridgeConfig    `embed:"" prefix:"bridge-"`
		Worker WorkerConfig    `embed:"" prefix:"worker-"`
		File   kong.ConfigFlag `name:"config"`
	}
	t.Setenv("DEVICETWIN_BRIDGE_WINDOW", "18")
	parser, err := newParser(&got, "test", "", io.Discard, io.Discard)
	if err == nil {
		_, err = parser.Parse([]string{"--config", good, "--log-level=error"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got.MQTT.URL, " ") != "tcp://one:1 tcp://two:2" || got.MQTT.TopicPrefix != "things" {
		t.Errorf("the file was not taken: %+v", got.MQTT)
	}
	if got.Fleet.Duration != 36*time.Hour {
		t.Errorf("duration %v, want 36h: days are durations in every file", got.Fleet.Duration)
	}
	if got.Worker.Notify["on_call"] != "https://example.org/hook?a=b" {
		t.Errorf("receivers %v", got.Worker.Notify)
	}
	if got.Bridge.Window != 18 || got.Log.Level != "error" {
		t.Errorf("window %d, level %s; want 18 of the environment, error of the flag", got.Bridge.Window, got.Log.Level)
	}
}

func TestConfigurationFaultsComeAtOnce(t *testing.T) {
	bad := write(t, "bad.yaml", "mqtt: {ulr: x}\nbridge-window: many\nlog: {level: loud}\ndrain: soon\n")
	status, _, stderr := run("run", "--config", bad)
	if status != ExitUsage {
		t.Errorf("exit status %d, want %d", status, ExitUsage)
	}
	for _, want := range []string{
		`bad.yaml:1:13: unknown setting "mqtt-ulr"; devicetwin COMMAND --help lists them all (did you mean "mqtt-url"?)`,
		"bad.yaml:2:16: expected an integer, found a string",
		`bad.yaml:3:14: expected one of debug, info, warn, error, found "loud"`,
		`bad.yaml:4:8: expected a duration`,
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("not told: %s\n%s", want, stderr)
		}
	}
}

// withoutServers is a configuration whose servers are all away.
func withoutServers() Config {
	return Config{
		MQTT:     MQTTConfig{URL: []string{"tcp://127.0.0.1:1"}, TopicPrefix: "devices"},
		Temporal: TemporalConfig{Address: "127.0.0.1:1", Namespace: "default", TaskQueue: "devices"},
		Influx:   InfluxConfig{URL: "http://127.0.0.1:1", Bucket: "b"},
		Model:    ModelConfig{Model: pump},
		HTTP:     HTTPConfig{Listen: "127.0.0.1:0"},
	}
}

// startWithoutServers starts bridge and worker while their servers are away.
func startWithoutServers(t *testing.T) *Service {
	t.Helper()
	config := withoutServers()
	service, err := config.StartService(
		&BridgeConfig{ID: "b", MaxPayload: 1000, Window: 10, BatchMessages: 10, SignalsInFlight: 1},
		&WorkerConfig{Credentials: t.TempDir(), RunEvents: 10}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// While its servers are away a service runs, says what it waits for, and ends
// when it is told to.
func TestServiceWithoutServers(t *testing.T) {
	service := startWithoutServers(t)
	for path, want := range map[string]struct {
		status int
		says   []string
	}{
		"/healthz": {http.StatusOK, []string{"ok"}},
		"/readyz":  {http.StatusServiceUnavailable, []string{"temporal: ", "worker: ", "bridge: not connected"}},
		"/metrics": {http.StatusOK, []string{"devicetwin_bridge_connected 0", "go_goroutines"}},
	} {
		response, err := http.Get("http://" + service.HTTPAddr() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want.status {
			t.Errorf("%s: status %d, want %d", path, response.StatusCode, want.status)
		}
		for _, text := range want.says {
			if !strings.Contains(string(body), text) {
				t.Errorf("%s does not say %q:\n%s", path, text, body)
			}
		}
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + service.HTTPAddr() + "/healthz"); err == nil {
		t.Error("still served after the end")
	}
}
