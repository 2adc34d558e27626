package devicefsm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/devicefsm/pattern"
)

// large is the data of an event with more fields than are kept, before and after t in
// the alphabet.
func large(t float64) obj {
	data := obj{"t": t}
	for i := range 24 {
		data[fmt.Sprintf("a%02d", i)] = "some reading"
		data[fmt.Sprintf("z%02d", i)] = float64(i)
	}
	return data
}

const risingModel = `
patterns:
  rising: {sequence: [{event: hot, name: first}, {event: hot, name: second, where: "event.t > matched.first[0].t"}], within: 1m}
initial: a
states:
  a: {on: {rising: {target: b, actions: {log: "string(event.matched.first[0].t) + ' ' + string(event.matched.second[0].z23)"}}}}
  b: {}
`

func TestOfALargeEventIsKeptWhatIsRead(t *testing.T) {
	d := start(t, load(t, risingModel))
	d.send("hot", large(5)).in("a").noFaults()
	text, err := json.Marshal(d.s)
	if err != nil || strings.Contains(string(text), "a00") || !strings.Contains(string(text), `"t":5`) {
		t.Errorf("the snapshot holds %s, %v", text, err)
	}
	d.send("hot", large(6)).in("b").actions("5 23").noFaults()
}

// A run of the first edition keeps what it kept, and reports nothing else.
func TestTheFirstEditionKeepsTheFirstKeys(t *testing.T) {
	m := load(t, risingModel).Edition(EditionFirst)
	d := start(t, m)
	d.send("hot", large(5)).in("a").noFaults()
	text, _ := json.Marshal(d.s)
	if !strings.Contains(string(text), "a00") || strings.Contains(string(text), `"t":5`) {
		t.Errorf("the snapshot holds %s", text)
	}
	d.send("hot", large(6)).in("a").noFaults()
}

func TestWhatCouldNotBeKeptIsReportedOnce(t *testing.T) {
	m := load(t, `
patterns:
  p: {sequence: [{event: e, name: first}, {event: e, name: second, where: "matched.first[0].note == event.note && matched.first[0].n == event.n"}]}
  q: {sequence: [{event: e, name: first}, {event: f, where: "matched.first[0].list == [1]"}], skip: none}
initial: a
states: {a: {on: {p: b}}, b: {}}
`)
	d := start(t, m)
	data := obj{"note": strings.Repeat("x", 300), "n": 1.0, "other": strings.Repeat("y", 300), "list": []any{1.0}}
	for range 3 { // q has a partial match more each time
		d.send("e", data)
		kept := slices.DeleteFunc(d.out.Faults, func(f string) bool { return strings.HasPrefix(f, "where ") })
		if len(kept) != 1 || kept[0] != `not kept, although expressions read it: step "first" of pattern "p": note (at most 256 bytes of an event)` {
			t.Fatalf("faults %q", kept)
		}
	}
	if got := start(t, m.Edition(EditionFirst)).send("e", data).out.Faults; len(got) > 0 {
		t.Errorf("first edition: faults %q", got)
	}
}

func TestWhatIsReadByNameIsKeptFirst(t *testing.T) {
	d := start(t, load(t, `
patterns: {p: {sequence: [{event: e, name: first}, {event: f, where: "matched.first[0].t == 5"}]}}
initial: a
states: {a: {on: {p: {actions: {log: "event.matched.first[0]"}}}}}
`))
	d.send("e", large(5))
	if len(d.out.Faults) != 1 || !strings.Contains(d.out.Faults[0], "and ") || !strings.Contains(d.out.Faults[0], " more (at most 256 bytes of an event)") {
		t.Errorf("faults %q", d.out.Faults)
	}
	d.send("f", nil)
	message := d.out.Actions[0].Data["message"].(string)
	if !strings.Contains(message, `"t":5`) || !strings.Contains(message, "a00") || len(message) > maxKeptSize {
		t.Errorf("kept %s", message)
	}
}

