package devicefsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

// randomThresholds draws a model in which settled classes are frequent: regions
// that follow readings against thresholds, and, now and then, what unsettles
// them.
func randomThresholds(t *rapid.T) string {
	g := &chartGen{t: t}
	var b strings.Builder
	b.WriteString(`model: thresholds
events:
  a: {channel: telemetry, when: "has(msg.x)"}
  b: {channel: telemetry}
  fault: {channel: events, name: fault}
context: {n: 0}
`)
	switch rapid.IntRange(0, 12).Draw(t, "pattern") {
	case 0:
		b.WriteString("patterns: {p: {sequence: [{event: fault}, {event: a, where: \"event.x > 3\"}], within: 4s}}\n")
	case 1:
		b.WriteString("patterns: {p: {sequence: [{event: fault}, {notFollowedBy: fault}], within: 2s}}\n")
	case 2:
		b.WriteString("patterns: {p: {sequence: [{event: b}, {event: a, where: \"event.x < 1 && matched.b.size() > 0\"}], within: 4s, skip: none}}\n")
	case 3:
		b.WriteString("patterns: {p: {sequence: [{event: b, where: \"int(now) % 3 > 0\"}, {event: a, where: \"event.x < 1 && int(now) % 2 == 0\"}], within: 4s, skip: none}}\n")
	}
	g.counts(&b)
	g.process(&b)
	b.WriteString("type: parallel\nstates:\n")
	// One kind of thing unsettles a model, or all do.
	kind := rapid.SampledFrom([]int{1, 2, 2, 3, 3, 4, 5, 6, 7, 7}).Draw(t, "what unsettles it")
	for r := range rapid.IntRange(1, 2).Draw(t, "regions") {
		n := 2
		if g.chance(4) {
			n = 3
		}
		g.paths = nil
		for s := range n {
			g.paths = append(g.paths, fmt.Sprintf("'#r%d_s%d'", r, s))
		}
		fmt.Fprintf(&b, "  r%d:\n    initial: s0\n    states:\n", r)
		for s := range n {
			g.threshold(&b, r, s, kind)
		}
	}
	return b.String()
}

var (
	hysteresis      = []string{"event.x > 3", "event.x < 1"}
	thresholdGuards = []string{
		"event.x > 3", "event.x < 1", "event.x == 2", "event.x >= 1 && event.x <= 3", "event.x > 2 && context.n < 4",
		"event.x > 2 && stateIn('r0.s1')", "event.y == 'b'", "context.n % 2 == 1", "!stateIn('r0.s0')",
		"int(now) % 2 == 0", "event.x > 2 && hour(now) < 1", "4 / event.x > 3", "1 / 0 > event.x && event.x < 3", "string(event.x * 500000) == '1e+06'",
	}
)

// counts writes a window, now and then.
func (g *chartGen) counts(b *strings.Builder) {
	if !g.chance(3) {
		return
	}
	g.windows = true
	fmt.Fprintf(b, "windows: {w: {event: %s, aggregate: count, over: %s, grace: %s}}\n",
		g.pick("counted", []string{"a, where: event.x > 3", "b", "fault.*", "a, where: event.x == 2", "op"}),
		g.pick("over", []string{"2s", "4s, slide: 1s", "3s"}), g.pick("grace", []string{"0s", "1s"}))
}

// process writes what is processed one by one, now and then.
func (g *chartGen) process(b *strings.Builder) {
	if !g.chance(25) {
		return
	}
	fmt.Fprintf(b, "process: {event: %s, src: call, to: x, input: {n: context.n}}\n",
		g.pick("processed", []string{"a, where: event.x > 3", "b", "[fault, op]", "a, where: event.x == 2", "a, where: 4 / event.x > 3"}))
}

// guards are those that the model may have.
func (g *chartGen) guards(from []string) []string {
	if !g.windows {
		return from
	}
	return slices.Concat(from, []string{"windows.w.count > 1", "event.x > 2 && windows.w.value >= 2", "windows.w.count == 0"})
}

