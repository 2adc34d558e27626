package devicefsm

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

// Random models and random lives of a device, for the property tests. The
// vocabulary is small, so that events meet transitions often.

var randomGuards = []string{
	"event.x > 2", "event.x == 1", "has(event.y)", "event.y == 'b' || event.x < 1", "event.x > 1 && context.n < 3",
	"context.n > 2", "context.n % 2 == 0", "stateIn('s0')", "event.x in [0, 3]", "!has(event.x)", "event.x + context.n == 4",
	"has(event.y) && stateIn('s1')", "event.missing", "event.x >= 0 && event.x <= 2 && context.n != 1", "true", "false",
	"[1, 2].exists(i, i == event.x)", "has(event.matched) || event.x == 3",
	"4 / event.x > 3", "[1, 2].exists(i, i / event.x > 1)", "string(event.x * 500000) == '1e+06'",
}

var randomEvents = []string{"a", "b", "c", "fault", "fault.x", "p", "q", "raised"}

type chartGen struct {
	t       *rapid.T
	paths   []string // targets from the root
	windows bool     // the model has a window w
}

func (g *chartGen) pick(label string, from []string) string {
	return rapid.SampledFrom(from).Draw(g.t, label)
}

func (g *chartGen) chance(oneIn int) bool { return rapid.IntRange(1, oneIn).Draw(g.t, "chance") == 1 }

// randomModel draws the text of a model.
func randomModel(t *rapid.T) string {
	g := &chartGen{t: t}
	n := rapid.IntRange(2, 4).Draw(t, "states")
	kinds := make([]int, n)
	for i := range n {
		path := fmt.Sprintf("s%d", i)
		kinds[i] = rapid.IntRange(0, 4).Draw(t, "kind")
		g.paths = append(g.paths, path)
		switch kinds[i] {
		case 3: // compound with history
			g.paths = append(g.paths, path+".c0", path+".c1", path+".h", path+".d")
		case 4: // parallel
			g.paths = append(g.paths, path+".r0", path+".r0.c1", path+".r1.c0", path+".r1")
		}
	}
	var b strings.Builder
	b.WriteString("model: random\nevents:\n")
	fmt.Fprintf(&b, "  a: {channel: telemetry, when: %q}\n", g.pick("when", []string{"has(msg.x) && msg.x < 3", "6 / msg.x > 2"}))
	b.WriteString("  b: {channel: telemetry, when: \"has(msg.y)\"}\n")
	b.WriteString("  c: {channel: telemetry}\n")
	b.WriteString("  fault: {channel: events, name: fault}\n")
	b.WriteString("context: {n: 0}\n")
	if g.chance(2) {
		g.patterns(&b)
	}
	b.WriteString("initial: s0\nstates:\n")
	for i, kind := range kinds {
		fmt.Fprintf(&b, "  s%d:\n", i)
		g.body(&b, "    ", fmt.Sprintf("s%d", i), kind >= 3)
		switch kind {
		case 3:
			b.WriteString("    initial: c0\n    states:\n")
			g.children(&b, "      ", fmt.Sprintf("s%d", i))
			b.WriteString("      h: {type: history}\n      d: {type: history, history: deep}\n")
		case 4:
			b.WriteString("    type: parallel\n    states:\n")
			for r := range 2 {
				fmt.Fprintf(&b, "      r%d:\n        entry: {log: \"'>s%d.r%d'\"}\n        exit: {log: \"'<s%d.r%d'\"}\n        initial: c0\n        states:\n", r, i, r, i, r)
				g.children(&b, "          ", fmt.Sprintf("s%d.r%d", i, r))
			}
		}
	}
	return b.String()
}

func (g *chartGen) children(b *strings.Builder, indent, path string) {
	for c := range 2 {
		fmt.Fprintf(b, "%sc%d:\n", indent, c)
		g.body(b, indent+"  ", fmt.Sprintf("%s.c%d", path, c), false)
	}
	if g.chance(2) {
		fmt.Fprintf(b, "%send: {type: final, entry: {log: \"'>%s.end'\"}, exit: {log: \"'<%s.end'\"}}\n", indent, path, path)
	}
}