// Where it matters how many events a step took, it is reported that fewer are kept; the
// first and the last ones always are.
func TestEventsThatAreNotKeptAreReported(t *testing.T) {
	for where, reported := range map[string]bool{
		"size(matched.b) >= 3":                                         true,
		"matched.b.exists(x, x.n == 2)":                                true,
		"matched.b[event.n].n == 1":                                    true,
		"matched.b[1].n == 2":                                          true,
		"matched.b[0].n == 1":                                          false,
		"matched.b[size(matched.b) - 1].n > 2":                         false,
		"matched.b[matched.b.size() - 1].n > 2":                        false,
		"matched.b[size(matched.b) - 2].n > 2":                         true,
		"has(matched.b[0].n) && matched.b[size(matched.b)-1].n == 3.0": false,
	} {
		d := start(t, load(t, fmt.Sprintf(`
patterns: {p: {sequence: [{event: b, oneOrMore: true}, {event: c, where: %q}], max_kept: 2}}
initial: a
states: {a: {on: {p: a}}}
`, where)))
		d.send("b", obj{"n": 1.0}).noFaults().send("b", obj{"n": 2.0}).noFaults().send("b", obj{"n": 3.0})
		if got := strings.Join(d.out.Faults, "\n"); reported != (got == `not kept, although expressions read it: step "b" of pattern "p": the event before this one (at most 2 events: see max_kept)`) || !reported && got != "" {
			t.Errorf("%s: faults %q", where, got)
		}
	}
}

func TestConditionsOnMatchedReportErrors(t *testing.T) {
	src := `
patterns: {p: {sequence: [{event: x, name: first}, {event: y, where: "event.n > matched.first[0].n"}], max_partials: 40, skip: none}}
initial: a
states: {a: {on: {p: b}}, b: {}}
`
	d := start(t, load(t, src))
	d.send("y", obj{}).noFaults() // nothing is open: the condition is not evaluated
	d.send("x", obj{"m": 1.0}).noFaults()
	d.send("y", obj{"n": 1.0}).in("a")
	if len(d.out.Faults) != 1 || d.out.Faults[0] != `where "event.n > matched.first[0].n" of pattern "p": no such key: n` {
		t.Fatalf("faults %q", d.out.Faults)
	}
	d.send("x", obj{"n": "hot"}).noFaults()
	d.send("y", obj{"n": 1.0}).in("a")
	if len(d.out.Faults) != 1 {
		t.Fatalf("two partial matches: faults %q", d.out.Faults)
	}
	for range 38 {
		d.send("x", obj{"m": 1.0}).noFaults()
	}
	d.send("y", obj{"n": 1.0}).in("a")
	if len(d.out.Faults) != 1 {
		t.Fatalf("40 partial matches: faults %q", d.out.Faults)
	}
	d.send("x", obj{"n": 1.0}).noFaults().send("y", obj{"n": 2.0}).in("b")
	if len(d.out.Faults) != 1 {
		t.Fatalf("one of them matches: faults %q", d.out.Faults)
	}

	d = start(t, load(t, src).Edition(EditionFirst))
	d.send("x", obj{"m": 1.0}).send("y", obj{"n": 1.0}).in("a").noFaults()
}

// TestFaultsOfConditionsOnMatchedAreBounded: however many patterns and steps fail.
func TestFaultsOfConditionsOnMatchedAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("initial: a\nstates: {a: {}}\npatterns:\n")
	for i := range 60 {
		fmt.Fprintf(&b, "  p%d: {sequence: [x, {event: y, where: \"matched.x[0].a > %d\"}, {notFollowedBy: y, where: \"matched.x[0].b > 1\"}, z]}\n", i, i)
		fmt.Fprintf(&b, "  # %d\n", i)
	}
	d := start(t, load(t, b.String()))
	d.send("x", nil).noFaults().send("y", nil)
	if n := len(d.out.Faults); n != 60 {
		t.Errorf("%d faults", n)
	}
	d = start(t, load(t, "initial: a\nstates: {a: {}}\npatterns:\n  p: {sequence: [x, {event: y, oneOrMore: true}, {notFollowedBy: y, where: \"matched.x[0].b > 1\"}, {event: z, where: \"matched.y[3].c == 1\"}]}\n"))
	d.send("x", nil).noFaults().send("y", nil).noFaults().send("y", nil)
	if n := len(d.out.Faults); n != 1 {
		t.Errorf("faults %q", d.out.Faults)
	}
}

// readsText writes what is read, for people: b.t, b.s.u of events, # where the number
// of events matters, * for all of them.
func readsText(m matchReads) string {
	var list []string
	var walk func(path string, r *reads)
	walk = func(path string, r *reads) {
		if r.all {
			list = append(list, path)
		}
		for _, k := range slices.Sorted(maps.Keys(r.of)) {
			walk(path+"."+k, r.of[k])
		}
	}
	step := func(name string, s *stepReads) {
		if s.whole {
			list = append(list, name+"#")
		}
		walk(name, &s.event)
	}
	step("*", &m.any)
	for _, name := range slices.Sorted(maps.Keys(m.of)) {
		step(name, m.of[name])
	}
	return strings.Join(list, " ")
}

