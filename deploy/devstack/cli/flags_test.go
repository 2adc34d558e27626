package cli

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
	"devicetwin/internal/cli/clitest"
	"devicetwin/internal/cli/devicetwin"
)

// decided are the settings of "devicetwin run" that a stack decides.
var decided = map[string]string{
	"mqtt-url":           "the stack's broker",
	"mqtt-username":      "the broker is in this process, and lets anonymous clients in on loopback",
	"mqtt-password":      "as the user name",
	"mqtt-password-file": "as the user name",
	"mqtt-ca-file":       "no TLS within a process",
	"mqtt-cert-file":     "no TLS within a process",
	"mqtt-key-file":      "no TLS within a process",

	"temporal-address":      "the stack's Temporal",
	"temporal-namespace":    "the stack makes it",
	"temporal-task-queue":   "one worker, one queue",
	"temporal-api-key":      "of Temporal Cloud",
	"temporal-api-key-file": "of Temporal Cloud",
	"temporal-tls":          "no TLS within a process",
	"temporal-ca-file":      "no TLS within a process",
	"temporal-cert-file":    "no TLS within a process",
	"temporal-key-file":     "no TLS within a process",
	"temporal-server-name":  "no TLS within a process",

	"influx-url":        "the stack's InfluxDB",
	"influx-token":      "InfluxDB is in this process",
	"influx-token-file": "InfluxDB is in this process",
	"influx-org":        "of InfluxDB 2",
	"influx-bucket":     "the stack makes it",
	"influx-ca-file":    "no TLS within a process",
	"influx-cert-file":  "no TLS within a process",
	"influx-key-file":   "no TLS within a process",
	"influx-spool":      "in the data folder",

	"worker-credentials":      "in the data folder, which the broker reads",
	"worker-credentials-file": "as worker-credentials",
	"worker-log":              "the bridge is in the same process, and has the log",
	"worker-log-max":          "as worker-log",
	"worker-log-age":          "as worker-log",
	"worker-id":               "the bridge is in the same process, and names its connections",

	"config": "a file of devicetwin has settings that are decided here; devicetwin-standalone has one of its own",
}

// dev, demo and devicetwin-standalone have all settings of "devicetwin run", but
// those that the stack decides.
func TestSettingsAreThoseOfRun(t *testing.T) {
	run, err := devicetwin.FlagsOf("run")
	if err != nil || len(run) < 60 {
		t.Fatalf("%d flags of devicetwin run, %v", len(run), err)
	}
	for name := range decided {
		if !slices.Contains(run, name) {
			t.Errorf("--%s is decided, and is not a flag of devicetwin run", name)
		}
	}
	for command, flags := range map[string][]string{
		"dev": flagsOf(t, newCommandLine(), "dev"), "demo": flagsOf(t, newCommandLine(), "demo"), "run": flagsOf(t, newStandaloneLine(), "run"),
	} {
		for _, name := range run {
			if has := slices.Contains(flags, name); has == (decided[name] != "") && name != "config" {
				t.Errorf("%s: has --%s: %t; decided by the stack: %q", command, name, has, decided[name])
			}
		}
	}
}

func flagsOf(t *testing.T, grammar any, command string) []string {
	t.Helper()
	parser, err := cli.NewParser(grammar, "test", "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return cli.FlagsOf(parser.Model, command)
}

// No command accepts a flag that it does not use.
func TestEveryFlagIsUsed(t *testing.T) {
	model := slices.Clip([]string{"--model=../../../models/pump.yaml"})
	unplanned := clitest.CheckFlags(t, func() any { return newCommandLine() }, map[string][]string{
		"dev": append(model, "--grafana"), "demo": append(model, "--api-listen=127.0.0.1:0"), "serve": {"--only=mqtt,mqtts,temporal,ui,influxdb,grafana,kafka"},
	})
	unplanned = append(unplanned, clitest.CheckFlags(t, func() any { return newStandaloneLine() }, map[string][]string{
		"run": append(model, "--data=d"),
	})...)
	for _, flag := range unplanned {
		command, _, _ := strings.Cut(flag, " ")
		if !slices.Contains([]string{"cert", "chaos", "bench", "version"}, command) {
			t.Errorf("%s: the command has no plan", flag)
		}
	}
}

// devicetwin-standalone runs models that notify and publish, with the settings of
// docs/standalone.md.
func TestStandaloneNotifiesAndPublishes(t *testing.T) {
	docs, err := os.ReadFile("../../../docs/standalone.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(docs), "```yaml\nmodel: pump.yaml\n")
	settings, _, ok := strings.Cut(rest, "```")
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil || !ok {
		t.Fatalf("settings of the docs: %v\n%s", err, settings)
	}
	grammar := newStandaloneLine()
	parser, err := cli.NewParser(grammar, "test", "", io.Discard, io.Discard)
	if err == nil {
		_, err = parser.Parse([]string{"--data=d", "--model=m.yaml", "--config", file, "--mqtt-topic-prefix=site"})
	}
	if err != nil {
		t.Fatal(err)
	}
	plan, err := grammar.Run.settings.plan(servers{mqtt: "mqtt://127.0.0.1:1", temporal: "127.0.0.1:2", influx: "http://127.0.0.1:3", dataDir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if w := plan.Worker; w.Receivers["on_call"] == "" || !slices.Equal(w.Topics, []string{"plant/alarms/{id}"}) || w.Wire.Prefix != "site" {
		t.Errorf("worker %+v", w)
	}
}

// What a device may do at the broker follows the settings of the topics, in each command that has a broker.
func TestAccessFollowsTheSettings(t *testing.T) {
	flags := []string{"--mqtt-topic-prefix=site", "--mqtt-dialect=tasmota", "--mqtt-allow=subscribe news/#"}
	want := []string{"publish tele/{id}/#", "subscribe cmnd/{id}/#", "subscribe news/#"}
	serve, dev, standalone := newCommandLine(), newCommandLine(), newStandaloneLine()
	for _, c := range []struct {
		grammar any
		args    []string
		options func() (stack.Options, error)
	}{
		{serve, []string{"serve"}, func() (stack.Options, error) { return serve.Serve.options() }},
		{dev, []string{"dev"}, func() (stack.Options, error) { return dev.Dev.plan().servers() }},
		{standalone, []string{"--data=d", "--model=m.yaml"}, func() (stack.Options, error) { return standalone.Run.plan().servers() }},
	} {
		parser, err := cli.NewParser(c.grammar, "test", "", io.Discard, io.Discard)
		if err == nil {
			_, err = parser.Parse(append(c.args, flags...))
		}
		if err != nil {
			t.Fatal(err)
		}
		o, err := c.options()
		if err != nil || o.Access.Prefix != "site" || len(o.Access.ShadowTopics) == 0 {
			t.Errorf("%s: %+v, %v", c.args, o.Access, err)
		}
		for _, rule := range want {
			if !slices.Contains(o.Access.Allow, rule) {
				t.Errorf("%s: %q is not among %q", c.args, rule, o.Access.Allow)
			}
		}
	}
}
