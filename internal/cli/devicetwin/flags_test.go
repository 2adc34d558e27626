package devicetwin

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"devicetwin/internal/cli"
	"devicetwin/internal/cli/clitest"
	"devicetwin/internal/testfile"
	"devicetwin/service"
)

// No command accepts a flag that it does not use. The flags of the commands that
// have no plan are tried out by the tests of their packages: those of operator by
// a test like this one.
func TestEveryFlagIsUsed(t *testing.T) {
	model, rule := "--model="+pump, "--bridge-model-rule=a=b"
	kinds := filepath.Join(t.TempDir(), "kinds.yaml")
	if err := os.WriteFile(kinds, []byte("kinds: {customer: {source: api}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	spool := "--influx-spool=spool" // a log, by the name that it had
	unplanned := clitest.CheckFlags(t, func() any { return newCommandLine() }, map[string][]string{
		"run": {model, rule, spool, "--worker-journal=journal"}, "bridge": {model, rule, spool}, "worker": {model, spool, "--worker-journal=journal"}, "kafka": {model, "--kafka-log=log", "--kafka-dialect=" + testfile.Write(t, "d.yaml", "dialect: d\ntopics:\n  - {topic: \"purchases/{id}\", channel: events, name: purchase}\n")}, "simulate": {model},
		"api": {"--api-token-file=x", "--kinds=" + kinds}, "auth": {"--auth-secret=x", "--auth-nats-url=nats://x:1", "--auth-nats-seed-file=x"},
	})
	tried := map[string]string{
		"devices": "operator", "desired": "operator", "command": "operator", "events": "operator", "process": "operator",
		"model": "model", "log": "logs", "journal": "logs", "dialect": "dialect", "tap": "tap", "credentials": "credentials", "token": "admin", "codec": "admin", "health": "admin", "version": "version",
	}
	for _, flag := range unplanned {
		command, _, _ := strings.Cut(flag, " ")
		if tried[command] == "" {
			t.Errorf("%s: the command has no plan, and no test of its flags", flag)
		}
	}
	if len(unplanned) < 20 {
		t.Errorf("only %d flags of commands without a plan: are they all found?", len(unplanned))
	}
}

// The defaults of the flags are those of the service.
func TestDefaultsOfTheFlags(t *testing.T) {
	grammar := newCommandLine()
	parser, err := cli.NewParser(grammar, "devicetwin", "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"run"}); err != nil {
		t.Fatal(err)
	}
	if want := service.DefaultConfig(); !reflect.DeepEqual(grammar.Run.Config, want) {
		t.Errorf("parsed\n%+v\nwant\n%+v", grammar.Run.Config, want)
	}
	for _, command := range parser.Model.Leaves(true) {
		for _, flag := range slices.Concat(command.AllFlags(true)...) {
			if strings.Contains(flag.Help, "${") {
				t.Errorf("%s --%s: %s", command.FullPath(), flag.Name, flag.Help)
			}
		}
	}
}