// threshold writes one state.
func (g *chartGen) threshold(b *strings.Builder, r, s, kind int) {
	unsettles := func(k int) bool { return kind == k && g.chance(2) || kind == 6 && g.chance(5) }
	next := g.paths[(s+1)%len(g.paths)]
	fmt.Fprintf(b, "      s%d:\n        id: r%d_s%d\n        entry: [{log: \"'>%d.%d'\"}", s, r, s, r, s)
	if g.chance(3) {
		b.WriteString(", {assign: {n: \"context.n + 1\"}}")
	}
	if unsettles(5) {
		b.WriteString(", {raise: over}")
	}
	b.WriteString("]\n        on:\n          never:\n")
	invokes := unsettles(3)
	if invokes && g.chance(3) {
		g.transition(b, "'*'", "guard of *", []string{"", "event.x > 3"})
	}
	if g.chance(4) {
		g.transition(b, "a", "guard", g.guards(thresholdGuards))
	} else {
		fmt.Fprintf(b, "          a: {target: %s, guard: %q}\n", next, hysteresis[s%2])
	}
	if g.chance(5) {
		g.transition(b, "b", "guard of b", []string{"", "event.y == 'b'"})
	}
	if unsettles(1) {
		g.transition(b, g.pick("other", []string{"op", "op.*", device.EventSilent, "twin.x.changed"}), "guard", []string{"", "event.x > 3", "context.n > 2"})
	}
	if kind == 7 {
		g.transition(b, "tick", "guard", []string{"", "context.n > 2", "int(now) % 2 == 0"})
		g.transition(b, "pace", "guard", []string{""})
	}
	if kind == 5 || g.chance(6) {
		g.transition(b, g.pick("other", []string{"fault", "over", "p"}), "guard", []string{"", "event.x > 3", "context.n > 2"})
	}
	if g.windows && g.chance(3) {
		g.transition(b, "w.closed", "guard of closed", []string{"", "event.value > 1"})
	}
	if unsettles(2) {
		fmt.Fprintf(b, "        after: {%ds: {target: %s}}\n", rapid.IntRange(1, 3).Draw(g.t, "delay"), next)
	}
	if invokes {
		fmt.Fprintf(b, "        invoke: {src: work, input: {n: %s}, onDone: %s, onError: %s}\n",
			g.pick("input", []string{"context.n", "context.none", "1"}), next, g.pick("target", g.paths))
	}
	if kind == 7 && g.chance(2) {
		fmt.Fprintf(b, "        schedules: {tick: {every: %ds}, pace: {cron: \"* * * * *\"}}\n", rapid.IntRange(1, 3).Draw(g.t, "every"))
	}
	if unsettles(4) {
		fmt.Fprintf(b, "        always: {guard: %q, target: %s}\n", g.pick("always", g.guards(thresholdGuards)), g.pick("target", g.paths))
	}
}

func (g *chartGen) transition(b *strings.Builder, event, label string, guards []string) {
	fmt.Fprintf(b, "          %s: {target: %s", event, g.pick("target", g.paths))
	if guard := g.pick(label, guards); guard != "" {
		fmt.Fprintf(b, ", guard: %q", guard)
	}
	b.WriteString("}\n")
}

func loadAnyRandom(t *rapid.T) (*Model, string) {
	if rapid.IntRange(0, 3).Draw(t, "kind of model") == 0 {
		return loadRandom(t)
	}
	src := randomThresholds(t)
	m, err := Load("thresholds.yaml", []byte(src))
	if err != nil {
		t.Fatalf("load: %v\n%s", err, src)
	}
	return m, src
}

// between is one thing in the life of a device whose messages repeat
// themselves: a message, an answer of an activity, or an event that no message
// makes.
type between struct {
	happening
	event string
	data  map[string]any
	again bool // the message before once more
}

