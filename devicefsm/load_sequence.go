package devicefsm

import (
	"maps"
	"slices"
	"strconv"

	"devicetwin/devicefsm/pattern"
	"devicetwin/source"
)

// sequenceItem is a step or a group of a sequence, in the file.
type sequenceItem struct {
	name string
	node source.Node
	step *patternStep // nil for a group
	// until is the condition that ends it, if it has one.
	until *patternStep
}

// eachCondition calls f for the conditions of an item and their places: its own, and that
// of what ends it.
func (s *sequenceItem) eachCondition(f func(at source.Node, where *expr)) {
	if !s.node.IsMap() {
		return
	}
	fields := s.node.Fields(stepKeys...)
	if s.step != nil && s.step.where != nil {
		f(fields["where"], s.step.where)
	}
	if s.until != nil && s.until.where != nil {
		f(fields["until"].Fields(untilKeys...)["where"], s.until.where)
	}
}

// sequence reads the steps of a pattern.
func (l *loader) sequence(p *patternRule, spec *pattern.Spec, n source.Node) {
	if n.IsList() && len(n.List()) == 0 {
		n.Faultf("the sequence has no steps")
	}
	r := sequenceReader{loader: l, p: p, names: map[string]bool{}}
	if len(n.List()) > pattern.MaxSteps {
		n.Faultf("more than %d steps", pattern.MaxSteps)
		return
	}
	spec.Steps = r.steps(n, 1)
	// What nothing reads is not kept.
	if p.distinct != "" || l.readsMatched(p) {
		l.keepRead(p)
		r.keep(spec.Steps)
	}
}

// sequenceReader reads a sequence and those of the groups in it. The steps of the pattern
// are in the order of the file; then come the conditions of until.
type sequenceReader struct {
	*loader
	p     *patternRule
	names map[string]bool
	depth int
}

// steps reads a sequence. Times is how often it is taken at most, or pattern.Unbounded.
func (r *sequenceReader) steps(n source.Node, times int) []pattern.Step {
	var steps []pattern.Step
	var items []sequenceItem
	for _, at := range n.List() {
		var s pattern.Step
		item := sequenceItem{node: at}
		if hasKey(at, "group") {
			s = r.group(at, times)
		} else {
			item.step = &patternStep{pattern: r.p.name, distinct: r.p.distinct}
			r.p.steps = append(r.p.steps, item.step)
			s = r.step(item.step, at)
		}
		if r.names[s.Name] && !hasKey(at, "name") {
			s.Name += "_" + strconv.Itoa(len(r.names)+1)
		}
		if r.names[s.Name] {
			at.Faultf("duplicate step name %q", s.Name)
		}
		r.names[s.Name] = true
		item.name = s.Name
		if item.step != nil {
			item.step.name, item.step.takes = s.Name, product(s.Times.Max, times)
		}
		if at.IsMap() {
			if u := at.Fields(stepKeys...)["until"]; u.Exists() {
				item.until = r.until(&s, u)
			}
		}
		steps, items = append(steps, s), append(items, item)
	}
	r.sequences[r.p] = append(r.sequences[r.p], items)
	return steps
}

// product is that of two numbers of times, 0 for a negated step.
func product(a, b int) int {
	switch {
	case a == 0 || b == 0:
		return 0
	case a == pattern.Unbounded || b == pattern.Unbounded:
		return pattern.Unbounded
	}
	return a * b
}

// groupKeys are the keys that a group may have.
var groupKeys = []string{
	"group", "name", "times", "oneOrMore", "optional", "consecutive", "combinations", "contiguity", "until", "description",
}

func (r *sequenceReader) group(n source.Node, times int) pattern.Step {
	out := pattern.Step{Name: "group", Times: pattern.Times{Min: 1, Max: 1}}
	fields := n.Fields(groupKeys...)
	if x := fields["name"]; x.Exists() {
		out.Name = x.String()
	}
	r.quantifier(&out, fields)
	if c := fields["contiguity"]; c.Exists() {
		out.Contiguity = contiguities[r.oneOf(c, slices.Sorted(maps.Keys(contiguities))...)]
	}
	g := fields["group"]
	switch {
	case !g.IsList() || len(g.List()) == 0:
		g.Faultf("expected a list of steps")
	case r.depth >= pattern.MaxGroupDepth:
		g.Faultf("groups are nested deeper than %d", pattern.MaxGroupDepth)
	default:
		r.depth++
		out.Group = r.steps(g, product(out.Times.Max, times))
		r.depth--
	}
	return out
}

// untilKeys are the keys of an until that is a mapping.
var untilKeys = []string{"event", "where", "description"}

// until reads what ends a step or a group: an event, or a mapping of event and where.
func (r *sequenceReader) until(s *pattern.Step, n source.Node) *patternStep {
	u := &patternStep{pattern: r.p.name}
	r.p.steps = append(r.p.steps, u)
	switch {
	case n.IsString():
		u.event = r.stepEvent(n)
	case n.IsMap():
		fields := n.Fields(untilKeys...)
		n.Require(fields, "event")
		if e := fields["event"]; e.Exists() {
			u.event = r.stepEvent(e)
		}
		if w := fields["where"]; w.Exists() {
			u.where = r.condition(w, placePattern)
			s.UntilRefs = u.where != nil && u.where.reads["matched"]
		}
	default:
		n.Faultf("expected an event, or a mapping of event and where, found %s", n.Kind())
	}
	s.Until = u.matches
	return u
}

// keep makes the steps keep what is read.
func (r *sequenceReader) keep(steps []pattern.Step) {
	for i := range steps {
		s := &steps[i]
		if s.Group != nil {
			r.keep(s.Group)
			continue
		}
		if s.Not == pattern.NotNegated {
			at := slices.IndexFunc(r.p.steps, func(p *patternStep) bool { return p.name == s.Name })
			s.Keep = r.p.steps[at].keep
		}
	}
}
