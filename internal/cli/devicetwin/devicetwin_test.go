package devicetwin

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"devicetwin/internal/cli"
	"devicetwin/internal/cli/simulate"
	"devicetwin/internal/testfile"
	"devicetwin/service"
)

const pump = "../../../models/pump.yaml"

func run(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = Main(args, &out, &err)
	return status, out.String(), err.String()
}

func TestExitStatuses(t *testing.T) {
	broken := testfile.Write(t, "broken.yaml", "model: x\ninital: a\nstates: {a: {on: {go: nowhere}}}\n")
	plant := testfile.Write(t, "plant.yaml", "dialect: plant\nabsent: n/a\ntopics: [{topic: 'plant/{id}', channel: telemetry, payload: {format: text, numbers: true}}]\n")
	unknown := testfile.Write(t, "unknown.yaml", "model: x\ninitial: a\nstates: {a: {invoke: {src: fly, onDone: b}}, b: {}}\n")
	for _, tt := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"help", []string{"--help"}, cli.ExitOK, "Usage: devicetwin"},
		{"help of a command", []string{"simulate", "--help"}, cli.ExitOK, "--devices"},
		{"no command", nil, cli.ExitUsage, "expected one of"},
		{"unknown flag", []string{"run", "--mqtt-ulr=x"}, cli.ExitUsage, "mqtt-ulr"},
		{"bad value", []string{"run", "--bridge-window=many"}, cli.ExitUsage, "bridge-window"},
		{"value out of range", []string{"run", "--model", pump, "--bridge-window=0"}, cli.ExitUsage, "window 0: expected 1 to 65535"},
		{"all faults of the settings", []string{"run", "--model", pump, "--mqtt-url=ftp://x", "--worker-run-events=0"}, cli.ExitUsage, "--worker-run-events"},
		{"bad partition", []string{"bridge", "--model", pump, "--bridge-partition=4/3"}, cli.ExitUsage, "INDEX/COUNT such as 1/3"},
		{"no such model", []string{"worker", "--model=none.yaml"}, cli.ExitUsage, "none.yaml"},
		{"broken model", []string{"bridge", "--model", broken}, cli.ExitUsage, `broken.yaml:2:1: unknown key "inital"`},
		{"all faults of it", []string{"model", "check", broken}, cli.ExitUsage, `"nowhere"`},
		{"unknown activity", []string{"worker", "--model", unknown}, cli.ExitUsage, `invokes "fly": no such activity`},
		{"no such scenario", []string{"simulate", "--model", pump, "--scenario=none.yaml"}, cli.ExitUsage, "none.yaml"},
		{"no devices", []string{"simulate", "--model", pump, "--devices=0", "--rate=-1"}, cli.ExitUsage, "rate: expected"},
		{"a negative payload", []string{"dialect", "try", plant, "plant/a", "-5.5"}, cli.ExitOK, `{device: a, channel: telemetry, data: {"value":-5.5}}`},
		{"a message that says nothing", []string{"dialect", "try", plant, "plant/a", "n/a"}, cli.ExitFailed, "topic plant/a: plant: says nothing"},
		{"a topic that no dialect reads", []string{"dialect", "try", plant, "b", "1"}, cli.ExitFailed, "topic b: no dialect reads it"},
		{"a topic with a wildcard", []string{"dialect", "try", plant, "plant/#", "1"}, cli.ExitUsage, "without wildcards"},
		{"exit statuses of try", []string{"dialect", "try", "--help"}, cli.ExitOK, "The exit status is 0, 1 if"},
		{"exit statuses of check", []string{"dialect", "check", "--help"}, cli.ExitOK, "The exit status is 0, or 2 if"},
		{"exit statuses of test", []string{"dialect", "test", "--help"}, cli.ExitOK, "1 if a sample has another result"},
		{"a dialect that is not one", []string{"dialect", "check", broken}, cli.ExitUsage, "broken.yaml"},
		{"brokers of other hosts without a secret", []string{"auth", "--auth-listen=0.0.0.0:8095"}, cli.ExitUsage, "--auth-secret-file"},
		{"a bad permission", []string{"auth", "--auth-allow=publish #"}, cli.ExitUsage, `rule "publish #"`},
		{"good model", []string{"model", "check", pump}, cli.ExitOK, "pump"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := run(tt.args...)
			if status != tt.want || !strings.Contains(stdout+stderr, tt.says) {
				t.Errorf("exit status %d, want %d, and to read %q in\n%s%s", status, tt.want, tt.says, stdout, stderr)
			}
		})
	}
}

