package devicefsm

import "devicetwin/source"

// sequenceStep is a step of a sequence as the file has it.
type sequenceStep struct {
	*patternStep
	node                      source.Node
	negated, optional, greedy bool
}

// sequenceOf is the steps of a sequence with their words.
func sequenceOf(items []sequenceItem) []sequenceStep {
	list := make([]sequenceStep, len(items))
	for i, item := range items {
		n := item.node
		list[i] = sequenceStep{patternStep: item.step, node: n}
		if !n.IsMap() {
			continue
		}
		own := n.Fields(stepKeys...)
		flag := func(key string) bool { return own[key].Exists() && own[key].Bool() }
		list[i].negated = own["notNext"].Exists() || own["notFollowedBy"].Exists()
		list[i].greedy = flag("greedy") && item.until == nil // until frees what comes after it
		list[i].optional = flag("optional") || own["times"].IsMap() && leastTimes(own["times"]) == 0
	}
	return list
}

func leastTimes(n source.Node) int64 {
	if least := n.Fields("min", "max")["min"]; least.Exists() {
		return least.Int(0, 10_000)
	}
	return 0
}

// ineffectiveAbsences finds absences that the pattern does not wait for, because all that
// comes after them may be left out.
func (c *checker) ineffectiveAbsences(p *patternRule, steps []sequenceStep) {
	for i, s := range steps {
		taken, optional := false, false
		for _, later := range steps[i+1:] {
			taken = taken || !later.negated && !later.optional
			optional = optional || !later.negated
		}
		if s.negated && !taken && optional {
			s.node.FaultHint("write two patterns: one that ends with the absence, and one with the steps after it",
				"pattern %q does not wait for this absence: the steps after it are all optional, so that it matches before", p.name)
		}
	}
}

// greedyBefore finds steps that a greedy step before leaves no event for.
func (c *checker) greedyBefore(p *patternRule, steps []sequenceStep) {
	for j, s := range steps {
		if s.negated || s.optional || s.patternStep == nil {
			continue
		}
		for i := j - 1; i >= 0; i-- {
			before := steps[i]
			if before.greedy && before.event.covers(s.event) && (before.where == nil || before.where == s.where) {
				s.node.FaultHint("greedy never leaves an event to later steps, its maximum or not",
					"pattern %q never matches: greedy step %q takes every event of this step", p.name, before.name)
				break
			}
			if !before.negated {
				break // once it has taken an event, the steps before it no longer count
			}
		}
	}
}
