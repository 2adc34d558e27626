package replay

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/devicefsm"
)

// compare finds what two results do not have in common, as strings: the moves in their order, and
// what was asked for, of each kind in its order. Ids and times do not count. images are the names
// of recorded states in the new model.
func compare(recorded, replayed *Result, images func(string) string) []Difference {
	var found []Difference
	was, is := textsOf(recorded, images), textsOf(replayed, asIs)
	if len(recorded.Faults) == 0 && len(replayed.Faults) > 0 { // that the words are others does not count
		is[KindFault] = replayed.Faults
	}
	kinds := map[string]bool{}
	for _, all := range []map[string][]string{was, is} {
		for kind := range all {
			kinds[kind] = true
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if a, b := was[kind], is[kind]; !slices.EqualFunc(a, b, func(a, b string) bool { return alike(kind, a, b) }) {
			found = append(found, Difference{Kind: kind, Recorded: strings.Join(a, "; "), Replayed: strings.Join(b, "; ")})
		}
	}
	return found
}

// textsOf are the parts of a result, by their kinds, as strings.
func textsOf(r *Result, images func(string) string) map[string][]string {
	texts := map[string][]string{}
	add := func(kind, text string) { texts[kind] = append(texts[kind], text) }
	for _, t := range r.Transitions {
		add(KindTransition, images(t.From)+arrow+images(t.To))
	}
	for _, name := range r.Matched {
		add(KindMatch, name)
	}
	for _, a := range r.Actions {
		if a.Type != devicefsm.ActionLog { // for people only
			add(a.Type, actionText(a))
		}
	}
	for _, a := range r.Alarms {
		add(KindAlarm, alarmText(a))
	}
	return texts
}

const arrow = " -> "

// alike reports whether two strings of a kind say the same. The image of a state may be one that
// has states in it.
func alike(kind, recorded, replayed string) bool {
	if recorded == replayed {
		return true
	}
	if kind != KindTransition {
		return false
	}
	a, b := strings.Split(recorded, arrow), strings.Split(replayed, arrow)
	return len(a) == 2 && len(b) == 2 && within(b[0], a[0]) && within(b[1], a[1])
}

func within(state, of string) bool { return state == of || strings.HasPrefix(state, of+".") }

// actionText is what an action asks for.
func actionText(a devicefsm.Action) string {
	var b strings.Builder
	if a.Type == devicefsm.ActionCancel {
		return "cancel" // the activity has no other name than its id
	}
	b.WriteString(a.Name)
	if a.Src != "" {
		fmt.Fprintf(&b, " by %s %s", a.Src, a.To)
	}
	if len(a.Data) > 0 {
		raw, _ := json.Marshal(a.Data) // it is JSON
		b.WriteString(" ")
		b.Write(raw)
	}
	if a.TTL > 0 {
		fmt.Fprintf(&b, " ttl %s", a.TTL)
	}
	for _, flag := range []struct {
		set  bool
		text string
	}{{a.Retain, " retained"}, {a.Replace, " replaces"}, {a.Within > 0, " within " + a.Within.String()}, {a.MaxDeliveries > 0, fmt.Sprintf(" at most %d times", a.MaxDeliveries)}} {
		if flag.set {
			b.WriteString(flag.text)
		}
	}
	return strings.TrimSpace(b.String())
}

func alarmText(a devicefsm.AlarmChange) string {
	word := "raised"
	if a.Ended {
		word = "ended"
	}
	return strings.Join(strings.Fields(a.Alarm+" "+a.Key+" "+word), " ")
}

// surplus is how much more there is of each name in a result than was recorded: of states that are
// entered, of activities, commands, receivers, topics, patterns and alarms. Names of which there is
// as much are not in it.
func surplus(recorded, replayed *Result, images func(string) string) map[string]int {
	counts := map[string]int{}
	was, is := movesOf(recorded, images), movesOf(replayed, asIs)
	for _, m := range was { // those that are alike are left out: an image may be a state with states in it
		at := slices.IndexFunc(is, func(other Move) bool { return within(other.From, m.From) && within(other.To, m.To) })
		if at < 0 {
			m.count(counts, -1)
		} else {
			is = slices.Delete(is, at, at+1)
		}
	}
	for _, m := range is {
		m.count(counts, 1)
	}
	recorded.count(counts, -1)
	replayed.count(counts, 1)
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
	return counts
}

// count adds what there is in a result but for its changes of state, each as often as it is.
func (r *Result) count(counts map[string]int, sign int) {
	for _, name := range r.Matched {
		counts[name] += sign
	}
	for _, a := range r.Alarms {
		if !a.Ended {
			counts[a.Alarm] += sign
		}
	}
	for _, a := range r.Actions {
		name := a.Name
		switch a.Type {
		case devicefsm.ActionCancel, devicefsm.ActionLog:
			continue
		case devicefsm.ActionProcess:
			name = a.Src // Name is that of an event
		}
		if name != "" {
			counts[name] += sign
		}
	}
}

func movesOf(r *Result, images func(string) string) []Move {
	moves := make([]Move, len(r.Transitions))
	for i, t := range r.Transitions {
		moves[i] = Move{From: images(t.From), To: images(t.To)}
	}
	return moves
}

// count adds the states that a move enters, of each region, and the states that those are in. One
// that leads to where it begins enters that again.
func (m Move) count(counts map[string]int, sign int) {
	from := around(m.From)
	for state := range around(m.To) {
		if !from[state] {
			counts[state] += sign
		}
	}
	if m.From == m.To {
		for leaf := range strings.SplitSeq(m.To, ",") {
			counts[leaf] += sign
		}
	}
}

// around are the active states of a configuration, by its name, and all that they are in.
func around(name string) map[string]bool {
	states := map[string]bool{}
	for leaf := range strings.SplitSeq(name, ",") {
		for i, c := range leaf {
			if c == '.' {
				states[leaf[:i]] = true
			}
		}
		states[leaf] = true
	}
	return states
}

// Names reports which of some names a model has for what Report.Added counts.
func Names(m *devicefsm.Model) map[string]bool {
	o := m.Outline()
	names := map[string]bool{}
	for _, s := range o.States {
		if !s.IsHistory() {
			names[s.Path] = true
		}
	}
	for _, list := range [][]devicefsm.Section{o.Patterns, o.Alarms} {
		for _, s := range list {
			names[s.Name] = true
		}
	}
	for _, list := range [][]string{m.Sources(), m.Effects()} {
		for _, name := range list {
			names[name] = true
		}
	}
	delete(names, "")
	return names
}
