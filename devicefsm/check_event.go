package devicefsm

import (
	"maps"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/devicefsm/pattern"
	"devicetwin/source"
)

// events finds transitions that wait for an event that nothing makes. What a
// device publishes under its events topic needs no rule, so that any name may
// come from there; a name that is nearly one of the model's is nevertheless a
// mistake, and so is one of the service's that it never makes.
func (c *checker) events() {
	made := c.made()
	names := slices.Sorted(maps.Keys(made))
	for _, s := range c.m.states {
		n := c.nodes[s.index]["on"]
		if !n.Exists() {
			continue
		}
		for _, e := range n.Entries() {
			c.event(e, made, names)
		}
	}
}

// made are the events that the model itself names or raises.
func (c *checker) made() map[string]bool {
	made := maps.Clone(c.m.events)
	maps.Copy(made, c.raised)
	return made
}

// stepEvents does the same for the steps of a pattern, which sees what comes from
// outside, and nothing that a pattern raises.
func (c *checker) stepEvents(items []sequenceItem) {
	made := c.made()
	names := slices.Sorted(maps.Keys(made))
	for _, item := range items {
		for _, at := range item.events() {
			switch name := at.String(); {
			case c.m.isFound(name) && !c.m.hasRule(name):
				at.Faultf("event %q never occurs here: patterns do not see the events that patterns and windows raise", name)
			default:
				c.event(source.Entry{Key: name, KeyAt: at}, made, names)
			}
		}
	}
}

// events are the places of the events that a step waits for, or that end it.
func (s *sequenceItem) events() []source.Node {
	if !s.node.IsMap() {
		return []source.Node{s.node}
	}
	var all []source.Node
	fields := s.node.Fields(stepKeys...)
	for _, word := range []string{"event", "notNext", "notFollowedBy"} {
		if fields[word].IsString() {
			all = append(all, fields[word])
		}
	}
	switch until := fields["until"]; {
	case until.IsString():
		all = append(all, until)
	case until.IsMap():
		all = append(all, until.Fields(untilKeys...)["event"])
	}
	return all
}

func (c *checker) event(e source.Entry, made map[string]bool, names []string) {
	d, ok := parseDescriptor(e.Key)
	name := d.name
	switch {
	case !ok || d.wild && d.name == "":
	case (name == device.EventSilent || name == device.EventAlive) && c.m.silentAfter == 0:
		e.KeyAt.FaultHint("for example liveness: {silent_after: 5m, tolerance: 30s}", "event %q is never raised: the model has no liveness", name)
	case !d.wild && (isProcessEnd(name) || name == device.EventProcess) && c.m.process == nil:
		e.KeyAt.FaultHint("for example process: {event: purchase, src: call, to: billing}", "event %q is never raised: the model has no process", name)
	case d.wild && slices.ContainsFunc(names, d.matches), made[name]:
	case !d.wild && (isAckName(name) || isOutcomeName(name)), name == device.EventReprovision, name == device.EventProcess, d.wild && slices.Contains([]string{"operator", "done", "error"}, name), strings.HasPrefix(name, "twin."), strings.HasPrefix(name, "done."), strings.HasPrefix(name, "error."):
	case device.ReservedName(name):
		e.KeyAt.FaultHint(source.DidYouMean(name, names), "event %q never occurs: names that begin like this are reserved for the service", name)
	case len(c.m.rules) > 0 && !d.wild:
		if hint := source.DidYouMean(name, near(name, names)); hint != "" {
			e.KeyAt.FaultHint(hint, "nothing in this model makes event %q", name)
		}
	}
}

// near are the names that one slip of the finger makes out of another, of five
// letters or more.
func near(name string, names []string) []string {
	if len(name) < 5 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !oneSlip(name, n) })
}

// oneSlip reports whether two strings differ by one letter too many, too few or
// wrong, or by two neighbours exchanged.
func oneSlip(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}

func isAckName(name string) bool {
	i := strings.LastIndexByte(name, '.')
	return i > 0 && slices.Contains(ackStatuses, name[i+1:])
}

// isOutcomeName reports whether the service makes the event when it ends a
// command itself.
func isOutcomeName(name string) bool {
	i := strings.LastIndexByte(name, '.')
	return i > 0 && slices.Contains(outcomes, name[i+1:])
}

