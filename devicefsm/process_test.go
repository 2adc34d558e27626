package devicefsm

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

const ledgerModel = `
model: ledger
events:
  purchase: {channel: events, name: purchase}
  refund: {channel: events, name: refund}
  reading: {channel: telemetry}
liveness: {silent_after: 1h}
patterns: {two: {sequence: [{event: purchase, times: 2}]}}
windows: {all: {event: "*", aggregate: count, over: 1d}}
process:
  event: [purchase, refund, device.silent]
  where: "!has(event.amount) || event.amount > 0"
  src: call
  to: billing
  input: {amount: event.amount, total: context.total}
  retry: {max_attempts: 3}
context: {total: 0, booked: 0, why: ""}
initial: a
states:
  a:
    on:
      purchase: {actions: [{assign: {total: context.total + event.amount}}]}
      done.process: {actions: [{assign: {booked: event.result.balance}}]}
      error.process: {target: b, actions: [{assign: {why: "event.event + ' ' + string(event.number) + ': ' + event.message"}}]}
  b: {}
`

// eventAt is an event of the device at a time after the start.
func eventAt(after time.Duration, name string, data map[string]any) Event {
	return Event{Name: name, Data: data, Time: t0.Add(after), Arrived: t0.Add(after), Alive: !device.ReservedName(name)}
}

func processed(out Outcome) []Action {
	return slices.DeleteFunc(slices.Clone(out.Actions), func(a Action) bool { return a.Type != ActionProcess })
}

// An event is queued with what the chart made of it, and each with an id of its own.
func TestProcess(t *testing.T) {
	m := load(t, ledgerModel)
	s, _ := m.Start(t0)
	s, out := m.Step(s, eventAt(time.Second, "purchase", map[string]any{"amount": 5.0}))
	got := processed(out)
	if len(got) != 1 || got[0].Name != "purchase" || got[0].Src != "call" || got[0].To != "billing" || got[0].Fault != "" ||
		!reflect.DeepEqual(got[0].Data, map[string]any{"amount": 5.0, "total": 5.0}) || !got[0].At.Equal(t0.Add(time.Second)) {
		t.Errorf("queued %+v", got)
	}
	first := got[0].ID
	s, out = m.Step(s, eventAt(2*time.Second, "purchase", map[string]any{"amount": 7.0}))
	if got := processed(out); len(got) != 1 || got[0].ID == first || got[0].Data["total"] != 12.0 {
		t.Errorf("queued %+v after %s", got, first)
	}
	if !slices.Contains(out.Matched, "two") {
		t.Error("the pattern does not see the event")
	}
	for name, data := range map[string]map[string]any{"refund": {"amount": 0.0}, "reading": {"amount": 1.0}, "two": {"amount": 1.0}} {
		if _, out := m.Step(s, eventAt(3*time.Second, name, data)); len(processed(out)) > 0 {
			t.Errorf("%s %v is queued: %+v", name, data, out.Actions)
		}
	}
	// An event of the service that is named in full; its input cannot be made.
	_, out = m.Step(s, Event{Arrived: t0.Add(2 * time.Hour)})
	if got := processed(out); len(got) != 1 || got[0].Name != device.EventSilent || got[0].Data != nil || !strings.Contains(got[0].Fault, "amount") || len(out.Faults) != 1 {
		t.Errorf("queued %+v, faults %q", got, out.Faults)
	}
}

// The ends are events for the chart, and for nothing else.
func TestProcessEnds(t *testing.T) {
	m := load(t, ledgerModel)
	s, _ := m.Start(t0)
	s, _ = m.Step(s, eventAt(time.Second, "purchase", map[string]any{"amount": 5.0}))
	count := m.Windows(s)[0].Count
	s, _ = m.Step(s, ProcessedEvent("x-1", 1, "purchase", map[string]any{"balance": 95.0}, t0.Add(2*time.Second)).OfService())
	if got := s.Context()["booked"]; got != 95.0 {
		t.Errorf("booked %v", got)
	}
	s, out := m.Step(s, ProcessFailedEvent("x-2", 2, "purchase", "no money", t0.Add(3*time.Second)).OfService())
	if got := s.Context()["why"]; got != "purchase 2: no money" || m.StateName(s) != "b" || len(processed(out)) > 0 {
		t.Errorf("why %v in %s, %+v", got, m.StateName(s), out.Actions)
	}
	if now := m.Windows(s)[0].Count; now != count {
		t.Errorf("the window counts ends: %d after %d", now, count)
	}
}

// A decision of an operator is an event that every model with process has.
func TestTheDecisionOnAProcessedEvent(t *testing.T) {
	m := load(t, `
process: {event: x, src: call, to: y, on_failure: hold}
initial: a
states: {a: {on: {operator.process: {guard: "event.do == 'skip'", target: b}}}, b: {}}
`)
	s, _ := m.Start(t0)
	for do, want := range map[string]string{"retry": "a", "skip": "b"} {
		next, out := m.Step(s, Event{Name: device.EventProcess, Data: map[string]any{"do": do}, Time: t0.Add(time.Second)}.OfService())
		if got := m.StateName(next); got != want || len(out.Faults) > 0 {
			t.Errorf("%s: in %s, want %s; faults %q", do, got, want, out.Faults)
		}
	}
}

