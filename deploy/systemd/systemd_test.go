// Package systemd holds units; this checks them against the settings that the
// program knows, and with systemd's own words where it is installed.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"devicetwin/internal/cli/devicetwin"
)

// unit is the settings of a unit file, by name, in order.
type unit map[string][]string

func units(t *testing.T) map[string]unit {
	t.Helper()
	files, err := filepath.Glob("*.service")
	if err != nil || len(files) < 3 {
		t.Fatalf("units %q, error %v", files, err)
	}
	all := map[string]unit{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		u := unit{}
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
				u[name] = append(u[name], value)
			}
		}
		all[file] = u
	}
	return all
}

// The command of each unit is one that the program takes, with the settings file
// next to it and secrets where the unit expects them.
func TestCommandsAreKnown(t *testing.T) {
	secrets := t.TempDir()
	for _, name := range []string{"mqtt-password", "influx-token", "api-tokens"} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, u := range units(t) {
		if len(u["ExecStart"]) != 1 {
			t.Fatalf("%s: starts %q", file, u["ExecStart"])
		}
		command := u["ExecStart"][0]
		for _, credential := range u["LoadCredential"] {
			name, _, _ := strings.Cut(credential, ":")
			if !strings.Contains(command, "${CREDENTIALS_DIRECTORY}/"+name) {
				t.Errorf("%s: credential %s is not used", file, name)
			}
		}
		if used := strings.Count(command, "${CREDENTIALS_DIRECTORY}/"); used != len(u["LoadCredential"]) {
			t.Errorf("%s: uses %d credentials, loads %q", file, used, u["LoadCredential"])
		}
		command = strings.NewReplacer("${CREDENTIALS_DIRECTORY}", secrets, "/etc/devicetwin/devicetwin.yaml", "devicetwin.yaml", "%l", "host").Replace(command)
		words := strings.Fields(command)
		if words[0] != "/usr/local/bin/devicetwin" {
			t.Errorf("%s: starts %s", file, words[0])
		}
		if err := devicetwin.CheckArguments(words[1:]); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The logs are in the folder that systemd keeps for the unit, and nobody else can read.
func TestLogsAreInTheStateDirectory(t *testing.T) {
	for _, part := range []string{"bridge", "kafka", "worker"} {
		u := units(t)["devicetwin-"+part+".service"]
		state := "/var/lib/devicetwin-" + part
		if want := " --" + part + "-log=" + state + "/log"; !strings.Contains(u["ExecStart"][0], want+" ") {
			t.Errorf("%s: %q does not contain %q", part, u["ExecStart"], want)
		}
		if len(u["StateDirectory"]) != 1 || "/var/lib/"+u["StateDirectory"][0] != state || u["StateDirectoryMode"][0] != "0700" {
			t.Errorf("%s: folder %q, mode %q", part, u["StateDirectory"], u["StateDirectoryMode"])
		}
	}
}

// What a release with a spool left is in the folder of the log before the program
// starts, once; a log that is there stays.
func TestSpoolBecomesTheLog(t *testing.T) {
	for _, part := range []string{"bridge", "worker"} {
		u := units(t)["devicetwin-"+part+".service"]
		if len(u["ExecStartPre"]) != 1 {
			t.Fatalf("%s: before the start %q", part, u["ExecStartPre"])
		}
		state := t.TempDir()
		script, ok := strings.CutPrefix(u["ExecStartPre"][0], "/bin/sh -c ")
		if !ok {
			t.Fatalf("%s: before the start %q", part, u["ExecStartPre"])
		}
		script = strings.ReplaceAll(strings.Trim(script, "'"), "/var/lib/devicetwin-"+part, state)
		start := func() {
			t.Helper()
			if out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s: %v: %s", part, err, out)
			}
		}
		start() // nothing is there
		old := filepath.Join(state, "spool", "00000000000000000001.spool")
		if err := os.Mkdir(filepath.Dir(old), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(old, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		start()
		start()
		if _, err := os.Stat(filepath.Join(state, "log", filepath.Base(old))); err != nil {
			t.Errorf("%s: the spool is not carried over: %v", part, err)
		}
		if err := os.Mkdir(filepath.Join(state, "spool"), 0o700); err != nil {
			t.Fatal(err)
		}
		start()
		if entries, err := os.ReadDir(filepath.Join(state, "log")); err != nil || len(entries) != 1 {
			t.Errorf("%s: the log has changed: %v, %v", part, entries, err)
		}
	}
}

func TestUnitsAreHardened(t *testing.T) {
	for file, u := range units(t) {
		for name, want := range map[string]string{
			"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateDevices": "yes", "CapabilityBoundingSet": "",
			"RestrictNamespaces": "yes", "MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native", "UMask": "0077",
		} {
			if got := u[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, not %q", file, name, got, want)
			}
		}
		if u["User"] == nil && u["DynamicUser"] == nil {
			t.Errorf("%s runs as root", file)
		}
		if u["Type"] == nil && u["Restart"] == nil {
			t.Errorf("%s is not started again", file)
		}
	}
}

func TestSystemdTakesTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed (Debian package systemd)")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "devicetwin")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file := range units(t) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(dir, file)
		text := strings.ReplaceAll(string(raw), "/usr/local/bin/devicetwin", program) // which has to exist
		text = strings.ReplaceAll(text, "/usr/local/share/doc/devicetwin/operations.md", copied)
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(analyze, "verify", "--man=no", copied).CombinedOutput()
		// It also reports faults of other units of the machine.
		if strings.Contains(string(out), file) || err != nil && len(out) == 0 {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}
