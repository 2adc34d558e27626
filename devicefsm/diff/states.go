package diff

import (
	"fmt"
	"slices"
	"strings"

	"devicetwin/devicefsm"
)

// states compares the charts.
func (c *comparison) states() {
	after := byPath(c.new.States)
	images := map[string]bool{}
	for _, s := range c.old.States {
		image, ok := c.d.States[s.Path]
		if !ok {
			c.add(Change{What: Removed, Part: "state", State: s.Path, Old: s.Kind})
			continue
		}
		images[image.Path] = true
		if image.Guess {
			c.add(Change{What: Renamed, Part: "state", State: image.Path, Old: s.Path, New: image.Path, Guess: true})
		}
		c.state(s, after[image.Path])
	}
	for _, s := range c.new.States {
		if !images[s.Path] {
			c.add(Change{What: Added, Part: "state", State: s.Path, New: s.Kind})
		}
	}
	if a, b := c.orders(images); !slices.Equal(a, b) {
		c.add(Change{What: Moved, Part: "state", Old: strings.Join(a, ", "), New: strings.Join(b, ", ")})
	}
}

// orders are the states that both charts have, by their paths in the new one, in the order of
// either: in that order transitions of regions are chosen and states are entered.
func (c *comparison) orders(images map[string]bool) (old, new []string) {
	for _, s := range c.old.States {
		if image, ok := c.d.States[s.Path]; ok {
			old = append(old, image.Path)
		}
	}
	for _, s := range c.new.States {
		if images[s.Path] {
			new = append(new, s.Path)
		}
	}
	return old, new
}

func byPath(list []devicefsm.StateOutline) map[string]devicefsm.StateOutline {
	all := map[string]devicefsm.StateOutline{}
	for _, s := range list {
		all[s.Path] = s
	}
	return all
}

// state compares what a state does.
func (c *comparison) state(old, new devicefsm.StateOutline) {
	at := new.Path
	text := func(part, before, after string) {
		if before != after {
			c.add(Change{What: what(before, after), Part: part, State: at, Old: before, New: after})
		}
	}
	text("id", old.ID, new.ID)
	text("kind", old.Kind, new.Kind)
	text("initial", initialText(c.images(old.Initial), old.InitialActions), initialText(new.Initial, new.InitialActions))
	text("entry", strings.Join(old.Entry, "; "), strings.Join(new.Entry, "; "))
	text("exit", strings.Join(old.Exit, "; "), strings.Join(new.Exit, "; "))
	text("output", old.Output, new.Output)
	c.timers(old, new)
	c.invocations(old, new)
	c.named("schedule", at, "", old.Schedules, new.Schedules)
	c.transitions(old, new)
}

func what(before, after string) string {
	switch {
	case before == "":
		return Added
	case after == "":
		return Removed
	}
	return Changed
}

func initialText(paths, actions []string) string {
	text := strings.Join(paths, ", ")
	if len(actions) > 0 {
		text += " / " + strings.Join(actions, "; ")
	}
	return text
}

// images are paths of the old chart as those of the new one.
func (c *comparison) images(paths []string) []string {
	var out []string
	for _, p := range paths {
		if image, ok := c.d.States[p]; ok {
			p = image.Path
		}
		out = append(out, p)
	}
	return out
}

func (c *comparison) timers(old, new devicefsm.StateOutline) {
	gone, added := without(old.Timers, new.Timers), without(new.Timers, old.Timers)
	if len(gone) == len(added) {
		for i := range gone {
			c.add(Change{What: Changed, Part: "timer", State: new.Path, Name: "after " + added[i], Old: gone[i], New: added[i]})
		}
		return
	}
	for _, t := range gone {
		c.add(Change{What: Removed, Part: "timer", State: new.Path, Name: "after " + t, Old: t})
	}
	for _, t := range added {
		c.add(Change{What: Added, Part: "timer", State: new.Path, Name: "after " + t, New: t})
	}
}