// rules finds rules of events that never get a message, because one before them
// takes all of them.
func (c *checker) rules() {
	n := c.root.Fields(slices.Concat(modelKeys, chartKeys)...)["events"]
	if !n.Exists() {
		return
	}
	entries := n.Entries()
	for i, later := range c.m.rules {
		for _, earlier := range c.m.rules[:i] {
			if earlier.channel == later.channel && (earlier.name == "" || earlier.name == later.name) &&
				(earlier.when == nil || later.when == earlier.when) && i < len(entries) {
				entries[i].KeyAt.Faultf("event %q never occurs: the rule of %q before it takes all of its messages", later.event, earlier.event)
				break
			}
		}
	}
}

// patterns finds patterns that can't match, beyond what Load refuses.
func (c *checker) patterns() {
	n := c.root.Fields(slices.Concat(modelKeys, chartKeys)...)["patterns"]
	if !n.Exists() {
		return
	}
	for i, e := range n.Entries() {
		if i >= len(c.m.patterns) {
			return
		}
		p := c.m.patterns[i]
		fields := e.Value.Fields(patternKeys...)
		if p.while != nil && !c.reached.has(p.while.index) {
			fields["while"].Faultf("pattern %q never matches: state %q is never entered", p.name, p.while.path)
		}
		for _, key := range []string{"within", "max_idle"} {
			if f := fields[key]; f.Exists() && f.Duration() == 0 {
				f.Faultf("%s of 0 sets no bound; expected at least 1ms", key)
			}
		}
		strict := fields["contiguity"].Exists() && contiguities[fields["contiguity"].String()] == pattern.Strict
		for i, items := range c.sequences[p] {
			c.stepEvents(items)
			c.forbidden(p, items, strict)
			for _, item := range items {
				item.eachCondition(func(n source.Node, where *expr) {
					c.keptIn(n, where, p.keptOf)
					c.unknownSteps(n, where, []*patternRule{p})
				})
			}
			steps := sequenceOf(items)
			c.greedyBefore(p, steps)
			if i == len(c.sequences[p])-1 { // the pattern's own
				c.ineffectiveAbsences(p, steps)
			}
		}
	}
	c.keptInChart()
	c.matchedInChart()
}

// forbidden finds a step that the one before it forbids.
func (c *checker) forbidden(p *patternRule, items []sequenceItem, strict bool) {
	for i := 1; i < len(items); i++ {
		not, step := items[i-1].step, items[i].step
		if not == nil || step == nil || !items[i-1].node.IsMap() || not.where != nil {
			continue
		}
		before := items[i-1].node.Fields(stepKeys...)
		mode := strict
		if items[i].node.IsMap() {
			own := items[i].node.Fields(stepKeys...)
			if own["notNext"].Exists() || own["notFollowedBy"].Exists() || own["optional"].Exists() || own["times"].IsMap() {
				continue
			}
			if own["contiguity"].Exists() {
				mode = contiguities[own["contiguity"].String()] == pattern.Strict
			}
		}
		always := before["notFollowedBy"].Exists() || before["notNext"].Exists() && mode
		if always && (not.event == step.event || not.event.wild && !step.event.wild && not.event.matches(step.event.name)) {
			items[i].node.Faultf("pattern %q never matches: the step before forbids this event", p.name)
		}
	}
}

// cancels finds a cancel with an id that no raise has.
func (c *checker) cancels() {
	ids := map[string]bool{}
	c.eachBlock(func(a action) {
		if x, ok := a.(raiseAction); ok && x.id != "" {
			ids[x.id] = true
		}
	})
	c.cancelNodes(c.root, "", slices.Sorted(maps.Keys(ids)))
}

func (c *checker) cancelNodes(n source.Node, key string, ids []string) {
	switch {
	case n.IsList():
		for _, e := range n.List() {
			c.cancelNodes(e, key, ids)
		}
	case n.IsMap():
		for _, e := range n.Entries() {
			switch {
			case plainKeys[e.Key] && !orderedKeys[key]:
			case e.Key == "cancel" && !orderedKeys[key] && e.Value.IsString():
				if id := e.Value.String(); !slices.Contains(ids, id) {
					e.Value.FaultHint(source.DidYouMean(id, ids), "cancel: no delayed raise has the id %q", id)
				}
			default:
				c.cancelNodes(e.Value, inside(key, e.Key), ids)
			}
		}
	}
}
