package plan

import (
	"slices"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/diff"
)

// Derive is a plan in which everything stays what it is, as far as the two models allow it.
// What it cannot know is empty, for a person to fill in: see Write.
func Derive(old, new *devicefsm.Model) devicefsm.Plan {
	d := deriver{old: old.Outline(), new: new.Outline()}
	d.images = diff.Compare(old, new).States
	d.states = map[string]devicefsm.StateOutline{}
	for _, s := range d.new.States {
		d.states[s.Path] = s
	}
	p := devicefsm.Plan{
		Model: d.new.Name, From: d.old.Hash, To: d.new.Hash, States: map[string][]string{}, Regions: map[string]string{}, History: map[string]string{},
		Context: d.context(), Entry: map[string]string{}, Raises: map[string]string{}, Always: devicefsm.PlanHold,
		Timers:      d.items("after", func(s devicefsm.StateOutline) []string { return s.Timers }, devicefsm.PlanDrop),
		Invocations: d.items("invoke", invocations, devicefsm.PlanCancel),
		Schedules:   d.items("schedule", schedules, devicefsm.PlanDrop),
		Patterns:    d.sections(d.old.Patterns, d.new.Patterns, "pattern"),
		Windows:     d.sections(d.old.Windows, d.new.Windows, "window"),
		Alarms:      d.sections(d.old.Alarms, d.new.Alarms, "alarm"),
	}
	d.chart(&p)
	p.NewTimers = d.added("after", func(s devicefsm.StateOutline) []string { return s.Timers }, p.Timers)
	p.NewInvocations = d.added("invoke", invocations, p.Invocations)
	d.newRegions(&p)
	for _, name := range d.old.Raises {
		p.Raises[name] = devicefsm.PlanKeep
		if !new.Names(name) {
			p.Raises[name] = devicefsm.PlanDrop
		}
	}
	without(old, new, &p)
	return p
}

type deriver struct {
	old, new devicefsm.Outline
	images   map[string]diff.State
	states   map[string]devicefsm.StateOutline // of the new model
}

func (d *deriver) chart(p *devicefsm.Plan) {
	for _, s := range d.old.States[1:] {
		image, found := d.images[s.Path]
		switch {
		case s.IsHistory() && found:
			p.History[s.Path] = image.Path
		case s.IsHistory():
			p.History[s.Path] = devicefsm.PlanDrop
		case found:
			p.States[s.Path] = []string{image.Path}
		case s.Kind == "atomic" || s.Kind == "final":
			p.States[s.Path] = nil
		}
	}
	for _, s := range d.new.States[1:] {
		if len(s.Entry) > 0 {
			p.Entry[s.Path] = devicefsm.PlanSkip
		}
	}
}

// newRegions are those in which nothing has its image: to be filled in.
func (d *deriver) newRegions(p *devicefsm.Plan) {
	reached := map[string]bool{}
	for _, to := range p.States {
		for _, path := range to {
			reached[path] = true
		}
	}
	for _, s := range d.new.States[1:] {
		if d.states[s.Parent].Kind != "parallel" || s.IsHistory() {
			continue
		}
		inside := false
		for _, other := range d.new.States {
			inside = inside || reached[other.Path] && (other.Path == s.Path || strings.HasPrefix(other.Path, s.Path+"."))
		}
		if !inside {
			p.Regions[s.Path] = ""
		}
	}
}

func (d *deriver) context() map[string]string {
	rules := map[string]string{}
	old, new := keysOf(d.old), keysOf(d.new)
	for _, k := range new {
		switch {
		case slices.Contains(old, k):
			rules[k] = devicefsm.PlanKeep
		case hasKey(d.new.Context, k):
			rules[k] = ""
		default: // an action sets it later: until then it is missing, as in a new device
			rules[k] = devicefsm.PlanDrop
		}
	}
	for _, k := range old {
		if !slices.Contains(new, k) {
			rules[k] = devicefsm.PlanDrop
		}
	}
	return rules
}

func hasKey(m map[string]any, k string) bool {
	_, ok := m[k]
	return ok
}

