package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/cli"
	"devicetwin/internal/testserver"
)

// The conversation of docs/one-by-one.md, word by word: its warehouse, its service, its commands
// and what they print. Times and ids differ.
func TestOneByOneConversation(t *testing.T) {
	for _, name := range []string{"python3", "curl"} {
		if _, err := exec.LookPath(name); err != nil {
			testserver.Missing(t, name+" is not installed")
		}
	}
	raw, err := os.ReadFile(root + "/docs/one-by-one.md")
	if err != nil {
		t.Fatal(err)
	}
	http, api, warehousePort := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t), freePort(t)
	text := strings.ReplaceAll(string(raw), "9099", warehousePort)
	blocks := map[string][]string{}
	for _, b := range regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```\n").FindAllStringSubmatch(text, -1) {
		blocks[b[1]] = append(blocks[b[1]], b[2])
	}
	if len(blocks["python"]) != 1 || len(blocks["sh"]) != 2 || len(blocks["console"]) < 6 || len(blocks["text"]) != 1 {
		t.Fatalf("docs/one-by-one.md has %d, %d, %d and %d blocks", len(blocks["python"]), len(blocks["sh"]), len(blocks["console"]), len(blocks["text"]))
	}

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "warehouse.py"), []byte(blocks["python"][0]), 0o600); err != nil {
		t.Fatal(err)
	}
	printed, err := os.Create(filepath.Join(dir, "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	warehouse := exec.Command("sh", "-c", "exec "+blocks["sh"][0])
	warehouse.Dir, warehouse.Stdout, warehouse.Stderr = dir, printed, printed
	if err := warehouse.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = warehouse.Process.Kill(); _ = warehouse.Wait() })

	words := strings.Fields(blocks["sh"][1])
	data := slices.Index(words, "--data")
	if words[0] != "bin/"+cli.StandaloneName || data < 0 {
		t.Fatalf("the service is started by %q", words)
	}
	words[data+1] = filepath.Join(dir, "data")
	background(t, cli.StandaloneName, append(words[1:], "--http-listen", http, "--api-listen", api, "--mqtt-port", freePort(t), "--mqtt-tls-port", freePort(t),
		"--temporal-port", freePort(t), "--temporal-ui-port", freePort(t), "--influx-port", freePort(t))...)
	awaitReady(t, http)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	say := func(command string) string {
		script := "devicetwin() { " + behaveAs + "=devicetwin '" + self + "' \"$@\"; }\n" + command
		shell := exec.Command("sh", "-c", script)
		shell.Env = append(os.Environ(), "DEVICETWIN_API_URL=http://"+api)
		out, err := shell.CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		return string(out)
	}
	commands := 0
	for _, block := range blocks["console"] {
		for part := range strings.SplitSeq("\n"+block, "\n$ ") {
			command, want, ok := strings.Cut(part, "\n")
			if !ok || strings.TrimSpace(command) == "" {
				continue
			}
			commands++
			want = sameForAll(want)
			if changes(command) {
				if got := sameForAll(say(command)); got != want {
					t.Fatalf("%s\n%s\nwant\n%s", command, got, want)
				}
				continue
			}
			var got string
			if !within(t, time.Minute, func(context.Context) bool { got = sameForAll(say(command)); return got == want }) {
				t.Fatalf("%s\n%s\nwant\n%s", command, got, want)
			}
		}
	}
	if commands < 20 {
		t.Errorf("only %d commands", commands)
	}

	took, err := os.ReadFile(printed.Name())
	if err != nil {
		t.Fatal(err)
	}
	var first []string
	for line := range strings.Lines(string(took)) {
		if strings.HasPrefix(line, "order/1 ") {
			first = append(first, line)
		}
	}
	if got := strings.Join(first, ""); got != blocks["text"][0] {
		t.Errorf("the warehouse printed\n%s\nwant\n%s", got, blocks["text"][0])
	}
}

// changes reports whether a command may be given only once.
func changes(command string) bool {
	return slices.ContainsFunc([]string{"devicetwin events send", "devicetwin process retry", "devicetwin process skip", "curl"}, func(head string) bool {
		return strings.HasPrefix(command, head)
	})
}

// within reports whether a condition holds in time.
func within(t *testing.T, limit time.Duration, condition func(context.Context) bool) bool {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		if condition(t.Context()) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

var (
	anyTime = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z`)
	anyID   = regexp.MustCompile(`[0-9a-f]{12}-process-[0-9a-z]+-\d+`)
	spaces  = regexp.MustCompile(`[ \t]+`)
)

// sameForAll is what is printed, without what differs from run to run.
func sameForAll(text string) string {
	text = anyID.ReplaceAllString(anyTime.ReplaceAllString(text, "TIME"), "ID")
	var lines []string
	for line := range strings.SplitSeq(spaces.ReplaceAllString(text, " "), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