func TestReadsOfMatchedEvents(t *testing.T) {
	for _, c := range []struct {
		at     place
		source string
		want   string
	}{
		{placePattern, "event.t > matched.b[0].t", "b.t"},
		{placePattern, "event.t > matched['b'][0]['t']", "b.t"},
		{placePattern, "matched.b[0].s.u == 1", "b.s.u"},
		{placePattern, "has(matched.b[0].s) && matched.c[0].s.u == 1", "b.s c.s.u"},
		{placePattern, "'s' in matched.b[0]", "b.s"},
		{placePattern, "event.k in matched.b[0]", "b"},
		{placePattern, "matched.b[0][event.k] == 1", "b"},
		{placePattern, "matched[event.k][0].t == 1", "*.t"},
		{placePattern, "size(matched.b) > 1", "b#"},
		{placePattern, "size(matched.b[0]) > 1", "b"},
		{placePattern, "size(matched) > 1 || has(matched.b)", ""},
		{placePattern, "matched.b.exists(x, x.t > event.t)", "b# b.t"},
		{placePattern, "matched.b.filter(x, x.t > 1).size() > 1", "b# b.t"},
		{placePattern, "matched.b.filter(x, x.t > 1)[0].u == 1", "b# b.t b.u"},
		{placePattern, "matched.b.map(x, x.t) == [1]", "b# b.t"},
		{placePattern, "matched.b.map(x, x.s).exists(s, s.u == 1)", "b# b.s.u"},
		{placePattern, "(matched.b + matched.c).all(x, x.t == 1)", "b# b.t c# c.t"},
		{placePattern, "(event.k == 1 ? matched.b : matched.c)[0].t == 1", "b.t c.t"},
		{placePattern, "(event.k == 1 ? matched.b[0] : matched.c[0]).t == 1", "b.t c.t"},
		{placePattern, "[matched.b[0], matched.c[0]].exists(x, x.t == 1)", "b.t c.t"},
		{placePattern, "matched.b == []", "b# b"},
		{placePattern, "matched == {}", "*# *"},
		{placePattern, "matched.exists(k, size(matched[k]) > 1)", "*#"},
		{placePattern, "[1].exists(matched, matched == 1)", ""},
		{placePattern, "{'k': matched.b[0].t}.k == 1", "b.t"},
		{placePattern, "dyn(matched.b[0]).t == 1", "b.t"},
		{placePattern, "event.t > 1", ""},
		{placeChart, "event.matched.b[0].t > 1", "b.t"},
		{placeChart, "event['matched'].b[0].t > 1", "b.t"},
		{placeChart, "event[context.k].b[0].t > 1", "*# *"},
		{placeChart, "event", "*# *"},
		{placeChart, "event.matched", "*# *"},
		{placeChart, "{'first': event.matched.b}", "b# b"},
		{placeChart, "has(event.matched) && event.t > 1", ""},
		{placeChart, "context.matched.b[0].t > 1", ""},
		{placeChart, "string(event.matched.b[0].t) + string(event.matched.c[0].s.u)", "b.t c.s.u"},
	} {
		e, faults := compileExpr(c.at, c.source)
		if faults != nil {
			t.Fatalf("%s: %v", c.source, faults)
		}
		m := matchReads{of: map[string]*stepReads{}}
		m.addExpr(e)
		if got := readsText(m); got != c.want {
			t.Errorf("%s reads %q, expected %q", c.source, got, c.want)
		}
	}
}

// What an expression for another event reads is not kept.
func TestOnlyExpressionsThatSeeTheMatchCount(t *testing.T) {
	m := load(t, `
patterns:
  p: {sequence: [{event: e, name: first}, f], timeout: true, within: 1h}
initial: a
states:
  a:
    entry: {log: "event.matched.first[0].entered"}
    on:
      other: {guard: "event.matched.first[0].u == 1", actions: {log: event}}
      p: {guard: "event.matched.first[0].t == 1", actions: {if: "true", then: {command: {name: c, data: {v: "event.matched.first[0].v"}}}}}
      p.timeout: {actions: {raise: {event: other, data: {w: "event.matched.first[0].w"}}}}
      "*": {actions: {assign: {x: "event.matched.first[0].x"}}}
`)
	if got := strings.Join(m.patterns[0].steps[0].named, " "); got != "entered t v w x" {
		t.Errorf("kept are %s", got)
	}
	if m.patterns[0].steps[0].reads.event.all {
		t.Error("all is kept")
	}
}

