package devicetwin

import (
	"io"
	"slices"
	"strings"
	"testing"

	"devicetwin/internal/cli"
	"devicetwin/internal/testfile"
)

func TestSecretsFromFiles(t *testing.T) {
	secret, empty := testfile.Write(t, "secret", "s3cret with spaces \n"), testfile.Write(t, "empty", "\n")
	var grammar *commandLine
	parse := func(args ...string) error {
		grammar = newCommandLine()
		parser, err := cli.NewParser(grammar, "devicetwin", "", io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parser.Parse(args)
		return err
	}
	if err := parse("bridge", "--mqtt-password-file", secret, "--influx-token-file", secret, "--temporal-api-key-file", secret); err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]string{
		"mqtt": grammar.Bridge.MQTT.Password, "influx": grammar.Bridge.Influx.Token, "temporal": grammar.Bridge.Temporal.APIKey,
	} {
		if got != "s3cret with spaces " {
			t.Errorf("%s: got %q", what, got)
		}
	}
	if err := parse("setup", "--temporal-api-key-file", secret); err != nil || grammar.Admin.Setup.Temporal.APIKey != "s3cret with spaces " {
		t.Errorf("setup: got %q, %v", grammar.Admin.Setup.Temporal.APIKey, err)
	}
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"bridge", "--mqtt-password-file", secret, "--mqtt-password=x"}, "expected one of them"},
		{[]string{"bridge", "--mqtt-password-file", empty}, "is empty"},
		{[]string{"bridge", "--influx-token-file", secret + "-none"}, "no such file"},
	} {
		if err := parse(tt.args...); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: got %v, and not %q", tt.args, err, tt.says)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the error contains the secret", tt.args)
		}
	}
}

func TestEnvironmentAndArguments(t *testing.T) {
	names, err := Environment()
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Join(names, " ") + " "
	for _, name := range []string{"DEVICETWIN_MQTT_PASSWORD_FILE", "DEVICETWIN_BRIDGE_ID", "DEVICETWIN_RETENTION", "DEVICETWIN_CONFIG"} {
		if !strings.Contains(known, name+" ") {
			t.Errorf("%s is not among %s", name, known)
		}
	}
	parser, err := cli.NewParser(newCommandLine(), "devicetwin", "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Leaves(true) { // also where another command has a flag of that name, without a variable
		for _, flag := range slices.Concat(command.AllFlags(true)...) {
			for _, name := range flag.Envs {
				if !slices.Contains(names, name) {
					t.Errorf("%s of %s is not known", name, command.Path())
				}
			}
		}
	}
	if err := CheckArguments([]string{"bridge", "--bridge-id=b1"}); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{"bridge", "--worker-id=w"}, {"bridg"}, {"worker", "--worker-run-events=many"}} {
		if CheckArguments(args) == nil {
			t.Errorf("%q has no fault", args)
		}
	}
}