func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

func (c *comparison) invocations(old, new devicefsm.StateOutline) {
	settings := func(list []devicefsm.InvocationOutline) []devicefsm.Setting {
		var all []devicefsm.Setting
		for _, inv := range list {
			all = append(all, devicefsm.Setting{Name: inv.Src, Text: "input " + inv.Input})
		}
		return all
	}
	c.named("invocation", new.Path, "", settings(old.Invocations), settings(new.Invocations))
}

// transitions compares the candidates of a state, in the order of choice. What waits for a
// delay that is another one now is compared with what waited for the one before.
func (c *comparison) transitions(old, new devicefsm.StateOutline) {
	waits := map[string]string{}
	if gone, added := without(old.Timers, new.Timers), without(new.Timers, old.Timers); len(gone) == len(added) {
		for i := range gone {
			waits["after "+gone[i]] = "after " + added[i]
		}
	}
	before := make([]devicefsm.TransitionOutline, 0, len(old.Transitions))
	for _, t := range old.Transitions {
		t.Targets = c.images(t.Targets)
		if on, ok := waits[t.On]; ok {
			t.On = on
		}
		before = append(before, t)
	}
	gone, added := unmatched(before, new.Transitions), unmatched(new.Transitions, before)
	if len(gone) == 0 && len(added) == 0 {
		c.movedTransitions(new, before)
		return
	}
	for _, t := range gone {
		at := slices.IndexFunc(added, func(n devicefsm.TransitionOutline) bool { return n.On == t.On })
		if at < 0 {
			c.add(Change{What: Removed, Part: "transition", State: new.Path, Name: t.On, Old: transitionText(t)})
			continue
		}
		c.add(Change{What: Changed, Part: "transition", State: new.Path, Name: t.On, Old: transitionText(t), New: transitionText(added[at])})
		added = slices.Delete(added, at, at+1)
	}
	for _, t := range added {
		c.add(Change{What: Added, Part: "transition", State: new.Path, Name: t.On, New: transitionText(t)})
	}
}

// movedTransitions notes that the same candidates are tried in another order.
func (c *comparison) movedTransitions(new devicefsm.StateOutline, before []devicefsm.TransitionOutline) {
	text := func(list []devicefsm.TransitionOutline) string {
		var all []string
		for _, t := range list {
			all = append(all, t.On+" "+transitionText(t))
		}
		return strings.Join(all, ", ")
	}
	if a, b := text(before), text(new.Transitions); a != b {
		c.add(Change{What: Moved, Part: "transition", State: new.Path, Old: a, New: b})
	}
}

// unmatched are the transitions of a list that the other has not, as often.
func unmatched(list, other []devicefsm.TransitionOutline) []devicefsm.TransitionOutline {
	rest := map[string]int{}
	for _, t := range other {
		rest[t.On+" "+transitionText(t)]++
	}
	var out []devicefsm.TransitionOutline
	for _, t := range list {
		if key := t.On + " " + transitionText(t); rest[key] > 0 {
			rest[key]--
		} else {
			out = append(out, t)
		}
	}
	return out
}

// transitionText is what a transition does and on what condition: [guard] -> target / actions.
func transitionText(t devicefsm.TransitionOutline) string {
	var parts []string
	if t.Guard != "" {
		parts = append(parts, "["+t.Guard+"]")
	}
	if len(t.Targets) > 0 {
		targets := make([]string, 0, len(t.Targets))
		for _, path := range t.Targets {
			targets = append(targets, stateName(path))
		}
		parts = append(parts, "-> "+strings.Join(targets, ", "))
	}
	if t.Reenter {
		parts = append(parts, "reentering")
	}
	if len(t.Actions) > 0 {
		parts = append(parts, "/ "+strings.Join(t.Actions, "; "))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " ")
}

func stateName(path string) string {
	if path == "" {
		return "the chart"
	}
	return fmt.Sprintf("%q", path)
}
