package cli

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"devicetwin/internal/cli"
	"devicetwin/internal/testfile"
)

// The command that cert prints goes to the port and the topics of the flags, the
// environment or the configuration file.
func TestCertPrintsTheConfiguredPort(t *testing.T) {
	file := testfile.Write(t, "settings.yaml", "mqtt-tls-port: 9443\nmqtt-topic-prefix: plant\n")
	for want, c := range map[string]struct{ args, env []string }{
		"-p 8883 ": {},
		"-p 9001 ": {args: []string{"--mqtt-tls-port=9001"}},
		"-p 9002 ": {env: []string{"DEVICETWIN_MQTT_TLS_PORT", "9002"}},
		"-p 9443 ": {args: []string{"--config", file}},
		"-p PORT ": {args: []string{"--mqtt-tls-port=0"}},
	} {
		if c.env != nil {
			t.Setenv(c.env[0], c.env[1])
		}
		for program, args := range map[string][]string{"devstack": {"cert", "pump-1", "--data-dir"}, StandaloneName: {"cert", "pump-1", "--data"}} {
			if program == "devstack" && slices.Contains(c.args, "--config") {
				continue // it has no configuration file
			}
			var out bytes.Buffer
			args = append(append(args, t.TempDir()), c.args...)
			status := Standalone
			if program == "devstack" {
				status = Main
			}
			if got := status(args, &out, io.Discard); got != cli.ExitOK || !strings.Contains(out.String(), want) {
				t.Errorf("%s %q: status %d, want %s in\n%s", program, args, got, want, out.String())
			}
			if plant := strings.Contains(out.String(), "-t plant/pump-1/status"); plant != (want == "-p 9443 ") {
				t.Errorf("%s %q prints\n%s", program, args, out.String())
			}
		}
		if c.env != nil {
			os.Unsetenv(c.env[0])
		}
	}
}
