package operator

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"devicetwin/internal/cli"
)

var console = regexp.MustCompile("(?s)```console\n(.*?)```\n")

// What docs/api.md says that its commands print is what they print, of a fleet
// that is created again for each block.
func TestDocumentedCommands(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	const file = "../../../docs/api.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	played := console.ReplaceAllFunc(text, func(block []byte) []byte {
		blocks++
		return playConsole(t, block)
	})
	if blocks < 8 {
		t.Errorf("%d blocks of commands", blocks)
	}
	if bytes.Equal(played, text) {
		return
	}
	if *update {
		if err := os.WriteFile(file, played, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for i, line := range strings.Split(string(played), "\n") {
		if was := strings.Split(string(text), "\n"); i >= len(was) || was[i] != line {
			t.Fatalf("%s:%d: the commands print something else (go test -update rewrites it):\n%s", file, i+1, line)
		}
	}
}

func playConsole(t *testing.T, block []byte) []byte {
	serveFleet(t)
	var out bytes.Buffer
	for line := range strings.Lines(string(console.FindSubmatch(block)[1])) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		out.WriteString(line)
		out.WriteString(playLine(t, command))
	}
	return []byte("```console\n" + out.String() + "```\n")
}

// playLine runs a line in a shell that knows this program as devicetwin.
func playLine(t *testing.T, line string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := "devicetwin() { BE_DEVICETWIN=1 '" + self + "' \"$@\"; }\n" +
		strings.ReplaceAll(line, "http://127.0.0.1:8080", os.Getenv("DEVICETWIN_API_URL"))
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func TestMain(m *testing.M) {
	if os.Getenv("BE_DEVICETWIN") != "" {
		os.Exit(cli.Execute(context.Background(), new(grammar), "devicetwin", "", os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
