package devicefsm

import (
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/source"
)

// after reads the delays of a state.
func (l *loader) after(s *state, n source.Node) []delay {
	if !n.Exists() {
		return nil
	}
	var delays []delay
	for _, e := range n.Entries() {
		d, ok := l.delay(e.Key, e.KeyAt)
		d.transitions = l.candidates(s, e.Value)
		if ok {
			delays = append(delays, d)
		}
	}
	return delays
}

// delay is a duration such as 90s, a number of milliseconds as in XState, or
// an expression that gives one of these.
func (l *loader) delay(text string, n source.Node) (delay, bool) {
	if ms, ok := wholeNumber(text); ok {
		text = ms + "ms"
	}
	d, err := source.ParseDuration(text)
	switch {
	case err == nil && d > maxDelay:
		n.Faultf("expected a delay of at most %d days", maxDelay/(24*time.Hour))
		return delay{}, false
	case err == nil:
		return delay{fixed: d}, true
	case looksLikeDuration(text):
		n.Faultf("expected a duration such as 90s, 5m, 36h or 30d, or an expression, found %q", text)
		return delay{}, false
	}
	c, faults := compileExpr(placeChart, text)
	for _, f := range faults {
		n.FaultInside(f.Offset(text), f.Hint, "after: expected a duration such as 90s, or an expression: %s", f.Message)
	}
	if c == nil {
		return delay{}, false
	}
	l.refs = append(l.refs, exprRef{c, n})
	return delay{expr: c}, true
}

func wholeNumber(text string) (string, bool) {
	return text, text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

// looksLikeDuration reports whether a string begins like a number, as no useful
// expression for a delay does.
func looksLikeDuration(text string) bool {
	return text != "" && (text[0] >= '0' && text[0] <= '9' || text[0] == '-') && !strings.ContainsAny(text, "*+()")
}

func (l *loader) invoke(s *state, n source.Node) *invoke {
	if !n.IsMap() {
		n.Faultf("expected {src, input, onDone, onError}, found %s", n.Kind())
		return nil
	}
	fields := n.Fields("src", "id", "input", "onDone", "onError", "description")
	n.Require(fields, "src")
	inv := &invoke{
		src: fields["src"].String(), input: l.objectTemplate(fields["input"]),
		onDone: l.candidates(s, fields["onDone"]), onError: l.candidates(s, fields["onError"]),
	}
	if src := fields["src"]; src.IsString() && !validModelName(inv.src) {
		src.Faultf("src %q: expected 1 to 64 of a-z A-Z 0-9 _ . -", inv.src)
	}
	if inv.src == device.SourceReprovision {
		l.connection(fields["src"], "reprovision gives credentials for the connection")
	}
	return inv
}

func (l *loader) on(s *state, n source.Node) []*transition {
	if !n.Exists() {
		return nil
	}
	var list []*transition
	for _, e := range n.Entries() {
		d, ok := parseDescriptor(e.Key)
		if !ok {
			e.KeyAt.Faultf("event %q: expected a name, * for every event, or a name and .* for all events that begin with it", e.Key)
		}
		if !d.wild {
			l.taken[d.name] = true
		}
		for _, t := range l.candidates(s, e.Value) {
			t.event = d
			list = append(list, t)
		}
	}
	return list
}

// candidates reads one or several transitions: a target, {target, guard,
// actions, reenter}, or a list of these. Null is a transition that does
// nothing, and so hides those of the states around it.
func (l *loader) candidates(s *state, n source.Node) []*transition {
	if !n.Exists() {
		return nil
	}
	var list []*transition
	for _, c := range n.OneOrList() {
		t := &transition{source: s}
		l.places[t] = c
		switch {
		case c.IsNull():
		case c.IsString():
			if target := l.target(s, c); target != nil {
				t.targets = []*state{target}
			}
		case c.IsMap():
			l.candidate(t, c)
		default:
			c.Faultf("expected a target or {target, guard, actions}, found %s", c.Kind())
		}
		l.m.transitions = append(l.m.transitions, t)
		list = append(list, t)
	}
	return list
}

func (l *loader) candidate(t *transition, n source.Node) {
	fields := n.Fields("target", "guard", "actions", "reenter", "description")
	if g := fields["guard"]; g.Exists() {
		t.guard = l.condition(g, placeChart)
	}
	for _, at := range fields["target"].OneOrList() {
		if at.IsNull() {
			continue
		}
		if target := l.target(t.source, at); target != nil && !slices.Contains(t.targets, target) {
			t.targets = append(t.targets, target)
		}
	}
	l.compatible(t, fields["target"])
	t.actions = l.actions(fields["actions"])
	if r := fields["reenter"]; r.Exists() {
		t.reenter = r.Bool()
	}
}