// An event that the chart leaves out, and one that ends it, are processed, too.
func TestProcessWhateverTheChartDoes(t *testing.T) {
	m := load(t, `
process: {event: "*", src: call, to: x}
initial: a
states:
  a: {on: {loop: {actions: [{raise: loop}]}, end: z}}
  z: {type: final}
`)
	s, _ := m.Start(t0)
	for _, name := range []string{"loop", "anything", "end"} {
		var out Outcome
		s, out = m.Step(s, eventAt(time.Second, name, map[string]any{"k": name}))
		if got := processed(out); len(got) != 1 || got[0].Name != name || got[0].Data["k"] != name {
			t.Errorf("%s: queued %+v", name, out.Actions)
		}
	}
	if _, out := m.Step(s, eventAt(time.Second, "late", nil)); len(out.Actions) > 0 {
		t.Errorf("after the end: %+v", out.Actions)
	}
}

// What is processed is always relevant and never settled; only its condition divides messages.
func TestProcessedMessagesAreRelevant(t *testing.T) {
	m := load(t, `
events:
  reading: {channel: telemetry, when: has(msg.t)}
process: {event: [reading, "order.*"], where: event.t > 3, src: call, to: x}
initial: a
states: {a: {}}
`)
	reading := func(v float64) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"t": v}}
	}
	order := device.Message{Channel: device.ChannelEvents, Name: "order.new", Data: map[string]any{"t": 4.0}}
	var f Filter
	for range 3 {
		if msg := reading(4); !m.Relevant(msg) || !m.Pass(&f, msg) || m.MayLeaveOut(msg) {
			t.Fatal("an event that is processed is left out")
		}
		if !m.Relevant(order) || !m.Pass(&f, order) {
			t.Fatal("an event that no rule names is left out")
		}
	}
	if msg := reading(2); m.Relevant(msg) || m.Pass(&f, msg) {
		t.Error("a message matters that is not processed")
	}
	if names, all := m.Reads(); !slices.Contains(names, "t") || all {
		t.Errorf("reads %q, all %v", names, all)
	}
	if text := m.RelevanceText(); !strings.Contains(text, "not settled: each of them is processed by call") {
		t.Errorf("relevance:\n%s", text)
	}
	if !m.Takes("order.x") || m.Takes("other") || !m.Processes("reading") || m.Processes("other") || !m.OneByOne() {
		t.Error("the model knows other events than it processes")
	}
}

// A wildcard is for events of the device, and not for the service's own.
func TestProcessWildcards(t *testing.T) {
	m := load(t, `{process: {event: "*", src: call, to: x}, initial: a, states: {a: {}}}`)
	for name, want := range map[string]bool{"a": true, "reading": true, "device.silent": false, "done.process": false, "error.process": false, "operator.reprovision": false} {
		if got := m.Processes(name); got != want {
			t.Errorf("%s is processed: %v", name, got)
		}
	}
}

func TestProcessSettings(t *testing.T) {
	p, ok := load(t, ledgerModel).Process()
	want := DefaultProcess()
	want.MaxAttempts = 3
	if !ok || p != want || want.Queue != 100 || want.Deadline != time.Hour {
		t.Errorf("%+v, %v; want %+v", p, ok, want)
	}
	p, _ = load(t, `
process:
  event: x
  src: other
  attempt_timeout: 5s
  deadline: 2d
  retry: {initial_interval: 2m, backoff: 1.5, max_attempts: 7}
  queue: 1000
  on_failure: hold
initial: a
states: {a: {}}
`).Process()
	if want := (Process{AttemptTimeout: 5 * time.Second, Deadline: 48 * time.Hour, InitialInterval: 2 * time.Minute, Backoff: 1.5, MaxInterval: 2 * time.Minute, MaxAttempts: 7, Queue: 1000, Hold: true}); p != want {
		t.Errorf("%+v; want %+v", p, want)
	}
	if p, _ := load(t, `{process: {event: x, src: y, deadline: 10s}, initial: a, states: {a: {}}}`).Process(); p.AttemptTimeout != 10*time.Second {
		t.Errorf("an attempt of %v in a deadline of 10s", p.AttemptTimeout)
	}
	if _, ok := load(t, `{initial: a, states: {a: {}}}`).Process(); ok {
		t.Error("a model without process has one")
	}
}

// One way to write a time is as good as another; what is called is not.
func TestProcessIsPartOfTheHash(t *testing.T) {
	hash := func(process string) string {
		return load(t, "{process: {event: x, src: y, "+process+"}, initial: a, states: {a: {}}}").Hash()
	}
	if hash("deadline: 60s, retry: {initial_interval: 1000ms}") != hash("deadline: 1m, retry: {initial_interval: 1s}, description: text") {
		t.Error("the hash depends on how a time is written")
	}
	if hash("queue: 10") == hash("queue: 11") || hash("on_failure: hold") == hash("on_failure: continue") {
		t.Error("the hash does not depend on what is processed")
	}
}

// Large events need an input.
func TestProcessBoundsWhatIsQueued(t *testing.T) {
	m := load(t, `{process: {event: x, src: y}, initial: a, states: {a: {}}}`)
	s, _ := m.Start(t0)
	_, out := m.Step(s, eventAt(time.Second, "x", map[string]any{"text": strings.Repeat("a", maxValueSize)}))
	if got := processed(out); len(got) != 1 || got[0].Data != nil || !strings.Contains(got[0].Fault, "input") {
		t.Errorf("queued %+v", got)
	}
}
