package diff_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/diff"
	"devicetwin/internal/testfile"
)

func load(t testing.TB, src string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load("model.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const before = `
model: pump
liveness: {silent_after: 5m}
events:
  boot: {channel: status}
  fault: {channel: telemetry, when: "has(msg.code)"}
  reading: {channel: telemetry}
patterns:
  crash_loop: {sequence: [{event: boot, times: 3}, {event: fault, where: "event.code == 117"}], within: 10m}
windows:
  heat: {event: reading, value: event.temperature, aggregate: mean, over: 1h}
context: {attempts: 0, gone: 1}
config: {interval: 10}
initial: online
states:
  online:
    on:
      crash_loop: fixing
      reading: {guard: "event.temperature > 90", target: overheated}
  overheated:
    after: {5m: online}
    on: {crash_loop: fixing}
  fixing:
    entry: {assign: {attempts: "context.attempts + 1"}}
    invoke: {src: reprovision, onDone: online, onError: dead}
    initial: first
    states: {first: {on: {next: second}}, second: {}}
  dead: {}
`

// change is a change of the model, in words, and the lines that say so.
var changes = []struct {
	name, old, new string
	want           []string
}{
	{"threshold", "event.temperature > 90", "event.temperature > 80", []string{
		`~ "online" on reading: [event.temperature > 90] -> "overheated" -> [event.temperature > 80] -> "overheated"`,
	}},
	{"timer", "after: {5m: online}", "after: {10m: online}", []string{`~ "overheated" after 10m: 5m -> 10m`}},
	{"target of a timer", "after: {5m: online}", "after: {10m: dead}", []string{
		`~ "overheated" after 10m: 5m -> 10m`, `~ "overheated" on after 10m: -> "online" -> -> "dead"`,
	}},
	{"timer that is new", "after: {5m: online}", "after: {5m: online, 1h: dead}", []string{
		`+ "overheated" after 1h: 1h`, `+ "overheated" on after 1h: -> "dead"`,
	}},
	{"renamed state", "overheated", "hot", []string{`~ state "overheated" -> "hot" (a guess: they do much the same)`}},
	{"renamed compound state", "fixing", "repairing", []string{
		`~ state "fixing" -> "repairing" (a guess: they do much the same)`,
		`~ state "fixing.first" -> "repairing.first" (a guess: they do much the same)`,
		`~ state "fixing.second" -> "repairing.second" (a guess: they do much the same)`,
	}},
	{"state that is gone", "states: {first: {on: {next: second}}, second: {}}", "states: {first: {}}", []string{
		`- "fixing.second": atomic`, `- "fixing.first" on next: -> "fixing.second"`,
	}},
	{"context", "context: {attempts: 0, gone: 1}", "context: {attempts: 3, limit: 5}", []string{
		"~ attempts: 0 -> 3", "- gone: 1", "+ limit: 5",
	}},
	{"config", "interval: 10", "interval: 20", []string{"~ interval: 10 -> 20"}},
	{"pattern", "within: 10m", "within: 20m", []string{"~ crash_loop.within: 10m -> 20m"}},
	{"step of a pattern", "times: 3", "times: 4", []string{`~ crash_loop.sequence: {"event":"boot","times":3}, `}},
	{"window", "over: 1h", "over: 2h", []string{"~ heat.over: 1h -> 2h"}},
	{"liveness", "silent_after: 5m", "silent_after: 6m", []string{"~ liveness.silent_after: 5m -> 6m"}},
	{"event", `when: "has(msg.code)"`, `when: "has(msg.code) && msg.code > 0"`, []string{"~ fault.when: has(msg.code) -> has(msg.code) && msg.code > 0"}},
	{"order of events", "  fault: {channel: telemetry, when: \"has(msg.code)\"}\n  reading: {channel: telemetry}\n",
		"  reading: {channel: telemetry}\n  fault: {channel: telemetry, when: \"has(msg.code)\"}\n", []string{"> event: order boot, fault, reading -> boot, reading, fault"}},
	{"entry", "context.attempts + 1", "context.attempts + 2", []string{`~ "fixing" entry: assign {attempts: context.attempts + 1} -> assign {attempts: context.attempts + 2}`}},
	{"invocation", "src: reprovision", "src: reboot", []string{`- "fixing" invoke reprovision: input`, `+ "fixing" invoke reboot: input`}},
	{"initial", "initial: first", "initial: second", []string{`~ "fixing" initial: fixing.first -> fixing.second`}},
	{"kind of state", "  dead: {}", "  dead: {type: final}", []string{`~ "dead" kind: atomic -> final`}},
}

func TestChangesAreFound(t *testing.T) {
	old := load(t, before)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(before, c.old) {
				t.Fatalf("the model has no %q", c.old)
			}
			d := diff.Compare(old, load(t, strings.ReplaceAll(before, c.old, c.new)))
			text := d.String()
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("there is no %q in\n%s", want, text)
				}
			}
			if lines := len(d.Changes); c.name != "step of a pattern" && lines != len(c.want) && c.name != "invocation" {
				t.Errorf("%d changes, expected %d:\n%s", lines, len(c.want), text)
			}
			if !d.Differs() || d.Same() {
				t.Error("the models are said to be the same")
			}
		})
	}
}

func TestSpellingIsNoChange(t *testing.T) {
	old := load(t, before)
	for from, to := range map[string]string{
		"5m": "300s", "crash_loop: fixing": "crash_loop: [{target: fixing}]", "model: pump": "# a comment\nmodel:   pump",
		"dead: {}": "dead: {description: it has to be replaced}", "onDone: online": "onDone: {target: online}",
	} {
		d := diff.Compare(old, load(t, strings.ReplaceAll(before, from, to)))
		if d.Differs() {
			t.Errorf("%q for %q:\n%s", to, from, d)
		}
	}
	if d := diff.Compare(old, old); !d.Same() || d.Differs() || !strings.Contains(d.String(), "same version") {
		t.Errorf("a model and itself: %s", d)
	}
}

// A model and itself do not differ, whatever is in it.
func TestModelsOfTheRepository(t *testing.T) {
	for _, file := range testfile.Models(t, "../../models") {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a, err := devicefsm.Load(file, src)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := devicefsm.Load(file, append([]byte("# a comment\n"), src...))
		if d := diff.Compare(a, b); d.Differs() || !d.Same() {
			t.Errorf("%s:\n%s", file, d)
		}
	}
}

// Which messages cost a signal: a reading above the threshold that is now lower did not.
func TestMessagesThatCostASignal(t *testing.T) {
	quiet := `
model: m
events: {reading: {channel: telemetry}}
initial: a
states:
  a: {on: {reading: {guard: "event.x > 90", target: b}}}
  b: {}
`
	d := diff.Compare(load(t, quiet), load(t, strings.Replace(quiet, "> 90", "> 80", 1)))
	found := false
	for _, m := range d.Messages {
		x, _ := m.Data["x"].(float64)
		if x <= 80 || x > 90 {
			t.Errorf("%s", m)
		}
		found = found || m.Costlier() && m.Old.Cost == diff.CostNothing
	}
	if !found {
		t.Errorf("no message costs more:\n%s", d)
	}
	d = diff.Compare(load(t, strings.Replace(quiet, "> 90", "> 80", 1)), load(t, quiet))
	if len(d.Messages) == 0 || d.Messages[0].Costlier() {
		t.Errorf("no message costs less:\n%s", d)
	}
}

func TestStatesThatHaveNothingInCommonAreNotRenamed(t *testing.T) {
	d := diff.Compare(load(t, `{initial: a, states: {a: {on: {x: b}}, b: {entry: {log: "'b'"}, on: {y: a}}}}`),
		load(t, `{initial: a, states: {a: {on: {z: c}}, c: {after: {5m: a}, invoke: {src: work}}}}`))
	if _, ok := d.States["b"]; ok {
		t.Errorf("b became %q:\n%s", d.States["b"].Path, d)
	}
}

func TestJSON(t *testing.T) {
	d := diff.Compare(load(t, before), load(t, strings.ReplaceAll(before, "overheated", "hot")))
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var read diff.Diff
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	if got := read.States["overheated"]; got != (diff.State{Path: "hot", Guess: true}) || len(read.Changes) != 1 || !read.Changes[0].Guess {
		t.Errorf("%s", b)
	}
}
