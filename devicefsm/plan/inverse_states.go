package plan

import (
	"maps"
	"slices"

	"devicetwin/devicefsm"
)

// chart is what a state is in, and what kind it is.
type chart struct {
	states []devicefsm.StateOutline // the first is the whole chart
	at     map[string]devicefsm.StateOutline
}

func newChart(m *devicefsm.Model) chart {
	c := chart{states: m.Outline().States, at: map[string]devicefsm.StateOutline{}}
	for _, s := range c.states {
		c.at[s.Path] = s
	}
	return c
}

// ancestors are what a state is in, the nearest first, and the whole chart last.
func (c chart) ancestors(path string) []string {
	var all []string
	for s := c.at[path]; s.Depth > 0; s = c.at[s.Parent] {
		all = append(all, s.Parent)
	}
	return all
}

// within reports whether a state is another one, or in it.
func (c chart) within(path, in string) bool {
	return path == in || slices.Contains(c.ancestors(path), in)
}

// together reports whether two states are in different regions of a parallel state.
func (c chart) together(a, b string) bool {
	if c.within(a, b) || c.within(b, a) {
		return false
	}
	for _, in := range c.ancestors(a) {
		if c.within(b, in) {
			return c.at[in].Kind == "parallel"
		}
	}
	return false
}

// regions are the regions of a parallel state.
func (c chart) regions(of string) []string {
	var all []string
	for _, s := range c.states[1:] {
		if s.Parent == of && !s.IsHistory() {
			all = append(all, s.Path)
		}
	}
	return all
}

// begins are the atomic states with which a state begins.
func (c chart) begins(path string) []string {
	s := c.at[path]
	var all []string
	switch s.Kind {
	case "compound":
		for _, to := range s.Initial {
			all = append(all, c.begins(to)...)
		}
	case "parallel":
		for _, r := range c.regions(path) {
			all = append(all, c.begins(r)...)
		}
	case "history", "deep history":
	default:
		all = []string{path}
	}
	return all
}

// states are the images on the way back. States of several regions that have become one come back
// together, and those that became several come back from each of them, if nothing else does.
func (v *inversion) states(derived map[string][]string, old, new chart) map[string][]string {
	sources, lists := map[string][]string{}, map[string][]string{}
	for _, path := range slices.Sorted(maps.Keys(v.p.States)) {
		to := v.p.States[path]
		switch {
		case len(to) > 1:
			for _, t := range to {
				lists[t] = append(lists[t], path)
			}
		case len(to) == 1 && to[0] != devicefsm.PlanHold && to[0] != devicefsm.PlanInitial:
			sources[to[0]] = append(sources[to[0]], path)
		}
	}
	all := map[string][]string{}
	for t := range derived { // one map into another
		switch {
		case len(sources[t]) > 0:
			all[t] = old.joined(sources[t])
		case len(lists[t]) > 0:
			all[t] = lists[t][:1]
		}
	}
	for _, path := range slices.Sorted(maps.Keys(v.p.States)) {
		to := v.p.States[path]
		if len(to) > 1 && slices.ContainsFunc(to, func(t string) bool { return !slices.Equal(all[t], []string{path}) }) {
			v.lose("state %q: what it becomes does not lead back to it alone", path)
		}
	}
	if _, named := old.at[devicefsm.PlanInitial]; !named {
		v.newRegions(all, new)
	}
	for t := range derived { // one map into another
		if all[t] == nil {
			all[t] = []string{devicefsm.PlanHold}
		}
	}
	return all
}

// joined are, of the states that have become one, those that can be active together: the first one,
// and of each other region its state, if it is the only one there.
func (c chart) joined(sources []string) []string {
	inner := slices.DeleteFunc(slices.Clone(sources), func(s string) bool {
		return slices.ContainsFunc(sources, func(other string) bool { return other != s && c.within(other, s) })
	})
	list := inner[:1]
	for _, s := range inner[1:] {
		fits := !slices.ContainsFunc(list, func(x string) bool { return !c.together(x, s) })
		alone := !slices.ContainsFunc(inner, func(other string) bool {
			return other != s && !slices.Contains(list, other) && !c.together(other, s)
		})
		if fits && alone {
			list = append(slices.Clip(list), s)
		}
	}
	return list
}

// newRegions are left to the other ones: a region of which the old model had nothing says nothing
// on the way back, and neither does one where it only began. The first region of a parallel state
// that is the image of something decides in any case.
func (v *inversion) newRegions(all map[string][]string, new chart) {
	is := func(region string) bool {
		for path := range all { // whether there is one, whichever
			if new.within(path, region) {
				return true
			}
		}
		return false
	}
	for _, p := range new.states {
		if p.Kind != "parallel" {
			continue
		}
		regions := new.regions(p.Path)
		decides := slices.IndexFunc(regions, is)
		if decides < 0 {
			continue
		}
		for i, r := range regions {
			if i == decides {
				continue
			}
			silent := new.begins(r)
			if begin := v.p.Regions[r]; begin != "" && begin != devicefsm.PlanInitial {
				silent = new.begins(begin)
			}
			if !is(r) {
				silent = nil
				for _, s := range new.states {
					if (s.Kind == "atomic" || s.Kind == "final") && new.within(s.Path, r) {
						silent = append(silent, s.Path)
					}
				}
			}
			for _, path := range silent {
				if all[path] == nil {
					all[path] = []string{devicefsm.PlanInitial}
				}
			}
		}
	}
}