// TestKeptIsEnough: with what is kept, a condition on matched gives what it gives with
// everything.
func TestKeptIsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := drawMatchedExpr(t, 3)
		e, faults := compileExpr(placePattern, source)
		if faults != nil {
			t.Skip(faults[0].Message)
		}
		reads := matchReads{of: map[string]*stepReads{}}
		reads.addExpr(e)
		full, kept := map[string]any{}, map[string]any{}
		for _, name := range []string{"b", "c"} {
			s := &patternStep{name: name, reads: reads.kept(name)}
			s.named = slices.Sorted(maps.Keys(s.reads.event.of))
			all, some := []any{}, []any{}
			for range rapid.IntRange(0, 2).Draw(t, "events") {
				data := drawData(t, 2)
				all, some = append(all, data), append(some, s.keep(pattern.Event{Data: data}))
			}
			full[name], kept[name] = all, some
		}
		event := drawData(t, 1)
		want, wantErr := e.eval(&scope{event: event, matched: full})
		got, gotErr := e.eval(&scope{event: event, matched: kept})
		if fmt.Sprint(got, gotErr) != fmt.Sprint(want, wantErr) {
			t.Fatalf("%s\nwith all:  %v, %v\nwith kept: %v, %v\nkept %v of %v", source, want, wantErr, got, gotErr, kept, full)
		}
	})
}

func drawData(t *rapid.T, depth int) map[string]any {
	data := map[string]any{}
	for _, k := range []string{"t", "u", "s", "b"} {
		switch rapid.IntRange(0, 5).Draw(t, k) {
		case 0, 1:
			data[k] = float64(rapid.IntRange(0, 2).Draw(t, "n"))
		case 2:
			data[k] = rapid.SampledFrom([]string{"t", "u", "b"}).Draw(t, "text")
		case 3:
			data[k] = []any{1.0, map[string]any{"t": 2.0}}
		case 4:
			if depth > 0 {
				data[k] = drawData(t, depth-1)
			}
		}
	}
	return data
}

// drawMatchedExpr makes expressions of all that a condition may do with matched events.
func drawMatchedExpr(t *rapid.T, depth int) string {
	x := func() string { return drawMatchedValue(t, depth-1) }
	switch rapid.IntRange(0, 7).Draw(t, "condition") {
	case 0:
		return x() + " == " + x()
	case 1:
		return x() + " > 1.0"
	case 2:
		return "has(" + x() + ".t)"
	case 3:
		return rapid.SampledFrom([]string{"'t'", "event.u"}).Draw(t, "key") + " in " + x()
	case 4:
		return "size(" + x() + ") > 0"
	case 5:
		return "matched." + rapid.SampledFrom([]string{"b", "c"}).Draw(t, "step") + rapid.SampledFrom([]string{".exists", ".all", ".exists_one"}).Draw(t, "macro") + "(x, x.t == " + x() + ")"
	case 6:
		return x() + " == 1 || " + x() + " == 2"
	}
	return x() + ".exists(y, y == " + x() + ")"
}

func drawMatchedValue(t *rapid.T, depth int) string {
	if depth <= 0 {
		return rapid.SampledFrom([]string{
			"matched.b[0].t", "matched.c[0].s.t", "matched['b'][0]['u']", "event.t", "matched[event.u][0].t", "matched.b[event.t].u",
			"matched.c[size(matched.c) - 1].t", "matched.b", "matched.c[0]", "matched", "1.0", "'t'",
		}).Draw(t, "leaf")
	}
	x := func() string { return drawMatchedValue(t, depth-1) }
	switch rapid.IntRange(0, 9).Draw(t, "value") {
	case 0:
		return x() + ".t"
	case 1:
		return x() + ".s"
	case 2:
		return x() + "[" + x() + "]"
	case 3:
		return "(" + x() + " + " + x() + ")"
	case 4:
		return "(event.t == 1 ? " + x() + " : " + x() + ")"
	case 5:
		return "[" + x() + ", " + x() + "]"
	case 6:
		return "{'t': " + x() + "}"
	case 7:
		return x() + ".map(x, x.t)"
	case 8:
		return x() + ".filter(x, x.t == 1)"
	}
	return "size(" + x() + ")"
}