func randomBetween(t *rapid.T) between {
	after := msOf(rapid.IntRange(0, 1500).Draw(t, "after"))
	switch rapid.IntRange(0, 9).Draw(t, "between") {
	case 0, 1, 2, 3:
		return between{again: true, happening: happening{after: after}}
	case 4:
		event := rapid.SampledFrom([]string{"op", "op", "op.x", "raised", "p", "over", "fault.y", device.EventSilent, "twin.x.changed"}).Draw(t, "event")
		data := rapid.SampledFrom([]map[string]any{nil, {"x": 0.0}, {"x": 4.0}, {"y": "b"}}).Draw(t, "data")
		return between{event: event, data: data, happening: happening{after: after}}
	case 5, 6:
		return between{happening: happening{after: after, fails: rapid.Bool().Draw(t, "fails")}}
	case 7, 8:
		x := rapid.SampledFrom([]float64{0, 2, 4}).Draw(t, "x")
		return between{happening: happening{after: after, msg: &device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": x}}}}
	}
	return between{happening: randomHappening(t)}
}

// repetitive is the life that is lived: what is "again" is filled in. The value
// of a repetition wanders a little, so that it often stays in its class.
func repetitive(t *rapid.T, m *Model) []between {
	life := rapid.SliceOfN(rapid.Custom(randomBetween), 20, 60).Draw(t, "life")
	var last *device.Message
	for i := range life {
		b := &life[i]
		switch {
		case b.again && last == nil:
			b.msg = &device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": 4.0}}
		case b.again:
			msg := *last
			data := obj{}
			for k, v := range msg.Data {
				data[k] = v
			}
			if x, ok := data["x"].(float64); ok && i%3 == 0 {
				data["x"] = x + 0.5
			}
			msg.Data = data
			b.msg = &msg
		}
		if b.msg != nil {
			last = b.msg
		}
		if b.event != "" && m.MessageOnly(b.event) {
			b.event = "op" // nobody else may send it
		}
	}
	return life
}

// liveThrough is live with events in between. Of the messages those are left
// out that pass says no to.
func liveThrough(m *Model, life []between, pass func(device.Message) bool) (h *history, left int) {
	h = &history{}
	now := t0
	apply := func(s *Snapshot, out Outcome) {
		h.Snapshot = s
		h.Actions = append(h.Actions, out.Actions...)
		h.Matched = append(h.Matched, out.Matched...)
		h.Transitions = append(h.Transitions, out.Transitions...)
		h.bounded = h.bounded || strings.Contains(strings.Join(out.Faults, " "), "transitions in one step")
	}
	apply(m.Start(now))
	for _, x := range life {
		now = now.Add(x.after)
		switch {
		case x.event != "":
			apply(m.Step(h.Snapshot, Event{Name: x.event, Data: x.data, Time: now}))
		case x.msg != nil:
			if !pass(*x.msg) {
				left++
			} else if name, ok := m.Classify(*x.msg); ok {
				apply(m.Step(h.Snapshot, Event{Name: name, Data: x.msg.Data, Time: now}))
			}
		default: // the device's oldest invocation is answered
			apply(m.Step(h.Snapshot, Event{Time: now}))
			if len(h.Snapshot.invocations) == 0 {
				continue
			}
			id := h.Snapshot.invocations[0].id
			ev := DoneEvent(id, obj{"x": 1.0}, now)
			if x.fails {
				ev = ErrorEvent(id, "failed", now)
			}
			apply(m.Step(h.Snapshot, ev))
		}
	}
	apply(m.Step(h.Snapshot, Event{Time: now.Add(time.Minute)}))
	h.Value = m.Value(h.Snapshot)
	return h, left
}

// filterOf makes the filter of a device: for a model, a function that says which
// messages pass.
type filterOf func(*Model) func(device.Message) bool

func honestFilter(m *Model) func(device.Message) bool {
	var f Filter
	return func(msg device.Message) bool { return m.Pass(&f, msg) }
}

// comparePassed runs a random device with all messages, and with those that
// pass the filter, and reports the difference.
func comparePassed(t *rapid.T, filter filterOf) error {
	m, src := loadAnyRandom(t)
	if _, out := m.Start(t0); strings.Contains(strings.Join(out.Faults, " "), "endless") {
		t.Skip("a chart that never comes to rest has no relevance")
	}
	for i := range 4 {
		life := repetitive(t, m)
		of := m.Edition([]int{EditionNow, EditionFirst}[i%2]) // the bridge does not know under which one it runs
		all, _ := liveThrough(of, life, func(device.Message) bool { return true })
		some, left := liveThrough(of, life, filter(m))
		if all.bounded || some.bounded {
			continue // what is dropped at the bound of one step depends on how long it is
		}
		if a, b := all.json(), some.json(); a != b {
			return fmt.Errorf("in edition %d, with all messages:\n%s\nwithout the %d left out:\n%s\nmodel:\n%s", of.edition, a, left, b, src)
		}
	}
	return nil
}

// TestFilterLosesNothing: a device whose repetitions were left out ends in the
// same value, context, actions (with their ids) and matches as one that got
// every message.
func TestFilterLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := comparePassed(t, honestFilter); err != nil {
			t.Fatal(err)
		}
	})
}

