package script

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar/zonedata"
	"devicetwin/source"
)

// Report is what a run found.
type Report struct {
	File     string
	Tests    int
	Inputs   int // lines of input
	Failures []Failure
}

// Failure is an input after which something happened that was not expected, or
// something expected did not.
type Failure struct {
	Line  int    // of the input
	Text  string // of the input
	Test  string
	At    time.Duration // since the start of the test
	Event string        // what the message became; empty for other inputs
	Diffs []Diff

	step *Step
	got  found
}

// Diff is one thing that differs, each side as lines of a script.
type Diff struct {
	Line      int // of the expectation, or of the input if there is none
	Want, Got []string
}

// OK reports whether everything was as expected.
func (r *Report) OK() bool { return len(r.Failures) == 0 }

// String describes the failures for people to read; "" if there is none.
func (r *Report) String() string {
	var b strings.Builder
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "%s:%d: %s\n", r.File, f.Line, f.Text)
		fmt.Fprintf(&b, "    in test %q, at %s", f.Test, source.FormatDuration(f.At))
		switch f.Event {
		case "":
		case noEvent:
			b.WriteString("; by the rules of the model this message is not an event")
		default:
			fmt.Fprintf(&b, "; by the rules of the model this message is event %q", f.Event)
		}
		b.WriteByte('\n')
		for _, d := range f.Diffs {
			fmt.Fprintf(&b, "    line %d:\n", d.Line)
			writeSide(&b, "expected", d.Want)
			writeSide(&b, "got", d.Got)
		}
	}
	return b.String()
}

func writeSide(b *strings.Builder, name string, lines []string) {
	for i, text := range lines {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(b, "        %-8s  %s\n", name, text)
	}
}

// noEvent is Failure.Event of a message that no rule makes an event.
const noEvent = "(none)"

// start is when tests begin that do not say it.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Run plays every test on a new device.
func (s *Script) Run(m *devicefsm.Model) *Report {
	r := &Report{File: s.File, Tests: len(s.Tests)}
	for _, t := range s.Tests {
		d := &player{model: m, most: maxDue, start: t.startTime()}
		for _, step := range t.Steps {
			if step.input.kind != inputStart {
				r.Inputs++
			}
			got := d.play(step)
			if diffs := got.compare(step); len(diffs) > 0 {
				r.Failures = append(r.Failures, Failure{
					Line: step.Line, Text: step.Text, Test: t.Name, At: step.At, Event: got.event, Diffs: diffs, step: step, got: got,
				})
			}
		}
	}
	return r
}

func (t *Test) startTime() time.Time {
	if t.Start.IsZero() {
		return start
	}
	return t.Start
}

// found is what happened on an input.
type found struct {
	matched []string
	actions []devicefsm.Action
	faults  []string
	moved   bool
	state   string
	context map[string]any
	windows map[string]map[string]any
	event   string
	problem string // why the input could not be played
}

// player is the device of a test.
type player struct {
	model    *devicefsm.Model
	snapshot *devicefsm.Snapshot
	found    found
	most     int // timers that may be due between two lines
	start    time.Time
	queue    []devicefsm.Action // events that wait to be processed
	number   uint64             // of those that were
}

const (
	// maxFound bounds the actions, matches and faults of one line, which has to
	// name them all.
	maxFound = 1000
	// maxDue bounds the timers that are due between two lines.
	maxDue = 1_000_000
)

func (d *player) play(s *Step) found {
	d.found = found{}
	switch s.input.kind {
	case inputStart:
		zones, err := zonedata.Record(d.model.Zones(), d.start)
		if err != nil {
			d.found.problem = err.Error()
		}
		d.take(d.model.StartIn(zones, d.start))
		d.found.moved = true
	default:
		for i := range s.Repeat {
			d.input(s.input, d.start.Add(s.At+time.Duration(i)*s.Every))
		}
	}
	d.found.state = d.model.StateName(d.snapshot)
	d.found.context = d.snapshot.Context()
	d.found.windows = windowsOf(d.model, d.snapshot)
	return d.found
}

