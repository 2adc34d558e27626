package devicefsm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm/pattern"
	"devicetwin/source"
)

var (
	patternKeys = []string{
		"sequence", "contiguity", "within", "skip", "timeout", "while", "distinct", "description", "max_partials", "max_kept", "max_idle",
	}
	stepKeys = []string{
		"event", "where", "name", "times", "oneOrMore", "optional", "consecutive", "combinations", "greedy",
		"contiguity", "gap", "notNext", "notFollowedBy", "group", "until", "description",
	}
	contiguities = map[string]pattern.Contiguity{"strict": pattern.Strict, "relaxed": pattern.Relaxed, "any": pattern.RelaxedAny}
	skips        = map[string]pattern.Skip{
		"past_last_event": pattern.SkipPastLastEvent, "none": pattern.SkipNone, "to_next": pattern.SkipToNext,
		"to_first": pattern.SkipToFirst, "to_last": pattern.SkipToLast,
	}
)

const (
	maxPatterns = 64
	// maxKeptEvents is the largest max_kept.
	maxKeptEvents = 64
)

func (l *loader) patternRules(n source.Node) {
	if !n.Exists() {
		return
	}
	for _, e := range n.Entries() {
		if len(l.m.patterns) >= maxPatterns {
			e.KeyAt.Faultf("more than %d patterns", maxPatterns)
			return
		}
		if !validEventName(e.Key) || device.ReservedName(e.Key) {
			e.KeyAt.Faultf("pattern name %q: expected an event name without *, and not one that is reserved for the service", e.Key)
		} else if l.m.events[e.Key] {
			e.KeyAt.Faultf("pattern %q has the name of an event under `events:`; a match is raised as an event with the pattern's name", e.Key)
		}
		l.m.patterns = append(l.m.patterns, l.pattern(e))
	}
	for _, p := range l.m.patterns {
		l.m.events[p.name] = true
		if p.timeout != "" {
			l.m.events[p.timeout] = true
		}
	}
}

func (l *loader) pattern(e source.Entry) *patternRule {
	n := e.Value
	fields := n.Fields(patternKeys...)
	n.Require(fields, "sequence")
	p := &patternRule{name: e.Key}
	spec := pattern.Spec{Name: e.Key, Within: fields["within"].Duration()}
	if c := fields["contiguity"]; c.Exists() {
		spec.Contiguity = contiguities[l.oneOf(c, slices.Sorted(maps.Keys(contiguities))...)]
	}
	l.skip(&spec, fields["skip"])
	if t := fields["timeout"]; t.Exists() {
		if t.Kind() != "true or false" {
			p.timeout = t.String()
		} else if t.Bool() {
			p.timeout = e.Key + ".timeout"
		}
		spec.Timeouts = p.timeout != ""
	}
	if w := fields["while"]; w.Exists() {
		p.while = l.target(l.m.root, w)
	}
	if x := fields["max_partials"]; x.Exists() {
		spec.MaxPartials = int(x.Int(1, pattern.MaxPartialsLimit))
	}
	if x := fields["max_kept"]; x.Exists() {
		spec.MaxKept = int(x.Int(1, maxKeptEvents))
	}
	p.maxKept = cmp.Or(spec.MaxKept, pattern.DefaultMaxKept)
	spec.MaxIdle = fields["max_idle"].Duration()
	p.distinct = eventKey(fields["distinct"], "distinct")
	if s := fields["sequence"]; s.Exists() {
		l.sequence(p, &spec, s)
	}
	p.checkDistinct(fields["distinct"])
	if l.f.Err() != nil {
		return p
	}
	m, err := pattern.Compile(spec)
	if err != nil {
		l.patternErrors(n, p, err)
	}
	p.matcher = m
	return p
}

// patternErrors places each fault that the compiler of the pattern found, at
// the step that it names.
func (l *loader) patternErrors(n source.Node, p *patternRule, err error) {
	for _, fault := range joined(err) {
		at := n
		for _, sequence := range l.sequences[p] {
			for _, item := range sequence {
				if strings.Contains(fault.Error(), fmt.Sprintf("step %q:", item.name)) {
					at = item.node
				}
			}
		}
		at.Faultf("%v", fault)
	}
}

func (l *loader) skip(spec *pattern.Spec, n source.Node) {
	if !n.Exists() {
		return
	}
	if n.IsMap() {
		for _, e := range n.Fields("to_first", "to_last") {
			spec.SkipTo = e.String()
		}
		spec.Skip = pattern.SkipToFirst
		if slices.ContainsFunc(n.Entries(), func(e source.Entry) bool { return e.Key == "to_last" }) {
			spec.Skip = pattern.SkipToLast
		}
		return
	}
	spec.Skip = skips[l.oneOf(n, "past_last_event", "none", "to_next")]
}

// hasKey reports whether a node is a mapping with the key.
func hasKey(n source.Node, key string) bool {
	return n.IsMap() && slices.ContainsFunc(n.Entries(), func(e source.Entry) bool { return e.Key == key })
}

