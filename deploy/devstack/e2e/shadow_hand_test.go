package e2e

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/testserver"
)

// The conversation of docs/twin.md, word by word: each block of commands is
// followed by what the listener then shows.
func TestShadowConversation(t *testing.T) {
	for _, name := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(name); err != nil {
			testserver.Missing(t, name+" is not installed (Debian: mosquitto-clients)")
		}
	}
	talkByHand(t, startSystem(t, 10_000).Stack)
}

func talkByHand(t *testing.T, s *stack.Stack) {
	listen, turns := twinBlocks(t)
	shell := shellAt(t, s.MQTT.Port())
	heard := shell(listen)
	pipe, err := heard.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	before := s.MQTT.Clients()
	if err := heard.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = heard.Process.Kill(); _ = heard.Wait() })
	eventually(t, "the listener is connected", func(context.Context) bool { return s.MQTT.Clients() > before })
	time.Sleep(300 * time.Millisecond) // connected, but no broker reports when it has subscribed
	lines := readLines(pipe)
	for _, turn := range turns {
		for command := range strings.Lines(turn.commands) {
			runShell(t, shell(strings.TrimSpace(command)))
		}
		for _, want := range turn.shown {
			awaitLine(t, lines, want)
		}
	}
}

// turn is a block of commands and the lines that the listener shows after it.
type turn struct {
	commands string
	shown    []string
}

func twinBlocks(t *testing.T) (listen string, turns []turn) {
	t.Helper()
	raw, err := os.ReadFile(root + "/docs/twin.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(raw), "```") {
		block := strings.TrimSpace(part)
		switch {
		case i%2 == 0:
		case strings.HasPrefix(block, "mosquitto_sub"):
			listen = block
		case strings.HasPrefix(block, "mosquitto_pub"):
			turns = append(turns, turn{commands: block})
		case strings.HasPrefix(block, "$aws/") && len(turns) > 0:
			turns[len(turns)-1].shown = strings.Split(block, "\n")
		}
	}
	if listen == "" || len(turns) != 4 {
		t.Fatalf("docs/twin.md has %d blocks with mosquitto_pub, want 4, and one with mosquitto_sub", len(turns))
	}
	for _, turn := range turns {
		if len(turn.shown) == 0 {
			t.Fatalf("docs/twin.md does not say what is shown after\n%s", turn.commands)
		}
	}
	return listen, turns
}

func readLines(r io.Reader) <-chan string {
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

// awaitLine reads until a line is as the text says, where … stands for anything.
// Others may come before it: the listener hears the requests too. An answer that
// is not in the text is a fault.
func awaitLine(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$")
	wanted, _, _ := strings.Cut(want, " ")
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("the listener ended before it showed\n%s", want)
			}
			if pattern.MatchString(line) {
				return
			}
			topic, _, _ := strings.Cut(line, " ")
			answer := strings.HasSuffix(topic, "/accepted") || strings.HasSuffix(topic, "/rejected") || strings.HasSuffix(topic, "/delta")
			if answer {
				t.Fatalf("the listener shows\n%s\nand, on %s, was to show\n%s", line, wanted, want)
			}
		case <-time.After(patience):
			t.Fatalf("the listener does not show\n%s", want)
		}
	}
}