// input lets the time pass and then does what the line says.
func (d *player) input(in input, at time.Time) {
	d.pass(at)
	ev := devicefsm.Event{Arrived: at}
	dated := func() {
		if ev.Time = at; in.sent != nil {
			ev.Time = d.start.Add(*in.sent)
		}
	}
	switch in.kind {
	case inputWait:
	case inputMessage:
		dated()
		in.message.Time = at
		if in.message.Channel == device.ChannelStatus {
			in.message.Connection = device.DefaultStatusWords().Connection(in.message.Data["status"])
		}
		ev.Data, ev.Alive = in.message.Data, in.message.Alive()
		ev.Name, _ = d.model.Classify(in.message)
		if d.found.event = ev.Name; ev.Name == "" {
			d.found.event = noEvent
		}
		d.explain(in.message, func() { d.take(d.model.Step(d.snapshot, ev)) })
		return
	case inputEvent:
		dated()
		ev.Name, ev.Data, ev.Alive = in.name, in.data, !device.ReservedName(in.name)
		if in.name == device.EventProcess && in.data["do"] == "skip" && len(d.queue) > 0 {
			d.queue, d.number = d.queue[1:], d.number+1
		}
	case inputDone, inputFailed:
		id, ok := d.model.FindInvocation(d.snapshot, in.name)
		if !ok && in.name == devicefsm.ActionProcess && len(d.queue) > 0 {
			d.processed(in, at)
			return
		}
		if !ok {
			d.found.problem = "this activity is not running" + d.running()
			return
		}
		if ev = devicefsm.DoneEvent(id, in.data, at); in.kind == inputFailed {
			ev = devicefsm.ErrorEvent(id, in.text, at)
		}
		ev = ev.OfService()
	}
	d.take(d.model.Step(d.snapshot, ev))
}

// processed ends the processing of the first event that waits for it. One that has failed and
// holds the queue stays the first, and may be tried again.
func (d *player) processed(in input, at time.Time) {
	first, number := d.queue[0], d.number+1
	p, _ := d.model.Process()
	if !(in.kind == inputFailed && p.Hold) {
		d.queue, d.number = d.queue[1:], number
	}
	ev := devicefsm.ProcessedEvent(first.ID, number, first.Name, in.data, at)
	if in.kind == inputFailed {
		ev = devicefsm.ProcessFailedEvent(first.ID, number, first.Name, in.text, at)
	}
	d.take(d.model.Step(d.snapshot, ev.OfService()))
}

func (d *player) running() string {
	var names []string
	for _, i := range d.model.Invocations(d.snapshot) {
		names = append(names, i.Src)
	}
	if len(names) == 0 {
		return ""
	}
	return "; running: " + strings.Join(names, ", ")
}

// pass fires what is due up to a time, each at its own.
func (d *player) pass(to time.Time) {
	for range d.most {
		at, ok := d.model.NextDeadline(d.snapshot)
		if !ok || at.After(to) {
			return
		}
		d.take(d.model.Step(d.snapshot, devicefsm.Event{Arrived: at}))
	}
	d.found.problem = fmt.Sprintf("more than %d timers were due", d.most)
}

func (d *player) take(snapshot *devicefsm.Snapshot, outcome devicefsm.Outcome) {
	f := &d.found
	d.snapshot = snapshot
	f.moved = f.moved || len(outcome.Transitions) > 0
	f.matched = append(f.matched, outcome.Matched...)
	f.actions = append(f.actions, outcome.Actions...)
	for _, a := range outcome.Actions {
		if a.Type == devicefsm.ActionProcess {
			d.queue = append(d.queue, a)
		}
	}
	f.faults = append(f.faults, outcome.Faults...)
	for _, text := range outcome.Late {
		f.faults = append(f.faults, string(device.FaultLateWindow)+": "+text)
	}
	f.bound()
}

