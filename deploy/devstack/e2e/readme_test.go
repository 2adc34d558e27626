package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/testserver"
)

// The conversation of the README, word by word, with Debian's clients as the
// device.
func TestREADMEConversation(t *testing.T) {
	for _, name := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(name); err != nil {
			testserver.Missing(t, name+" is not installed (Debian: mosquitto-clients)")
		}
	}
	s := startSystem(t, 10_000)
	listen, crash, answer := readmeCommands(t)
	shell := shellAt(t, s.MQTT.Port())

	heard := shell(listen)
	pipe, err := heard.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := heard.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = heard.Process.Kill(); _ = heard.Wait() })
	eventually(t, "the listener is connected", func(context.Context) bool { return s.MQTT.Clients() >= 3 })
	time.Sleep(300 * time.Millisecond) // connected, but no broker reports when it has subscribed

	runShell(t, shell(crash))
	id, password := readCommand(t, pipe)
	runShell(t, shell(strings.NewReplacer("PASSWORD", password, `"ID"`, strconv.Quote(id)).Replace(answer)))
	eventually(t, "the pump is online again", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, "pump-1")
		return err == nil && view.StateName == "online" && view.Delivery.Applied >= 5 && view.Firmware == "1.4.2"
	})

	wrong := shell(strings.Replace(answer, "PASSWORD", "guessed", 1))
	if out, err := wrong.CombinedOutput(); err == nil {
		t.Errorf("a wrong password was accepted: %s", out)
	}
}

// readmeCommands are the shell blocks of the README that talk MQTT, in their order.
func readmeCommands(t *testing.T) (listen, crash, answer string) {
	t.Helper()
	raw, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for i, part := range strings.Split(string(raw), "```") {
		if i%2 == 1 && strings.Contains(part, "mosquitto_") {
			blocks = append(blocks, strings.TrimSpace(part))
		}
	}
	if len(blocks) != 4 { // the last one is tested with the bridge
		t.Fatalf("the README has %d blocks with mosquitto commands, want 4:\n%s", len(blocks), strings.Join(blocks, "\n--\n"))
	}
	return blocks[0], blocks[1], blocks[2]
}

// shellAt makes shells in which the mosquitto clients talk to another port than
// the usual one, which may be taken.
func shellAt(t *testing.T, port int) func(script string) *exec.Cmd {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"mosquitto_pub", "mosquitto_sub"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		script := "#!/bin/sh\nexec " + path + " -p " + strconv.Itoa(port) + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func(script string) *exec.Cmd {
		// exec, so that killing the shell kills what it runs.
		if !strings.Contains(script, "\n") {
			script = "exec " + script
		}
		command := exec.Command("sh", "-ec", script)
		command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		return command
	}
}

func runShell(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// readCommand reads the command that the listener shows: topic, payload.
func readCommand(t *testing.T, pipe interface{ Read([]byte) (int, error) }) (id, password string) {
	t.Helper()
	lines := make(chan []byte, 1)
	go func() {
		line, _ := bufio.NewReader(pipe).ReadBytes('\n')
		lines <- line
	}()
	var line []byte
	select {
	case line = <-lines:
	case <-time.After(patience):
		t.Fatal("no command came")
	}
	topic, payload, _ := bytes.Cut(line, []byte(" "))
	var command struct {
		ID   string
		Name string
		Data struct {
			Credentials struct{ ID, Username, Password string }
			Reason      string
		}
	}
	if err := json.Unmarshal(payload, &command); err != nil {
		t.Fatalf("command %s: %v", line, err)
	}
	c := command.Data.Credentials
	if string(topic) != "devices/pump-1/commands/reprovision" || command.Name != "reprovision" ||
		c.Username != "pump-1" || c.ID != command.ID || command.Data.Reason != "crash_loop" {
		t.Errorf("command %s is not what the README says", line)
	}
	return command.ID, c.Password
}
