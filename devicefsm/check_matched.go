package devicefsm

import (
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"

	"devicetwin/source"
)

// stepKey is a key of `matched` that an expression names.
type stepKey struct {
	name  string
	asked bool // somewhere in the expression, whether it is there
}

// stepKeys are the keys of `matched`, or of event.matched, that an expression reads.
func (e *expr) stepKeys() []stepKey {
	paths := []string{"matched"}
	if e.place == placeChart {
		paths = []string{"event.matched", `event["matched"]`}
	}
	var keys []stepKey
	ast.PostOrderVisit(e.root, ast.NewExprVisitor(func(x ast.Expr) {
		of, name, asked, ok := memberOf(x)
		if !ok || !slices.Contains(paths, sourcePath(of)) {
			return
		}
		i := slices.IndexFunc(keys, func(k stepKey) bool { return k.name == name })
		if i < 0 {
			keys, i = append(keys, stepKey{name: name}), len(keys)
		}
		keys[i].asked = keys[i].asked || asked
	}))
	return keys
}

// matchedInChart looks at the expressions of the chart. Those of a transition that waits
// for a pattern read what its steps took. What the event is elsewhere depends on what
// happened: there, only a name that is nearly a step's is a mistake.
func (c *checker) matchedInChart() {
	if len(c.m.patterns) == 0 {
		return
	}
	waits := map[[2]int][]*patternRule{}
	for _, s := range c.m.states {
		n := c.nodes[s.index]["on"]
		if !n.Exists() {
			continue
		}
		for _, e := range n.Entries() {
			for _, p := range c.m.patterns {
				if e.Key == p.name || e.Key == p.timeout {
					eachScalar(e.Value, func(n source.Node) {
						line, column := n.Position()
						at := [2]int{line, column}
						waits[at] = append(waits[at], p)
					})
				}
			}
		}
	}
	for _, ref := range c.refs {
		if ref.expr.place != placeChart || !ref.expr.readsMatch {
			continue
		}
		line, column := ref.node.Position()
		c.unknownSteps(ref.node, ref.expr, waits[[2]int{line, column}])
	}
}

// eachScalar calls f for every value inside of a node that has none inside.
func eachScalar(n source.Node, f func(source.Node)) {
	switch {
	case n.IsList():
		for _, e := range n.List() {
			eachScalar(e, f)
		}
	case n.IsMap():
		for _, e := range n.Entries() {
			eachScalar(e.Value, f)
		}
	default:
		f(n)
	}
}

// unknownSteps finds names in `matched` that no step has: without has() they are a fault at
// run time, with it a condition that is never true. The expression reads the match of one
// of these patterns; without any, of some pattern, or something else.
func (c *checker) unknownSteps(n source.Node, e *expr, of []*patternRule) {
	for _, key := range e.stepKeys() {
		takes := func(p *patternRule) bool { return p.keptOf(key.name) != nil }
		if slices.ContainsFunc(of, takes) {
			continue
		}
		if (len(of) == 0 || key.asked) && slices.ContainsFunc(c.m.patterns, takes) {
			continue // has() may be there because several patterns share the expression
		}
		names := takingSteps(of)
		if len(of) == 0 {
			names = slices.DeleteFunc(takingSteps(c.m.patterns), func(name string) bool { return len(name) < 4 || !oneSlip(key.name, name) })
			if len(names) == 0 {
				continue
			}
		}
		path := "matched." + key.name
		if e.place == placeChart {
			path = "event." + path
		}
		offset := 0
		if before, _, found := strings.Cut(e.source, path); found {
			offset = utf8.RuneCountInString(before + strings.TrimSuffix(path, key.name))
		}
		n.FaultInside(offset, hintOfSteps(key.name, names), "%s never exists: %s", path, c.whyNoStep(key.name, of))
	}
}

func hintOfSteps(name string, names []string) string {
	if hint := source.DidYouMean(name, names); hint != "" || len(names) == 0 {
		return hint
	}
	return "there are: " + strings.Join(names, ", ")
}

// takingSteps are the names of the steps that take events.
func takingSteps(patterns []*patternRule) []string {
	var names []string
	for _, p := range patterns {
		for _, s := range p.steps {
			if s.takes != 0 && !slices.Contains(names, s.name) {
				names = append(names, s.name)
			}
		}
	}
	return names
}

// whyNoStep says what a name is, if it is not a step that takes events.
func (c *checker) whyNoStep(name string, of []*patternRule) string {
	for _, p := range of {
		for _, items := range c.sequences[p] {
			for _, item := range items {
				switch {
				case item.name != name:
				case item.step == nil:
					return "of the group, only the steps have events"
				default:
					return "the step is an absence, and takes no event"
				}
			}
		}
	}
	if len(of) == 1 {
		return "pattern \"" + of[0].name + "\" has no step of this name"
	}
	return "no pattern has a step of this name"
}