// body writes what a state does. Every state logs its entry, ">path", and its
// exit, "<path".
func (g *chartGen) body(b *strings.Builder, indent, path string, hasStates bool) {
	fmt.Fprintf(b, "%sentry: [{log: \"'>%s'\"}]\n", indent, path)
	b.WriteString(indent + "on:\n")
	seen := map[string]bool{}
	for range rapid.IntRange(0, 3).Draw(g.t, "transitions") {
		event := g.pick("event", randomEvents)
		if g.chance(6) {
			event = g.pick("wildcard", []string{"fault.*", "*"})
		}
		if seen[event] {
			continue
		}
		seen[event] = true
		fmt.Fprintf(b, "%s  %q: [%s]\n", indent, event, g.candidates())
	}
	if len(seen) == 0 {
		fmt.Fprintf(b, "%s  never: s0\n", indent)
	}
	if g.chance(3) {
		fmt.Fprintf(b, "%salways: {guard: %q, target: %s}\n", indent, g.pick("always", randomGuards), g.pick("target", g.paths))
	}
	if g.chance(3) {
		fmt.Fprintf(b, "%safter: {%ds: [%s]}\n", indent, rapid.IntRange(1, 5).Draw(g.t, "delay"), g.candidates())
	}
	if g.chance(4) {
		fmt.Fprintf(b, "%sinvoke: {src: work, input: {n: context.n}, onDone: %s, onError: {actions: [{log: \"'no'\"}]}}\n", indent, g.pick("target", g.paths))
	}
	leave := ""
	if g.chance(4) {
		leave = ", " + g.action()
	}
	fmt.Fprintf(b, "%sexit: [{log: \"'<%s'\"}%s]\n", indent, path, leave)
	if hasStates && g.chance(2) {
		fmt.Fprintf(b, "%sonDone: {target: %s}\n", indent, g.pick("target", g.paths))
	}
}

func (g *chartGen) candidates() string {
	var list []string
	for i := range rapid.IntRange(1, 2).Draw(g.t, "candidates") {
		var parts []string
		if i == 0 || g.chance(2) {
			parts = append(parts, fmt.Sprintf("guard: %q", g.pick("guard", randomGuards)))
		}
		if !g.chance(4) {
			parts = append(parts, "target: "+g.pick("target", g.paths))
			if g.chance(3) {
				parts = append(parts, "reenter: true")
			}
		}
		if g.chance(2) {
			parts = append(parts, "actions: ["+g.action()+"]")
		}
		list = append(list, "{"+strings.Join(parts, ", ")+"}")
		if len(parts) == 0 || !strings.HasPrefix(parts[0], "guard") {
			break
		}
	}
	return strings.Join(list, ", ")
}

func (g *chartGen) action() string {
	return g.pick("action", []string{
		"{assign: {n: \"context.n + 1\"}}", "{assign: {n: 0}}", "{raise: raised}", "{command: {name: open, data: {n: context.n}}}",
		"{raise: {event: a, data: {x: 1}, delay: 2s, id: later}}", "{cancel: later}", "{log: \"'act'\"}",
	})
}

func (g *chartGen) patterns(b *strings.Builder) {
	b.WriteString("patterns:\n")
	steps := []string{
		"{event: a}", "{event: a, where: \"event.x == 1\", times: 2}", "{event: b}", "{event: c, where: \"event.x > 3\"}",
		"{event: fault.*, oneOrMore: true}", "{event: b, optional: true}", "{notFollowedBy: fault}", "{notNext: b}",
		"{event: a, where: \"matched.a.size() == 0 || event.x >= matched.a[0].x\"}", "{event: c, gap: 3s}",
		"{event: a, where: \"int(now) % 2 == 0 && event.x > 0\"}", "{notFollowedBy: b, where: \"int(now) % 3 == 0\"}",
		"{group: [{event: a}, {event: b, optional: true}], times: {min: 1, max: 2}}",
		"{group: [{event: c, where: \"event.x > 1\"}], oneOrMore: true, optional: true, until: fault}",
		"{event: a, oneOrMore: true, greedy: true, until: {event: b, where: \"event.x == 2\"}}",
		"{event: c, oneOrMore: true, until: {event: a, where: \"size(matched.c) > 1 && event.x > 1\"}}",
	}
	for _, name := range []string{"p", "q"} {
		first := g.pick("first step", []string{"{event: a}", "{event: b}", "{event: fault}", "{event: c, where: \"event.x == 3\"}"})
		sequence := []string{first}
		for range rapid.IntRange(0, 2).Draw(g.t, "more steps") {
			sequence = append(sequence, g.pick("step", steps))
		}
		fmt.Fprintf(b, "  %s: {sequence: [%s], contiguity: %s, within: %ds, skip: %s, timeout: %v", name, strings.Join(sequence, ", "),
			g.pick("contiguity", []string{"relaxed", "relaxed", "strict", "any"}), rapid.IntRange(1, 9).Draw(g.t, "within"),
			g.pick("skip", []string{"past_last_event", "none", "to_next"}), g.chance(3))
		if g.chance(3) {
			b.WriteString(", while: s1")
		}
		b.WriteString("}\n")
	}
}