// readsMatched reports whether anything reads the events of a match.
func (l *loader) readsMatched(p *patternRule) bool {
	for _, s := range p.steps {
		if s.where != nil && s.where.reads["matched"] {
			return true
		}
	}
	return slices.ContainsFunc(l.refs, func(r exprRef) bool { return r.expr.place == placeChart && r.expr.readsMatch })
}

// stepKinds are the keys of which a step has exactly one.
var stepKinds = []string{"event", "notNext", "notFollowedBy", "group"}

// step reads a step that is not a group.
func (l *loader) step(s *patternStep, n source.Node) pattern.Step {
	out := pattern.Step{Times: pattern.Times{Min: 1, Max: 1}}
	if n.IsString() {
		out.Name = n.String()
		s.event = l.stepEvent(n)
		out.Match, out.Refs = s.matches, s.distinct != ""
		return out
	}
	fields := n.Fields(stepKeys...)
	word := l.stepKind(n, fields)
	if word == "" {
		return out
	}
	out.Name = fields[word].String()
	s.event = l.stepEvent(fields[word])
	switch word {
	case "notNext":
		out.Not = pattern.NotNext
	case "notFollowedBy":
		out.Not = pattern.NotFollowedBy
	}
	if out.Not != pattern.NotNegated {
		s.distinct = ""
	}
	if w := fields["where"]; w.Exists() {
		s.where = l.condition(w, placePattern)
		out.Refs = s.where != nil && s.where.reads["matched"]
	}
	out.Refs = out.Refs || s.distinct != ""
	if x := fields["name"]; x.Exists() {
		out.Name = x.String()
	}
	l.quantifier(&out, fields)
	if c := fields["contiguity"]; c.Exists() {
		out.Contiguity = contiguities[l.oneOf(c, slices.Sorted(maps.Keys(contiguities))...)]
	}
	out.Gap = fields["gap"].Duration()
	if g := fields["gap"]; g.Exists() && out.Gap < time.Millisecond {
		g.Faultf("expected a duration of at least 1ms")
	}
	out.Match = s.matches
	return out
}

// stepKind is the key that says what a step is; "" after a fault.
func (l *loader) stepKind(n source.Node, fields map[string]source.Node) string {
	word := ""
	for _, w := range stepKinds {
		if !fields[w].Exists() {
			continue
		}
		if word != "" {
			fields[w].Faultf("expected only one of event, notNext, notFollowedBy and group")
			continue
		}
		word = w
	}
	if word == "" {
		n.Faultf("key \"event\" is missing")
	}
	return word
}

func (l *loader) quantifier(s *pattern.Step, fields map[string]source.Node) {
	flag := func(key string) bool { return fields[key].Exists() && fields[key].Bool() }
	s.Optional, s.Consecutive = flag("optional"), flag("consecutive")
	s.Combinations, s.Greedy = flag("combinations"), flag("greedy")
	t := fields["times"]
	switch {
	case s.Not != pattern.NotNegated:
		s.Times = pattern.Times{}
		if t.Exists() {
			t.Faultf("a negated step cannot have times")
		}
	case flag("oneOrMore"):
		s.Times = pattern.OneOrMore
		if t.Exists() {
			t.Faultf("expected only one of times and oneOrMore")
		}
	case t.IsMap():
		f := t.Fields("min", "max")
		s.Times = pattern.Times{Min: 0, Max: pattern.Unbounded}
		if f["min"].Exists() {
			s.Times.Min = int(f["min"].Int(0, 10_000))
		}
		if f["max"].Exists() {
			s.Times.Max = int(f["max"].Int(1, 10_000))
		}
		if s.Times.Max != pattern.Unbounded && s.Times.Max < s.Times.Min {
			t.Faultf("times: max is less than min")
		}
	case t.Exists():
		n := int(t.Int(1, 10_000))
		s.Times = pattern.Times{Min: n, Max: n}
	}
}

// stepEvent reads the event of a step. As in `on`, any name may come from the events
// topic; Check finds those that are probably misspelled.
func (l *loader) stepEvent(n source.Node) descriptor {
	text := n.String() // notes the fault if it is not a string
	if !n.IsString() {
		return descriptor{}
	}
	d, ok := parseDescriptor(text)
	if !ok {
		n.Faultf("event %q: expected a name, * for every event, or a name and .* for all events that begin with it", text)
	}
	return d
}

// ackStatuses are the statuses of a device's acknowledgement of a command.
var ackStatuses = []string{"accepted", "succeeded", "failed", "rejected"}

// outcomes are the ends of a command that the service decides.
var outcomes = []string{"expired", "cancelled", "superseded", "exhausted"}

// isOutcome reports whether only the service ends a command with this status. Under the
// first edition, exhausted was like any other word of a device.
func (m *Model) isOutcome(status string) bool {
	return slices.Contains(outcomes, status) && (status != "exhausted" || m.edition >= EditionNow)
}