// A usage error points to the help of the command that was meant.
func TestUsageErrorsPointToTheirCommand(t *testing.T) {
	for _, tt := range []struct {
		args []string
		help string
	}{
		{nil, "devicetwin"},
		{[]string{"--nonsense"}, "devicetwin"},
		{[]string{"nonsense"}, "devicetwin"},
		{[]string{"run", "--nonsense"}, "devicetwin run"},
		{[]string{"devices"}, "devicetwin devices"},
		{[]string{"devices", "nonsense"}, "devicetwin devices"},
		{[]string{"devices", "list", "--limit=many"}, "devicetwin devices list"},
		{[]string{"command", "send", "pump-1"}, "devicetwin command send"},
		{[]string{"command", "send", "pump-1", "reboot", "--ttl", "soon"}, "devicetwin command send"},
		{[]string{"model", "check", "--nonsense"}, "devicetwin model check"},
	} {
		status, _, stderr := run(tt.args...)
		if want := `devicetwin: run "` + tt.help + ` --help" for usage` + "\n"; status != cli.ExitUsage || !strings.HasSuffix(stderr, want) {
			t.Errorf("%q: status %d, %s\nwant %s", tt.args, status, stderr, want)
		}
	}
}

// Durations are read with days, as models have them: of flags, of the environment and
// of the configuration file.
func TestDurationsWithDays(t *testing.T) {
	file := testfile.Write(t, "days.yaml", "bridge: {settled-for: 1d12h}\n")
	t.Setenv("DEVICETWIN_BRIDGE_CLOCK_BEHIND", "30d")
	var got struct {
		service.Config `embed:""`
		File           kong.ConfigFlag `name:"config"`
	}
	got.Config = service.DefaultConfig()
	parser, err := cli.NewParser(&got, "devicetwin", "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--config=" + file, "--bridge-stuck-after=2d"}); err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	if b := got.Bridge; b.SettledFor != 36*time.Hour || b.ClockBehind != 30*day || b.StuckAfter != 2*day {
		t.Errorf("settled for %v, clock behind %v, stuck after %v", b.SettledFor, b.ClockBehind, b.StuckAfter)
	}
	for _, bad := range []string{"1", "-5s", "30days", "NaNd", "36500d2562047h", "1d-1h", ""} {
		_, err := parser.Parse([]string{"--bridge-stuck-after=" + bad})
		if err == nil || !strings.Contains(err.Error(), "such as 90s, 5m, 48h or 30d") || !strings.Contains(err.Error(), "stuck-after") {
			t.Errorf("--bridge-stuck-after=%s: %v", bad, err)
		}
	}
}

// The picture in the README is the pump's.
func TestREADMEShowsThePump(t *testing.T) {
	status, graph, stderr := run("model", "graph", pump)
	readme, err := os.ReadFile("../../../README.md")
	if status != cli.ExitOK || err != nil {
		t.Fatalf("exit status %d, %s, %v", status, stderr, err)
	}
	if !strings.Contains(string(readme), strings.TrimSpace(graph)) {
		t.Errorf("the README lacks this picture of models/pump.yaml:\n%s", graph)
	}
}

func TestConfigurationFile(t *testing.T) {
	good := testfile.Write(t, "good.yaml", "mqtt: {url: [\"tcp://one:1\", \"tcp://two:2\"], topic_prefix: things}\nlog-level: debug\nduration: 1d12h\nbridge:\n  window: 17\nworker:\n  notify: {on_call: \"https://example.org/hook?a=b\"}\n")
	var got struct {
		service.Config `embed:""`
		Fleet          simulate.FleetConfig `embed:""`
		File           kong.ConfigFlag      `name:"config"`
	}
	got.Config = service.DefaultConfig()
	t.Setenv("DEVICETWIN_BRIDGE_WINDOW", "18")
	parser, err := cli.NewParser(&got, "test", "", io.Discard, io.Discard)
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
	bad := testfile.Write(t, "bad.yaml", "mqtt: {ulr: x}\nbridge-window: many\nlog: {level: loud}\ndrain: soon\n")
	status, _, stderr := run("run", "--config", bad)
	if status != cli.ExitUsage {
		t.Errorf("exit status %d, want %d", status, cli.ExitUsage)
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

func TestCompletion(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  []string
	}{
		{[]string{"dev"}, []string{"devices"}},
		{[]string{"devices", ""}, []string{"count", "delete", "get", "list", "migrate", "migration", "record", "watch", "why"}},
		{[]string{"devices", "list", "--api-url", "list", "-o", "j"}, []string{"json"}},
		{[]string{"devices", "list", "--out"}, []string{"--output"}},
		{[]string{"devices", "list", "-o", ""}, []string{"json", "table"}},
		{[]string{"model", "graph", "--format", "m"}, []string{"mermaid"}},
		{[]string{"completion", ""}, []string{"bash", "fish", "zsh"}},
		{[]string{"devices", "get", "pu"}, nil},
		{[]string{"nothing", "like", "--th"}, nil},
		{[]string{"comple"}, []string{"completion"}}, // the other one is for scripts
	} {
		status, stdout, stderr := run(append([]string{"complete"}, tt.words...)...)
		if got := strings.Fields(stdout); status != cli.ExitOK || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q (status %d %s)", tt.words, got, tt.want, status, stderr)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if status, stdout, _ := run("completion", shell); status != cli.ExitOK || !strings.Contains(stdout, "devicetwin complete") {
			t.Errorf("%s: status %d\n%s", shell, status, stdout)
		}
	}
}