func loadRandom(t *rapid.T) (*Model, string) {
	src := randomModel(t)
	m, err := Load("random.yaml", []byte(src))
	if err != nil && strings.Contains(err.Error(), ": pattern \"") {
		t.Skip("a sequence that means nothing, such as an absence after an optional step")
	}
	if err != nil {
		t.Fatalf("load: %v\n%s", err, src)
	}
	return m, src
}

// happening is one thing in the life of a device.
type happening struct {
	after time.Duration
	msg   *device.Message // nil: an answer of an activity
	fails bool
}

func randomLife(t *rapid.T) []happening {
	return rapid.SliceOfN(rapid.Custom(randomHappening), 1, 30).Draw(t, "life")
}

func randomHappening(t *rapid.T) happening {
	h := happening{after: time.Duration(rapid.IntRange(0, 3000).Draw(t, "after")) * time.Millisecond}
	kind := rapid.IntRange(0, 9).Draw(t, "happening")
	if kind == 9 {
		h.fails = rapid.Bool().Draw(t, "fails")
		return h
	}
	data := obj{}
	if rapid.IntRange(0, 5).Draw(t, "has x") > 0 {
		data["x"] = float64(rapid.IntRange(-1, 5).Draw(t, "x"))
	}
	if rapid.IntRange(0, 3).Draw(t, "has y") == 0 {
		data["y"] = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "y")
	}
	h.msg = &device.Message{Channel: device.ChannelTelemetry, Data: data}
	if kind > 5 {
		h.msg.Channel, h.msg.Name = device.ChannelEvents, rapid.SampledFrom([]string{"fault", "fault.x", "fault.x.y", "other", "raised", "b", "p"}).Draw(t, "name")
	}
	return h
}

// history is the result of a life.
type history struct {
	bounded bool // a step had more transitions than there may be

	Snapshot    *Snapshot
	Value       any
	Actions     []Action
	Matched     []string
	Transitions []Transition
}

// json is all of a history that can make a difference. Not so partial matches
// that have expired, which a pattern forgets when it next sees an event, nor windows that
// are over and that nothing waits for.
func (h *history) json() string {
	c := *h
	c.Snapshot = nil
	s := *h.Snapshot
	s.patterns, s.windows = nil, nil
	b, err := json.Marshal(struct {
		history
		Snapshot Snapshot
		Windows  []WindowView
	}{c, s, s.model.Windows(h.Snapshot)})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// live runs a device through a life. Of the messages, those are left out that
// seen says no to. Answers of activities are those that full, the run with all
// messages, would get; they come to every run.
func live(m *Model, life []happening, seen func(device.Message) bool, check func(*Snapshot, Outcome)) *history {
	h := &history{}
	now := t0
	apply := func(s *Snapshot, out Outcome) {
		h.Snapshot = s
		h.Actions = append(h.Actions, out.Actions...)
		h.Matched = append(h.Matched, out.Matched...)
		h.Transitions = append(h.Transitions, out.Transitions...)
		if check != nil {
			check(s, out)
		}
	}
	apply(m.Start(now))
	for _, x := range life {
		now = now.Add(x.after)
		if x.msg == nil {
			// The device's oldest invocation is answered. To know it, time has
			// to pass first, in every run alike.
			apply(m.Step(h.Snapshot, Event{Time: now}))
			if len(h.Snapshot.invocations) == 0 {
				continue
			}
			id := h.Snapshot.invocations[0].id
			if x.fails {
				apply(m.Step(h.Snapshot, ErrorEvent(id, "failed", now)))
			} else {
				apply(m.Step(h.Snapshot, DoneEvent(id, obj{"x": 1.0}, now)))
			}
			continue
		}
		name, ok := m.Classify(*x.msg)
		if ok && (seen == nil || seen(*x.msg)) {
			apply(m.Step(h.Snapshot, Event{Name: name, Data: x.msg.Data, Time: now}))
		}
	}
	apply(m.Step(h.Snapshot, Event{Time: now.Add(time.Minute)}))
	h.Value = m.Value(h.Snapshot)
	return h
}

func msOf(n int) time.Duration { return time.Duration(n) * time.Millisecond }
