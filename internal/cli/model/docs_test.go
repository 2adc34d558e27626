package model

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/devicefsm"
	"devicetwin/internal/cli"
	"devicetwin/internal/cli/operator"
)

var update = flag.Bool("update", false, "rewrite what docs/change.md says that its commands print")

var (
	fences   = regexp.MustCompile("(?s)```(console|yaml [^\n]+)\n(.*?)```\n")
	hashText = regexp.MustCompile(`\b([0-9a-f]{12})[0-9a-f]{52}\b`)
)

// What docs/change.md says that its commands print is what they print, in order, of the
// files that it shows: those are written, or were by a command before.
func TestDocumentedChange(t *testing.T) {
	const file = "../../../docs/change.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	serveRegistry(t)
	commands := 0
	played := fences.ReplaceAllStringFunc(string(text), func(block string) string {
		parts := fences.FindStringSubmatch(block)
		what, name, _ := strings.Cut(parts[1], " ")
		body := parts[2]
		switch {
		case what == "console":
			commands += strings.Count(body, "$ ")
			body = playCommands(t, body)
		case name == "filled in":
			fillIn(t, "plan.yaml", body)
		default:
			body = shownFile(t, name, body)
		}
		return "```" + parts[1] + "\n" + body + "```\n"
	})
	if commands < 14 {
		t.Errorf("%d commands", commands)
	}
	if played == string(text) {
		return
	}
	if *update {
		t.Chdir(home)
		if err := os.WriteFile(file, []byte(played), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	was := strings.Split(string(text), "\n")
	for i, line := range strings.Split(played, "\n") {
		if i >= len(was) || was[i] != line {
			t.Fatalf("%s:%d: the commands print something else (go test -update rewrites it):\n%s", file, i+1, line)
		}
	}
	t.Fatalf("%s: the commands print less (go test -update rewrites it)", file)
}

// shorter has the beginning of each hash, as the page does.
func shorter(text string) string { return hashText.ReplaceAllString(text, "$1…") }

// playCommands runs lines such as "$ devicetwin model diff OLD NEW > FILE", and is what a
// terminal shows.
func playCommands(t *testing.T, block string) string {
	t.Helper()
	var shown strings.Builder
	for line := range strings.Lines(block) {
		command, ok := strings.CutPrefix(line, "$ devicetwin model ")
		if !ok {
			if strings.HasPrefix(line, "$") {
				t.Errorf("not a command of this package: %s", line)
			}
			continue
		}
		shown.WriteString(line)
		command, to, redirected := strings.Cut(strings.TrimSpace(command), " > ")
		if strings.HasPrefix(command, "replay --journal journal") {
			documentedJournal(t, "journal", "pump-1.yaml")
		}
		out, errs := runDocumented(words(command))
		if redirected {
			writeFile(t, ".", to, out)
			out = ""
		}
		shown.WriteString(shorter(out + errs))
	}
	return shown.String()
}

// words are the words of a command; a note in quotation marks is one.
func words(command string) (all []string) {
	for n, part := range strings.Split(command, `"`) {
		if n%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}

// runDocumented runs "devicetwin model" with all of its commands.
func runDocumented(args []string) (stdout, stderr string) {
	var grammar struct {
		Model struct {
			Command
			operator.ModelCommands
		} `cmd:""`
	}
	var out, errs bytes.Buffer
	cli.Execute(context.Background(), &grammar, "devicetwin", "", append([]string{"model"}, args...), &out, &errs)
	return out.String(), errs.String()
}

// serveRegistry serves an empty registry, and points the commands there.
func serveRegistry(t *testing.T) {
	t.Helper()
	models := apitest.NewModels()
	models.Read = func(file, source string) (name, kind, hash string, err error) {
		m, err := devicefsm.Check(file, []byte(source))
		if err != nil {
			return "", "", "", err
		}
		return m.Name(), m.Kind().Word(), m.Hash(), nil
	}
	o := api.DefaultOptions()
	o.Backend, o.Models, o.Log, o.Audit = apitest.New(), models, slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler)
	server, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	http := httptest.NewServer(server)
	t.Cleanup(func() { server.Close(); http.Close() })
	t.Setenv("DEVICETWIN_API_URL", http.URL)
}

// documentedJournal writes what five pumps did in an hour, unless it is written.
func documentedJournal(t *testing.T, dir, model string) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		return
	}
	w := newJournal(t, dir, model)
	for i := range 5 {
		p := w.device(fmt.Sprint("pump-", i+1))
		for minute := range 60 {
			p.reading(time.Minute, float64(20+10*i+minute%(30+i)))
		}
	}
	w.close()
}

// shownFile is a file as it is; one that there is not is written as it is shown.
func shownFile(t *testing.T, name, body string) string {
	t.Helper()
	is, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		writeFile(t, ".", name, body)
		return body
	} else if err != nil {
		t.Fatal(err)
	}
	return shorter(string(is))
}

// fillIn puts lines in the place of those that are to be filled in.
func fillIn(t *testing.T, name, lines string) {
	t.Helper()
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	for line := range strings.Lines(lines) {
		key, _, _ := strings.Cut(line, ": ")
		hole := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(key) + ": # FILL IN.*\n")
		if len(hole.FindAllString(text, -1)) != 1 {
			t.Errorf("%s has no hole %q", name, key)
		}
		text = hole.ReplaceAllLiteralString(text, line)
	}
	writeFile(t, ".", name, text)
}