func TestAPISettings(t *testing.T) {
	tokens := testfile.Write(t, "tokens", "nonsense\n")
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"--api-listen="}, "expected an address"},
		{[]string{"--api-listen=8080"}, "expected HOST:PORT"},
		{[]string{"--api-listen=:8080"}, "is reachable from other hosts: expected tokens"},
		{[]string{"--api-listen=0.0.0.0:8080"}, "is reachable from other hosts"},
		{[]string{"--api-cert-file=x", "--api-timeout=1ms", "--api-streams=0"}, "and its key (--api-key-file) go together"},
		{[]string{"--api-cert-file=x", "--api-timeout=1ms", "--api-streams=0"}, "streams (--api-streams) 0"},
		{[]string{"--api-oidc-issuer=http://x"}, "audience: expected one"},
		{[]string{"--api-token-file", tokens}, ":1: expected NAME"},
		{[]string{"--api-token-file=none"}, "none"},
		{[]string{"--api-listen=127.0.0.1:0", "--api-cert-file=none", "--api-key-file=none"}, "read the API's certificate"},
		{[]string{"--api-audit=/no/such/folder/audit"}, "--api-audit"},
	} {
		status, _, stderr := run(append([]string{"api", "--http-listen=", "--api-listen=127.0.0.1:0"}, tt.args...)...)
		if status != cli.ExitUsage || !strings.Contains(stderr, tt.says) {
			t.Errorf("%v: status %d, want %d and to read %q:\n%s", tt.args, status, cli.ExitUsage, tt.says, stderr)
		}
	}
}

func TestFaultsOfKeysAreUsage(t *testing.T) {
	bad := testfile.Write(t, "keys", "k1 short\n")
	for _, args := range [][]string{
		{"codec", "serve"},
		{"codec", "serve", "--temporal-keys", bad},
		{"codec", "serve", "--temporal-keys", bad + "-none"},
		{"worker", "--http-listen=", "--model", pump, "--temporal-keys", bad, "--worker-credentials", t.TempDir(), "--model-copies", t.TempDir()},
		{"setup", "--temporal-keys", bad},
	} {
		if status, _, stderr := run(args...); status != cli.ExitUsage || !strings.Contains(stderr, "temporal-keys") {
			t.Errorf("%q: exit status %d: %s", args, status, stderr)
		}
	}
}

func TestFaultsOfTemporalTLSAreUsage(t *testing.T) {
	status, _, stderr := run("worker", "--http-listen=", "--model", pump, "--temporal-ca-file=/none", "--worker-credentials", t.TempDir(), "--model-copies", t.TempDir())
	if status != cli.ExitUsage || !strings.Contains(stderr, "--temporal-ca-file") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}

// A fleet listens only if it is told to: it mostly runs on the machine of a bridge that has the usual port.
func TestSimulateListensOnlyIfToldTo(t *testing.T) {
	grammar := newCommandLine()
	parser, err := cli.NewParser(grammar, "devicetwin", "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for command, listen := range map[string]*service.HTTPConfig{"simulate": &grammar.Simulate.HTTP, "bridge": &grammar.Bridge.HTTP} {
		if _, err := parser.Parse([]string{command, "--model=" + pump}); err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"bridge": "127.0.0.1:8090"}[command]; listen.Listen != want {
			t.Errorf("%s listens at %q; want %q", command, listen.Listen, want)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if status, out, _ := run(args...); status != cli.ExitOK || !strings.HasPrefix(out, "devicetwin ") || !strings.Contains(out, runtime.Version()) {
			t.Errorf("%q: exit status %d, %q", args, status, out)
		}
	}
	var info struct{ Version, Commit, Go string }
	status, out, _ := run("version", "-o", "json")
	if err := json.Unmarshal([]byte(out), &info); err != nil || status != cli.ExitOK || info.Version == "" || info.Go != runtime.Version() {
		t.Errorf("exit status %d, %s, %v", status, out, err)
	}
}
