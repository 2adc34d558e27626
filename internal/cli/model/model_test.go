package model

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"devicetwin/internal/cli"
)

// runModel runs "devicetwin model" with arguments and standard input.
func runModel(t *testing.T, in string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return runModelOn(t, strings.NewReader(in), args...)
}

func runModelOn(t *testing.T, in io.Reader, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var grammar struct {
		Model Command `cmd:""`
	}
	grammar.Model.Step.In = in
	var out, errs bytes.Buffer
	status = cli.Execute(context.Background(), &grammar, "devicetwin", "", append([]string{"model"}, args...), &out, &errs)
	return status, out.String(), errs.String()
}

func writeFile(t *testing.T, folder, name, text string) string {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

const chart = `{"initial": "off", "context": {"n": 0}, "states": {
  "off": {"on": {"flip": "on", "*": {"actions": {"log": "'any'"}}}},
  "on": {"entry": [{"assign": {"n": "context.n + 1"}}, {"command": {"name": "shine", "ttl": "90s"}}], "after": {"5m": "end"}, "on": {"bad": {"guard": "event.x.y == 1"}}},
  "end": {"type": "final"}
}}`

func TestModelStep(t *testing.T) {
	file := writeFile(t, t.TempDir(), "lamp.json", chart)
	in := `{"event":"nobody <knows>"}
{"event":"flip","time":"2026-11-23T12:00:00Z","data":{"from":"app"}}

{"event":"bad","data":{"x":1}}
{"advance":"4m59s"}
{"done":"nothing","data":{"a":1}}
{"event":"x","time":"2026-11-23T12:05:00+00:00"}
{"error":"nothing","message":"gone"}
`
	want := `{"value":"off","context":{"n":0},"actions":[],"matched":[],"done":false}
{"value":"off","context":{"n":0},"actions":[{"type":"log","id":"log-1","data":{"message":"any"}}],"matched":[],"done":false}
{"value":"on","context":{"n":1},"actions":[{"type":"command","id":"shine-2","name":"shine","ttl":"1m30s"}],"matched":[],"done":false}
{"value":"on","context":{"n":1},"actions":[],"matched":[],"done":false,"faults":["guard \"event.x.y == 1\" of state \"on\": no such key: y"]}
{"value":"on","context":{"n":1},"actions":[],"matched":[],"done":false}
{"value":"on","context":{"n":1},"actions":[],"matched":[],"done":false}
{"value":"end","context":{"n":1},"actions":[],"matched":[],"done":true}
{"value":"end","context":{"n":1},"actions":[],"matched":[],"done":true}
`
	status, out, errs := runModel(t, in, "step", file)
	want = strings.Replace(want, "no such key: y", faultOf(out), 1)
	if status != cli.ExitOK || out != want || errs != "" {
		t.Errorf("status %d\n%s\nwant\n%s\nstderr %s", status, out, want, errs)
	}
}

// TestModelStepSent: an upload of two events, between which the delay was over, and one
// between which it was not.
func TestModelStepSent(t *testing.T) {
	file := writeFile(t, t.TempDir(), "lamp.json", chart)
	for second, want := range map[string]string{"12:01:00": "on", "12:06:00": "end"} {
		in := `{"event":"flip","time":"2026-11-23T15:00:00Z","sent":"2026-11-23T12:00:00Z"}
{"event":"x","time":"2026-11-23T15:00:01Z","sent":"2026-11-23T` + second + `Z"}
`
		status, out, errs := runModel(t, in, "step", file)
		lines := strings.Split(out, "\n")
		if status != cli.ExitOK || len(lines) != 4 || !strings.HasPrefix(lines[2], `{"value":"`+want+`"`) {
			t.Errorf("status %d\n%s\nwant %s at the end\nstderr %s", status, out, want, errs)
		}
	}
}

// faultOf is the text of the fault, which belongs to the expression language.
func faultOf(out string) string {
	_, after, _ := strings.Cut(out, `of state \"on\": `)
	text, _, _ := strings.Cut(after, `"]`)
	return text
}

func TestModelStepPatterns(t *testing.T) {
	in := strings.Repeat(`{"event":"boot","time":"2026-11-23T12:00:00Z"}`+"\n", 3) + `{"event":"fault","time":"2026-11-23T12:01:00Z","data":{"code":117}}
{"done":"reprovision","data":{"credential":"c1"}}
{"advance":"15s"}
{"error":"reprovision-2","message":"no"}
`
	status, out, errs := runModel(t, in, "step", "../../../models/pump.yaml")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != cli.ExitOK || len(lines) != 8 {
		t.Fatalf("status %d, %d lines: %s%s", status, len(lines), out, errs)
	}
	for i, part := range map[int]string{
		0: `{"value":"online"`, 4: `"actions":[{"type":"invoke","id":"reprovision-1","name":"reprovision","data":{"reason":"crash_loop"}}],"matched":["crash_loop"]`,
		5: `{"value":"awaiting_birth"`, 6: `{"value":"reprovisioning"`, 7: `{"value":"quarantined"`,
	} {
		if !strings.Contains(lines[i], part) {
			t.Errorf("line %d: %s\nwant %s", i, lines[i], part)
		}
	}
}

// What is processed one by one ends by the word process, or by the id of the first event; a queue
// that holds stays at the event that has failed.
func TestModelStepProcess(t *testing.T) {
	file := writeFile(t, t.TempDir(), "book.yaml", `
process: {event: book, src: call, to: billing, on_failure: hold}
context: {last: 0}
initial: a
states:
  a: {on: {error.process: b}}
  b: {on: {done.process: a}}
on: {done.process: {actions: [{assign: {last: event.number}}]}}
`)
	in := `{"event":"book","data":{"n":1}}
{"event":"book","data":{"n":2}}
{"error":"process","message":"no"}
{"done":"process-1","data":{"ok":true}}
{"done":"process"}
{"done":"process"}
{"event":"book","data":{"n":3}}
{"event":"book","data":{"n":4}}
{"error":"process","message":"no"}
{"event":"operator.process","data":{"do":"skip"}}
{"done":"process"}
{"event":"book","data":{"n":5}}
{"done":"process"}
`
	status, out, errs := runModel(t, in, "step", file)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != cli.ExitOK || len(lines) != 14 {
		t.Fatalf("status %d, %d lines: %s%s", status, len(lines), out, errs)
	}
	for i, part := range map[int]string{
		1: `"actions":[{"type":"process","id":"process-1","name":"book","data":{"n":1}}]`, 3: `{"value":"b","context":{"last":0}`,
		4: `{"value":"a","context":{"last":0}`, 5: `{"value":"a","context":{"last":2}`, 6: `{"value":"a","context":{"last":2}`,
		9: `{"value":"b","context":{"last":2}`, 11: `{"value":"a","context":{"last":2}`, 13: `{"value":"a","context":{"last":5}`,
	} {
		if !strings.Contains(lines[i], part) {
			t.Errorf("line %d: %s\nwant %s", i, lines[i], part)
		}
	}
}

// TestModelStepOfTheDocs runs the example in docs/models.md: the model, the lines
// in and the lines out are below each other.
func TestModelStepOfTheDocs(t *testing.T) {
	docs, err := os.ReadFile("../../../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(docs), "\n```json in\n")
	if !found {
		t.Fatal("no lines in")
	}
	in, after, _ := strings.Cut(after, "```\n")
	_, after, _ = strings.Cut(after, "```json out\n")
	want, _, _ := strings.Cut(after, "```\n")
	model, _, _ := strings.Cut(before[strings.LastIndex(before, "```yaml\n")+len("```yaml\n"):], "```\n")
	file := writeFile(t, t.TempDir(), "docs.yaml", model)
	if status, out, errs := runModel(t, in, "step", file); status != cli.ExitOK || out != want {
		t.Errorf("status %d\n%swant\n%s%s", status, out, want, errs)
	}
}

// TestModelStepStartTime gives the clock beforehand: what lies before the first
// event's time then passes.
func TestModelStepStartTime(t *testing.T) {
	file := writeFile(t, t.TempDir(), "lamp.json", chart)
	in := `{"event":"flip"}` + "\n" + `{"event":"x","time":"2026-11-23T12:10:00Z"}` + "\n"
	_, out, _ := runModel(t, in, "step", "--start", "2026-11-23T12:00:00Z", file)
	if !strings.Contains(out, `"done":true`) {
		t.Errorf("with a start, ten minutes pass: %s", out)
	}
	_, out, _ = runModel(t, in, "step", file)
	if strings.Contains(out, `"done":true`) {
		t.Errorf("without one, the first time is the time that it is: %s", out)
	}
}

// TestModelStepWindows: each line has what the windows have counted.
func TestModelStepWindows(t *testing.T) {
	file := writeFile(t, t.TempDir(), "count.yaml", `
windows: {n: {event: e, aggregate: count, over: 1m}}
initial: a
states: {a: {on: {n.closed: b}}, b: {on: {e: {guard: windows.n.value > 5, target: a}}}}
`)
	in := `{"event":"e","time":"2026-11-23T12:00:10Z"}
{"event":"e","time":"2026-11-23T12:00:20Z"}
{"advance":"40s"}
{"event":"e","time":"2026-11-23T12:01:05Z","sent":"2026-11-23T12:00:50Z"}
`
	status, out, errs := runModel(t, in, "step", "--start", "2026-11-23T12:00:00Z", file)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != cli.ExitOK || len(lines) != 5 {
		t.Fatalf("status %d, %d lines: %s%s", status, len(lines), out, errs)
	}
	for i, part := range map[int]string{
		0: `"windows":[{"name":"n","aggregate":"count","start":"2026-11-23T12:00:00Z","end":"2026-11-23T12:01:00Z","count":0,"value":0}]`,
		2: `"count":2,"value":2,"closes":"2026-11-23T12:01:00Z"}`, 3: `{"value":"b"`, 4: `"late":1`,
	} {
		if !strings.Contains(lines[i], part) {
			t.Errorf("line %d: %s\nwant %s", i, lines[i], part)
		}
	}
	if !strings.Contains(lines[4], `"faults":["window \"n\": an event came after its window had closed`) {
		t.Errorf("no fault: %s", lines[4])
	}
}

func TestModelStepWritesTheStartBeforeItReads(t *testing.T) {
	file := writeFile(t, t.TempDir(), "lamp.json", chart)
	status, out, errs := runModelOn(t, iotest.ErrReader(io.ErrUnexpectedEOF), "step", file)
	if status != cli.ExitFailed || !strings.HasPrefix(out, `{"value":"off"`) || !strings.Contains(errs, "read input") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
}

func TestModelStepBadLines(t *testing.T) {
	file := writeFile(t, t.TempDir(), "lamp.json", chart)
	for line, want := range map[string]string{
		`{"event":"flip"`:                   "expected a JSON object",
		`nonsense`:                          "expected a JSON object",
		`null`:                              "expected one of",
		`{}`:                                "expected one of",
		`{"event":"flip","advance":"5m"}`:   "expected one of",
		`{"event":"flip"} {"event":"flip"}`: "expected one JSON object",
		`{"event":""}`:                      "is empty",
		`{"event":"flip","time":"noon"}`:    "noon",
		`{"event":"flip","data":[1]}`:       "expected a JSON object",
		`{"event":"flip","dta":{}}`:         `unknown field "dta"`,
		`{"event":"flip","message":"x"}`:    "belongs to",
		`{"advance":"soon"}`:                "expected a duration",
		`{"advance":"-5m"}`:                 "expected a duration",
		`{"advance":"5m","data":{}}`:        "belongs to",
		`{"done":"x","alive":true}`:         "belongs to",
		`{"advance":"5m","sent":"2026-11-23T12:00:00Z"}`: "belongs to",
		`{"event":"flip","sent":"2026-11-23T12:00:00Z"}`: "belongs to",
		`{"event":"` + strings.Repeat("x", 2<<20):        "longer than",
	} {
		status, out, errs := runModel(t, `{"event":"flip"}`+"\n"+line+"\n"+`{"event":"flip"}`+"\n", "step", file)
		if status != cli.ExitFailed || strings.Count(out, "\n") != 2 || !strings.Contains(errs, "input line 2: ") || !strings.Contains(errs, want) {
			t.Errorf("%.60s: status %d, stdout %s, stderr %s, want %q", line, status, out, errs, want)
		}
	}
}

// A model that goes by a calendar needs a date to begin with.
func TestModelStepOfACalendar(t *testing.T) {
	file := writeFile(t, t.TempDir(), "daily.yaml", "zone: Europe/Berlin\nschedules: {daily: {at: \"08:00\"}}\ncontext: {last: \"\"}\ninitial: a\nstates: {a: {on: {daily: {actions: [{assign: {last: event.due}}]}}}}\n")
	if status, out, errs := runModel(t, "", "step", file); status != cli.ExitUsage || out != "" || !strings.Contains(errs, "--start 2026-03-29") {
		t.Errorf("without a start: status %d, stdout %s, stderr %s", status, out, errs)
	}
	status, out, errs := runModel(t, `{"advance":"12h"}`+"\n", "step", "--start", "2026-03-28T20:00:00Z", file)
	if status != cli.ExitOK || !strings.Contains(out, `"last":"2026-03-29T06:00:00Z"`) {
		t.Errorf("status %d, stdout %s, stderr %s", status, out, errs)
	}
}

func TestModelUsage(t *testing.T) {
	folder := t.TempDir()
	broken := writeFile(t, folder, "broken.yaml", "initial: a\nstates: {b: {}}\n")
	good := writeFile(t, folder, "good.yaml", "initial: a\nstates: {a: {}}\n")
	writeFile(t, folder, "wrong.script", "model good.yaml\ntest x\n  state a\nsoon wait\n")
	writeFile(t, folder, "nomodel.script", "test x\n  state a\n")
	for _, args := range [][]string{
		{}, {"step"}, {"step", broken}, {"step", filepath.Join(folder, "none.yaml")}, {"step", "--start", "noon", good},
		{"graph"}, {"graph", broken}, {"graph", "--format", "svg", good}, {"check", broken},
		{"test"}, {"test", broken}, {"test", good}, {"test", filepath.Join(folder, "none.script")},
		{"test", filepath.Join(folder, "wrong.script")}, {"test", filepath.Join(folder, "nomodel.script")},
		{"test", "../../../models/pump.scenario.yaml"},
	} {
		if status, out, errs := runModel(t, "", args...); status != cli.ExitUsage || out != "" || errs == "" {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, status, out, errs)
		}
	}
}

func TestModelCheck(t *testing.T) {
	status, out, errs := runModel(t, "", "check", "../../../models", "../../../models/shop", "../../../models/pump.yaml")
	if status != cli.ExitOK || strings.Count(out, ": ok, ") != 9 || errs != "" {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	file := writeFile(t, t.TempDir(), "odd.yaml", "initial: a\nstates: {a: {}, b: {}}\n")
	status, out, errs = runModel(t, "", "check", "../../../models/pump.yaml", file)
	if status != cli.ExitUsage || out != "" || !strings.Contains(errs, `odd.yaml:2:17: state "b" is never entered`) {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// What a start refuses, a check refuses too.
func TestModelCheckRefusesNamesOfMeasurements(t *testing.T) {
	file := writeFile(t, t.TempDir(), "mine.yaml", "model: bridge\ninitial: a\nstates: {a: {}}\n")
	status, out, errs := runModel(t, "", "check", file)
	if status != cli.ExitUsage || out != "" || !strings.Contains(errs, "mine.yaml: model bridge: the name is that of a measurement of the service itself") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

func TestModelGraph(t *testing.T) {
	for args, want := range map[string]string{
		"graph": "stateDiagram-v2\n", "graph --format mermaid": "stateDiagram-v2\n", "graph --format dot": "digraph \"pump\" {\n",
	} {
		status, out, errs := runModel(t, "", append(strings.Fields(args), "../../../models/pump.yaml")...)
		if status != cli.ExitOK || !strings.HasPrefix(out, want) || errs != "" {
			t.Errorf("%s: status %d, %s%s", args, status, out, errs)
		}
	}
}

func TestModelTestOfTheExamples(t *testing.T) {
	files := []string{"../../../models/pump.yaml", "../../../models/coldchain.script", "../../../models/evcharger.yaml"}
	status, out, errs := runModel(t, "", append([]string{"test"}, files...)...)
	if status != cli.ExitOK || strings.Count(out, ": ok, ") != len(files) || errs != "" {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

func TestModelTestFailsAndUpdates(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, folder, "lamp.json", chart)
	file := writeFile(t, folder, "lamp.script", "test It shines\n  state on\n0s event flip\n  command shine\n+1s done x\n")
	status, out, errs := runModel(t, "", "test", file)
	if status != cli.ExitFailed || !strings.Contains(out, "expected  state on\n        got       state off") || !strings.Contains(errs, "than expected: 3") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	// The activity that does not run cannot be written as an expectation.
	if status, _, errs = runModel(t, "", "test", "--update", file); status != cli.ExitFailed || !strings.Contains(errs, "than expected: 1") {
		t.Errorf("status %d\n%s", status, errs)
	}
	text, err := os.ReadFile(file)
	want := "test It shines\n  state off\n0s event flip\n  state on\n  command shine ttl 1m30s\n+1s done x\n"
	if err != nil || string(text) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, text, want)
	}
}
