package devicefsm

import (
	"slices"
	"strings"
	"unicode/utf8"

	"devicetwin/source"
)

// A chart is drawn from the tree of its states, which the model has already, and
// from its edges. Neither format can draw an edge between a state and one inside
// it: it is drawn from a small box "any state" inside the outer one, or to the
// initial state of the outer one.

// edge is an arrow of the picture.
type edge struct {
	from, to graphNode
	label    string
}

// graphNode is a state, or the box "any state" inside it.
type graphNode struct {
	state *state
	any   bool
}

// picture is what is drawn of a model.
type picture struct {
	edges []edge
	// lines are written in the box of a state (or of its "any state"): what it does
	// without leaving it.
	lines map[graphNode][]string
	any   map[*state]bool // which states need the box
	// closes says of the events of windows what has closed.
	closes map[string]string
}

const anyState = "any state"

func (m *Model) picture() *picture {
	p := &picture{lines: map[graphNode][]string{}, any: map[*state]bool{}, closes: map[string]string{}}
	for _, w := range m.windows {
		p.closes[w.closes] = w.text()
	}
	for _, s := range m.states {
		p.addLines(s)
		p.addTransitions(s)
	}
	for _, e := range p.edges {
		p.any[e.from.state] = p.any[e.from.state] || e.from.any
		p.any[e.to.state] = p.any[e.to.state] || e.to.any
	}
	return p
}

func boxOf(s *state) graphNode { return graphNode{s, len(s.children) > 0} }

func (p *picture) addLine(s *state, text string) {
	n := boxOf(s)
	p.lines[n] = append(p.lines[n], text)
	p.any[s] = p.any[s] || n.any
}

func (p *picture) addLines(s *state) {
	if effects := effectsText(s.entry); effects != "" {
		p.addLine(s, "entry / "+effects)
	}
	if effects := effectsText(s.exit); effects != "" {
		p.addLine(s, "exit / "+effects)
	}
	for _, inv := range s.invokes {
		p.addLine(s, "invoke "+inv.src)
	}
	for _, of := range s.schedules {
		p.addLine(s, "schedule "+of.name+": "+of.text)
	}
}

func (p *picture) addTransitions(s *state) {
	if s.isHistory() {
		for _, t := range s.initial.targets {
			p.addEdge(s, t, "")
		}
		return
	}
	for first, rest := 0, s.on; len(rest) > 0; {
		// The candidates of one event follow each other.
		for first = 1; first < len(rest) && rest[first].event == rest[0].event; first++ {
		}
		p.addCandidates(s, p.eventText(s, rest[0].event), rest[:first])
		rest = rest[first:]
	}
	p.addCandidates(s, "", s.always)
	for _, d := range s.after {
		p.addCandidates(s, "after "+delayText(d), d.transitions)
	}
	for _, inv := range s.invokes {
		p.addCandidates(s, "done "+inv.src, inv.onDone)
		p.addCandidates(s, "error "+inv.src, inv.onError)
	}
}

// eventText is an event as the model file names it, and of a window what it counts.
func (p *picture) eventText(s *state, d descriptor) string {
	switch {
	case d.name == doneState+s.path:
		return "done"
	case !d.wild && p.closes[d.name] != "":
		return d.name + " (" + p.closes[d.name] + ")"
	}
	return d.text()
}

func delayText(d delay) string {
	if d.expr != nil {
		return oneLine(d.expr.source)
	}
	return source.FormatDuration(d.fixed)
}

func (p *picture) addCandidates(s *state, event string, candidates []*transition) {
	for i, t := range candidates {
		label := event
		switch {
		case t.guard != nil:
			label += " [" + oneLine(t.guard.source) + "]"
		case i > 0:
			label += " [else]"
		case event == "":
			label = "always"
		}
		if effects := effectsText(t.actions); effects != "" {
			label += " / " + effects
		}
		label = strings.TrimSpace(label)
		if len(t.targets) == 0 && t.acts() {
			p.addLine(s, label)
		}
		for _, target := range t.targets {
			p.addEdge(s, target, label)
		}
	}
}

func (p *picture) addEdge(from, to *state, label string) {
	source := graphNode{state: from}
	if len(from.children) > 0 && (to == from || to.within(from)) {
		source.any = true
	}
	for to == from && len(to.children) > 0 || from.within(to) {
		if to.kind != compound {
			p.edges = append(p.edges, edge{source, graphNode{to, true}, label})
			return
		}
		to = to.initial.targets[0]
	}
	p.edges = append(p.edges, edge{source, graphNode{state: to}, label})
}

// effectsText names what a block of actions does to the world or to the chart's
// own future; what it only remembers or writes down is left out.
func effectsText(actions []action) string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, a := range actions {
		switch x := a.(type) {
		case raiseAction:
			add("raise " + x.event)
		case effectAction:
			add(strings.TrimSpace(x.kind + " " + x.name))
		case ifAction:
			add(effectsText(x.yes))
			add(effectsText(x.no))
		}
	}
	return strings.Join(names, ", ")
}

// maxLabel is how many characters of an expression a picture shows.
const maxLabel = 72

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) > maxLabel {
		text = string([]rune(text)[:maxLabel-1]) + "…"
	}
	return text
}