// wrongTable gives a filter over an analysis with something left out.
func wrongTable(make func(*Model) *classTable) filterOf {
	return func(m *Model) func(device.Message) bool {
		c := *m
		c.classes = make(&c)
		for name, ec := range c.classes.byName {
			ec.effects = m.classes.byName[name].effects // the first level stays right
		}
		return honestFilter(&c)
	}
}

func withoutSource(missing int) filterOf {
	return wrongTable(func(m *Model) *classTable {
		var sources []freeSource
		for i, s := range freeSources {
			if i != missing {
				sources = append(sources, s)
			}
		}
		return newClassTable(m, sources)
	})
}

// carelessFilter remembers the class of each event, and is given what is settled
// and whether other messages make it forget.
func carelessFilter(settled func(*Model, device.Message) bool, forgets bool) filterOf {
	return func(m *Model) func(device.Message) bool {
		last := map[string]uint64{}
		return func(msg device.Message) bool {
			if !m.Relevant(msg) {
				return false
			}
			name, class, _ := m.Class(msg)
			was, seen := last[name]
			if forgets {
				clear(last)
			}
			if !settled(m, msg) {
				return true
			}
			last[name] = class
			return !seen || was != class
		}
	}
}

// TestWrongFilterIsCaught leaves out one thing at a time: the property above has
// to notice each, within its default number of runs.
func TestWrongFilterIsCaught(t *testing.T) {
	reallySettled := func(m *Model, msg device.Message) bool {
		_, _, settled := m.Class(msg)
		return settled
	}
	for name, wrong := range map[string]filterOf{
		"delays":     withoutSource(0),
		"activities": withoutSource(1),
		"operators":  withoutSource(2),
		"patterns": wrongTable(func(m *Model) *classTable {
			m.patterns = nil
			return newClassTable(m, freeSources)
		}),
		"windows": wrongTable(func(m *Model) *classTable {
			m.windows = nil
			return newClassTable(m, freeSources)
		}),
		"what is not settled": carelessFilter(func(*Model, device.Message) bool { return true }, true),
		"other messages":      carelessFilter(reallySettled, false),
	} {
		t.Run(name, func(t *testing.T) {
			gen := rapid.Custom(func(t *rapid.T) error { return comparePassed(t, wrong) })
			for seed := range 100 {
				if gen.Example(seed) != nil {
					t.Logf("caught in run %d", seed+1)
					return
				}
			}
			t.Error("not caught in 100 runs")
		})
	}
}

// TestFilterLeavesOut: a filter that lets everything relevant pass would lose
// nothing either.
func TestFilterLeavesOut(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) [3]int {
		m, _ := loadAnyRandom(t)
		life := repetitive(t, m)
		var f Filter
		var n [3]int
		for _, x := range life {
			if x.msg != nil && m.Relevant(*x.msg) {
				if m.Pass(&f, *x.msg) {
					n[1]++
				} else {
					n[0]++
					if !m.MayLeaveOut(*x.msg) {
						n[2]++
					}
				}
			}
		}
		return n
	})
	var sum [3]int
	for seed := range 100 {
		n := gen.Example(seed)
		sum[0], sum[1], sum[2] = sum[0]+n[0], sum[1]+n[1], sum[2]+n[2]
	}
	t.Logf("of the relevant messages %d were repetitions of a settled class, %d not", sum[0], sum[1])
	if sum[0] < sum[1]/10 {
		t.Error("hardly any message was left out")
	}
	if sum[2] > 0 {
		t.Errorf("%d messages were left out that never may be", sum[2])
	}
}