func keysOf(o devicefsm.Outline) []string {
	keys := slices.Clone(o.Assigned)
	for k := range o.Context {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func invocations(s devicefsm.StateOutline) []string {
	var names []string
	for _, inv := range s.Invocations {
		names = append(names, inv.Src)
	}
	return names
}

func schedules(s devicefsm.StateOutline) []string {
	var names []string
	for _, of := range s.Schedules {
		names = append(names, of.Name)
	}
	return names
}

func itemName(state, word, name string) string {
	return strings.TrimSpace(state + " " + word + " " + name)
}

// items finds what the timers, activities or schedules of each state are in its image: those of
// the same name, and, where each has one more, that.
func (d *deriver) items(word string, of func(devicefsm.StateOutline) []string, gone string) map[string]devicefsm.PlanItem {
	all := map[string]devicefsm.PlanItem{}
	for _, s := range d.old.States {
		image, found := d.images[s.Path]
		names := of(d.states[image.Path])
		for _, name := range of(s) {
			to := name
			if found && !slices.Contains(names, name) && word == "after" {
				to = theOther(of(s), names)
			}
			key := itemName(s.Path, word, name)
			if !found || !slices.Contains(names, to) {
				all[key] = devicefsm.PlanItem{Do: gone}
				continue
			}
			item := devicefsm.PlanItem{Do: devicefsm.PlanKeep}
			if as := itemName(image.Path, word, to); as != key {
				item.As = as
			}
			all[key] = item
		}
	}
	return all
}

// theOther is the only name that only the new list has, where the old one has one such, too.
func theOther(old, new []string) string {
	in := func(list []string) func(string) bool {
		return func(name string) bool { return slices.Contains(list, name) }
	}
	gone, added := slices.DeleteFunc(slices.Clone(old), in(new)), slices.DeleteFunc(slices.Clone(new), in(old))
	if len(gone) == 1 && len(added) == 1 {
		return added[0]
	}
	return ""
}

// added are the timers or activities that states only have in the new model, and that are
// states of devices already.
func (d *deriver) added(word string, of func(devicefsm.StateOutline) []string, given map[string]devicefsm.PlanItem) map[string]string {
	goesOn := map[string]bool{}
	for name, item := range given {
		if item.Do == devicefsm.PlanKeep {
			as := item.As
			if as == "" {
				as = name
			}
			goesOn[as] = true
		}
	}
	all := map[string]string{}
	for _, s := range d.old.States {
		image, found := d.images[s.Path]
		if !found || s.IsHistory() {
			continue
		}
		for _, name := range of(d.states[image.Path]) {
			if key := itemName(image.Path, word, name); !goesOn[key] {
				all[key] = ""
			}
		}
	}
	return all
}

// sections finds what patterns, windows and alarms go on as: those of the same name, or those
// that mean the same.
func (d *deriver) sections(old, new []devicefsm.Section, part string) map[string]devicefsm.PlanItem {
	all := map[string]devicefsm.PlanItem{}
	for _, s := range old {
		has := func(name string) bool {
			return slices.ContainsFunc(new, func(n devicefsm.Section) bool { return n.Name == name })
		}
		if has(s.Name) {
			all[s.Name] = devicefsm.PlanItem{Do: devicefsm.PlanKeep}
			continue
		}
		all[s.Name] = devicefsm.PlanItem{Do: devicefsm.PlanDrop}
		for _, n := range new {
			known := slices.ContainsFunc(old, func(o devicefsm.Section) bool { return o.Name == n.Name })
			taken := false
			for _, item := range all {
				taken = taken || item.As == n.Name
			}
			if !known && !taken && slices.Equal(s.Settings, n.Settings) && slices.Equal(s.Steps, n.Steps) {
				all[s.Name] = devicefsm.PlanItem{Do: devicefsm.PlanKeep, As: n.Name}
				break
			}
		}
	}
	return all
}

// without gives up what cannot go on, as the migration says: windows that count something
// else, and patterns of which not even the first step means the same.
func without(old, new *devicefsm.Model, p *devicefsm.Plan) {
	_, faults := devicefsm.NewMigration(old, new, *p)
	for _, f := range faults {
		for part, items := range map[string]map[string]devicefsm.PlanItem{"patterns": p.Patterns, "windows": p.Windows, "alarms": p.Alarms} {
			if _, given := items[f.Key]; given && f.Part == part {
				items[f.Key] = devicefsm.PlanItem{Do: devicefsm.PlanDrop}
			}
		}
	}
}