// bound forgets what is too much for one line.
func (f *found) bound() {
	if len(f.matched)+len(f.actions)+len(f.faults) > maxFound {
		f.problem = fmt.Sprintf("more than %d matches, actions and faults on one line; use shorter times", maxFound)
		f.matched, f.actions, f.faults = nil, nil, nil
	}
}

// compare returns what differs, kind by kind.
func (f found) compare(s *Step) []Diff {
	if f.problem != "" {
		return []Diff{{Line: s.Line, Want: []string{s.Text}, Got: []string{f.problem}}}
	}
	want := s.want
	var matched, state, actions []string
	for _, name := range f.matched {
		matched = append(matched, "matched "+nameText(name))
	}
	if f.moved || len(want.state) > 0 {
		state = append(state, "state "+nameText(f.state))
	}
	for i, a := range f.actions {
		var not omitted
		if i < len(want.actions) {
			not = want.actions[i].omitted
		}
		actions = append(actions, textOf(a, not))
	}
	var diffs []Diff
	add := func(wanted []wanted, got []string, none string) {
		if d, differs := diff(s.Line, wanted, got, none); differs {
			diffs = append(diffs, d)
		}
	}
	add(want.matched, matched, "no match")
	add(want.state, state, "no change of state")
	add(want.actions, actions, "no action")
	if !f.faultsFit(want.faults) {
		var faults []string
		for _, text := range f.faults {
			faults = append(faults, "fault "+lineText(text))
		}
		add(want.faults, faults, "no fault")
	}
	if len(want.context) > 0 {
		add(want.context, []string{f.contextText(want.values)}, "")
	}
	for _, w := range want.windows {
		add([]wanted{w.wanted}, []string{f.windowText(w)}, "")
	}
	return diffs
}

func diff(line int, wanted []wanted, got []string, none string) (Diff, bool) {
	d := Diff{Line: line, Got: got}
	for _, w := range wanted {
		d.Want = append(d.Want, w.text)
	}
	if slices.Equal(d.Want, got) {
		return Diff{}, false
	}
	for i, w := range wanted {
		if i >= len(got) || got[i] != w.text {
			d.Line = w.line
			break
		}
	}
	if len(d.Want) == 0 {
		d.Want = []string{none}
	}
	if len(d.Got) == 0 {
		d.Got = []string{none}
	}
	return d, true
}

func (f found) faultsFit(want []wanted) bool {
	return slices.EqualFunc(f.faults, want, func(fault string, w wanted) bool {
		text := strings.TrimPrefix(w.text, "fault ")
		if unquoted, err := (&cursor{text: text}).name(); err == nil && strings.HasPrefix(text, `"`) {
			text = unquoted
		}
		return strings.Contains(fault, text)
	})
}

// windowsOf are the values of the windows, by their names.
func windowsOf(m *devicefsm.Model, s *devicefsm.Snapshot) map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, w := range m.Windows(s) {
		values := map[string]any{
			"count": float64(w.Count), "late": float64(w.Late), "start": w.Start.Format(time.RFC3339Nano), "end": w.End.Format(time.RFC3339Nano),
		}
		if w.Value != nil {
			values["value"] = *w.Value
		}
		all[w.Name] = values
	}
	return all
}

// windowText writes those values of a window that were asked for.
func (f found) windowText(w wantedWindow) string {
	has, ok := f.windows[w.name]
	if !ok {
		return "no window " + nameText(w.name)
	}
	return windowText(w.name, only(has, w.values))
}

// contextText writes those values of the context that were asked for.
func (f found) contextText(asked map[string]any) string {
	return contextText(only(f.context, asked))
}

// only are those of the values that were asked for.
func only(values, asked map[string]any) map[string]any {
	out := map[string]any{}
	for k := range asked {
		if v, ok := values[k]; ok {
			out[k] = v
		}
	}
	return out
}
