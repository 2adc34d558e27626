package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/internal/text"
)

// Inverse is the plan that leads back, as far as this one can be undone, and what of the way
// there and back a device loses, for people. What this one made of several things goes back to
// the first of them.
func (p *Plan) Inverse() (back devicefsm.Plan, lost []string) {
	derived := Derive(p.new, p.old)
	back = derived
	back.Model = p.Model
	v := &inversion{p: p.Plan}
	back.States = v.states(derived.States, newChart(p.old), newChart(p.new))
	v.effects(p.new)
	back.History = v.history(derived.History)
	back.Context = v.context(derived.Context, p.old.Outline())
	back.Timers = v.items("timer", p.Timers, derived.Timers, devicefsm.PlanDrop)
	back.Invocations = v.items("activity", p.Invocations, derived.Invocations, devicefsm.PlanCancel)
	back.Schedules = v.items("schedule", p.Schedules, derived.Schedules, devicefsm.PlanDrop)
	back.Patterns = v.items("pattern", p.Patterns, derived.Patterns, devicefsm.PlanDrop)
	back.Windows = v.items("window", p.Windows, derived.Windows, devicefsm.PlanDrop)
	back.Alarms = v.items("alarm", p.Alarms, derived.Alarms, devicefsm.PlanDrop)
	back.Always = p.Always
	for _, name := range slices.Sorted(maps.Keys(p.Raises)) {
		if do := p.Raises[name]; do != devicefsm.PlanKeep {
			v.lose("events %q that wait for their delay: %s", name, do)
		}
	}
	v.fill(&back, p.new, p.old)
	slices.Sort(v.lost)
	return back, slices.Compact(v.lost)
}

type inversion struct {
	p    devicefsm.Plan
	lost []string
}

// effects names what the way there does in addition to moving the device.
func (v *inversion) effects(to *devicefsm.Model) {
	for _, path := range slices.Sorted(maps.Keys(v.p.Entry)) {
		if v.p.Entry[path] == devicefsm.PlanRun {
			v.lose("what the entry actions of %q change, where the plan runs them", path)
		}
	}
	takes := slices.ContainsFunc(to.Outline().States, func(s devicefsm.StateOutline) bool {
		return slices.ContainsFunc(s.Transitions, func(t devicefsm.TransitionOutline) bool { return t.On == "always" })
	})
	if takes && v.p.Always == devicefsm.PlanTake {
		v.lose("what eventless transitions change that are taken on arrival")
	}
}

func (v *inversion) lose(format string, args ...any) {
	v.lost = append(v.lost, fmt.Sprintf(format, args...))
}

func (v *inversion) history(derived map[string]string) map[string]string {
	all := map[string]string{}
	for path := range derived { // one map into another
		all[path] = devicefsm.PlanDrop
	}
	for _, path := range slices.Sorted(maps.Keys(v.p.History)) {
		if to := v.p.History[path]; to != devicefsm.PlanDrop {
			all[to] = path
		}
	}
	return all
}

// context undoes what was kept, and keys that only got another name. The others begin as in a
// new device.
func (v *inversion) context(derived map[string]string, old devicefsm.Outline) map[string]string {
	all := map[string]string{}
	renamed := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(v.p.Context)) {
		if name, ok := strings.CutPrefix(v.p.Context[key], "context."); ok && isName(name) {
			renamed[name] = key
		}
	}
	keys := keysOf(old)
	for _, key := range slices.Sorted(maps.Keys(derived)) {
		initial, begins := old.Context[key]
		switch {
		case !slices.Contains(keys, key): // only the new model has it
			all[key] = devicefsm.PlanDrop
		case v.p.Context[key] == devicefsm.PlanKeep:
			all[key] = devicefsm.PlanKeep
		case renamed[key] != "":
			all[key] = "context." + renamed[key]
		case begins:
			v.lose("context key %q: it begins with its initial value again", key)
			all[key] = literal(initial)
		default:
			v.lose("context key %q", key)
			all[key] = devicefsm.PlanDrop
		}
	}
	return all
}

func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	})
}

// literal is a JSON value as an expression.
func literal(value any) string {
	s, err := text.JSON(value)
	if err != nil { // a value of a model is always JSON
		return "null"
	}
	return s
}

func (v *inversion) items(what string, given, derived map[string]devicefsm.PlanItem, gone string) map[string]devicefsm.PlanItem {
	all := map[string]devicefsm.PlanItem{}
	for name := range derived { // one map into another
		all[name] = devicefsm.PlanItem{Do: gone}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		item := given[name]
		to := item.As
		if to == "" {
			to = name
		}
		if item.Do == gone {
			v.lose("%s %q", what, name)
			continue
		}
		if item.Do != devicefsm.PlanKeep && item.Do != devicefsm.PlanScale {
			v.lose("%s %q: %s", what, name, item.Do)
		}
		back := devicefsm.PlanItem{Do: devicefsm.PlanKeep}
		if item.Do == devicefsm.PlanScale {
			back.Do = devicefsm.PlanScale
		}
		if to != name {
			back.As = name
		}
		if other := all[to]; other.Do != gone {
			v.lose("%s %q: it goes back as another one that became the same", what, name)
			continue
		}
		all[to] = back
	}
	return all
}

// fill answers what is left open: nothing starts, and regions begin as in a new device.
func (v *inversion) fill(back *devicefsm.Plan, from, to *devicefsm.Model) {
	for _, part := range []map[string]string{back.NewTimers, back.NewInvocations} {
		clear(part)
	}
	clear(back.Regions)
	_, faults := devicefsm.NewMigration(from, to, *back)
	for _, f := range faults {
		switch f.Part {
		case "new_timers":
			back.NewTimers[f.Key] = devicefsm.PlanSkip
		case "new_invocations":
			back.NewInvocations[f.Key] = devicefsm.PlanSkip
		}
	}
	kinds := map[string]string{}
	for _, s := range to.Outline().States { // what a state is in comes before it
		kinds[s.Path] = s.Kind
		if s.Depth > 0 && !s.IsHistory() && kinds[s.Parent] == "parallel" {
			back.Regions[s.Path] = devicefsm.PlanInitial
		}
	}
}
