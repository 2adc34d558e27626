package devicefsm

import (
	"slices"
	"strings"
	"sync"

	"devicetwin/internal/expression"
	"devicetwin/source"
)

// planEnvironment is the language of the context's expressions in plans.
var planEnvironment = sync.OnceValues(func() (*expression.Env, error) {
	return expression.New(expression.Options{Objects: []string{"context"}})
})

// itemName is how plans name something of a state.
func itemName(s *state, word, name string) string {
	return strings.TrimSpace(s.path + " " + word + " " + name)
}

// timersOf are the delays of a model by their names in plans, and in its order.
func (m *Model) timersOf() (names []string, keys map[string]timerKey) {
	keys = map[string]timerKey{}
	for _, s := range m.states {
		for i, name := range s.timerNames() {
			name = itemName(s, "after", name)
			names = append(names, name)
			keys[name] = timerKey{s.index, i}
		}
	}
	return names, keys
}

func (m *Model) invocationsOf() (names []string, keys map[string]timerKey) {
	keys = map[string]timerKey{}
	for _, s := range m.states {
		for i, name := range s.invocationNames() {
			name = itemName(s, "invoke", name)
			names = append(names, name)
			keys[name] = timerKey{s.index, i}
		}
	}
	return names, keys
}

func (m *Model) schedulesOf() (names []string, keys map[string]*schedule) {
	keys = map[string]*schedule{}
	for _, s := range m.states {
		for _, of := range s.schedules {
			name := itemName(s, "schedule", of.name)
			names = append(names, name)
			keys[name] = of
		}
	}
	return names, keys
}

// items reads the images of the items of the old model, and calls f for those that are
// something of the new one.
func (r *planReader) items(part, what string, given map[string]PlanItem, old, new, words, gone []string, f func(from, to string, do string)) {
	unknown(r, part, what, given, old)
	for _, name := range old {
		item, ok := given[name]
		if !ok {
			r.fault(part, name, "%s %q has no image: add it, with one of %s", what, name, strings.Join(append(slices.Clone(words), gone...), ", "))
			continue
		}
		if !r.word(part, name, item.Do, append(slices.Clone(words), gone...)...) {
			continue
		}
		if slices.Contains(gone, item.Do) {
			f(name, "", item.Do)
			continue
		}
		to := item.As
		if to == "" {
			to = name
		}
		if !slices.Contains(new, to) {
			r.hint(part, name, source.DidYouMean(to, new), "the new model has no %s %q: expected as: with another one, or %s", what, to, gone[0])
			continue
		}
		f(name, to, item.Do)
	}
}

func (r *planReader) timers() {
	old, from := r.g.old.timersOf()
	new, to := r.g.new.timersOf()
	r.items("timers", "timer", r.g.plan.Timers, old, new, []string{PlanKeep, PlanRestart, PlanScale, PlanFire}, []string{PlanDrop}, func(name, image, do string) {
		i := timerImage{do: do}
		if image != "" {
			i.to = to[image]
			a, b := r.g.old.states[from[name].state].after[from[name].index], r.g.new.states[i.to.state].after[i.to.index]
			if do == PlanScale && (a.expr != nil || b.expr != nil || a.fixed == 0) {
				r.fault("timers", name, "only a delay of a fixed length can be scaled, to another one")
			}
			r.single("timers", name, image, from[name], i.to, r.g.timers)
		}
		r.g.timers[from[name]] = i
	})
	r.added("new_timers", "timer", r.g.plan.NewTimers, new, to, r.g.timers)
}

// single reports two sources for one target that can be there at once.
func (r *planReader) single(part, name, image string, from, to timerKey, given map[timerKey]timerImage) {
	for _, s := range r.g.old.states {
		for i := range max(len(s.after), len(s.invokes)) {
			other := timerKey{s.index, i}
			if g, ok := given[other]; ok && !isGone(g.do) && g.to == to && r.g.together(s, r.g.old.states[from.state]) {
				r.fault(part, name, "two sources for one target: %q may go on from two at once", image)
				return
			}
		}
	}
}

func isGone(do string) bool { return do == PlanDrop || do == PlanCancel }

// together reports whether two states of the old model may be active at once.
func (g *Migration) together(a, b *state) bool {
	if a == b || a.within(b) || b.within(a) {
		return true
	}
	common := commonAncestor(a, b)
	return common != nil && common.kind == parallel
}

// added reads whether timers or activities start that only the new model has, of states
// in which devices already are.
func (r *planReader) added(part, what string, given map[string]string, names []string, keys map[string]timerKey, images map[timerKey]timerImage) {
	var open []string
	for _, name := range names {
		if !r.g.hasSource(keys[name], images) {
			open = append(open, name)
		}
	}
	for _, name := range sortedOf(given) {
		if slices.Contains(names, name) && !slices.Contains(open, name) {
			r.fault(part, name, "%s %q goes on from what was running in the old model, or its state is never an image", what, name)
		}
	}
	unknown(r, part, what, given, names)
	for _, name := range open {
		if do, ok := given[name]; ok {
			r.word(part, name, do, PlanStart, PlanSkip)
		} else {
			r.fault(part, name, "%s %q is only in the new model: add it, with %s or %s", what, name, PlanStart, PlanSkip)
		}
	}
}

// hasSource reports whether all states of which the state of a timer is the image have one
// that it goes on from.
func (g *Migration) hasSource(key timerKey, images map[timerKey]timerImage) bool {
	for _, from := range g.sources[key.state] {
		if !g.goesOnFrom(from, key, images) {
			return false
		}
	}
	return true
}

func (g *Migration) goesOnFrom(state int, key timerKey, images map[timerKey]timerImage) bool {
	s := g.old.states[state]
	for i := range max(len(s.after), len(s.invokes)) {
		if image, ok := images[timerKey{state, i}]; ok && !isGone(image.do) && image.to == key {
			return true
		}
	}
	return false
}

func (r *planReader) invocations() {
	old, from := r.g.old.invocationsOf()
	new, to := r.g.new.invocationsOf()
	r.items("invocations", "activity", r.g.plan.Invocations, old, new, []string{PlanKeep, PlanRestart}, []string{PlanCancel}, func(name, image, do string) {
		i := timerImage{do: do}
		if image != "" {
			i.to = to[image]
			a, b := r.g.old.states[from[name].state].invokes[from[name].index], r.g.new.states[i.to.state].invokes[i.to.index]
			if do == PlanKeep && a.src != b.src {
				r.fault("invocations", name, "activity %q does not become %q by going on: expected %s or %s", a.src, b.src, PlanRestart, PlanCancel)
			}
			r.single("invocations", name, image, from[name], i.to, r.g.invocations)
		}
		r.g.invocations[from[name]] = i
	})
	r.added("new_invocations", "activity", r.g.plan.NewInvocations, new, to, r.g.invocations)
}

func (r *planReader) schedules() {
	old, from := r.g.old.schedulesOf()
	new, to := r.g.new.schedulesOf()
	taken := map[string]string{}
	r.items("schedules", "schedule", r.g.plan.Schedules, old, new, []string{PlanKeep, PlanRestart}, []string{PlanDrop}, func(name, image, do string) {
		if image == "" {
			return
		}
		if other := taken[image]; other != "" && r.g.together(from[other].state, from[name].state) {
			r.fault("schedules", name, "two sources for one target: %q and %q for %q", other, name, image)
		}
		taken[image] = name
		r.g.schedules[from[name]] = scheduleImage{do, to[image]}
	})
}

func (r *planReader) patterns() {
	old, new := patternNames(r.g.old), patternNames(r.g.new)
	r.g.patterns = make([]patternImage, len(new))
	for i := range r.g.patterns {
		r.g.patterns[i].from = -1
	}
	r.items("patterns", "pattern", r.g.plan.Patterns, old, new, []string{PlanKeep, PlanReplay}, []string{PlanDrop}, func(name, image, do string) {
		if image == "" {
			return
		}
		from, to := slices.Index(old, name), slices.Index(new, image)
		if r.g.patterns[to].from >= 0 {
			r.fault("patterns", name, "two sources for one target: %q and %q for %q", old[r.g.patterns[to].from], name, image)
		}
		i := patternImage{itemImage: itemImage{from, do}}
		if do == PlanKeep {
			if i.same, i.whole = sameElements(r.g.old, r.g.new, from, to); i.same == 0 {
				r.fault("patterns", name, "no partial match of %q can go on: what its first step means is different; expected %s or %s", name, PlanReplay, PlanDrop)
			}
		}
		r.g.patterns[to] = i
	})
}

func patternNames(m *Model) []string {
	var names []string
	for _, p := range m.patterns {
		names = append(names, p.name)
	}
	return names
}

// sameElements is how many elements two sequences begin with that mean the same, also by their
// events; whole says that these are all of both.
func sameElements(old, new *Model, from, to int) (same int, whole bool) {
	a, b := old.written.patterns[from], new.written.patterns[to]
	for _, name := range []string{"contiguity", "distinct"} {
		if settingOf(a, name) != settingOf(b, name) {
			return 0, false
		}
	}
	if !keepsEnough(old.patterns[from], new.patterns[to]) {
		return 0, false
	}
	i := 0
	for i < min(len(a.Steps), len(b.Steps)) && a.Steps[i] == b.Steps[i] && sameMeaning(old, new, a.events[i]...) {
		if !a.negated[i] {
			same++
		}
		i++
	}
	return same, i == len(a.Steps) && i == len(b.Steps)
}

// settingOf is a setting as it was written; those that are left out are the default ones.
func settingOf(s Section, name string) string {
	for _, f := range s.Settings {
		if f.Name == name {
			return f.Text
		}
	}
	if name == "contiguity" {
		return "relaxed"
	}
	return ""
}

// keepsEnough reports whether a pattern remembers of its events what another version of it
// would have remembered.
func keepsEnough(old, new *patternRule) bool {
	for _, s := range new.steps {
		if s.reads == nil {
			continue
		}
		at := slices.IndexFunc(old.steps, func(o *patternStep) bool { return o.name == s.name })
		if at >= 0 && (old.steps[at].reads == nil || !old.steps[at].reads.event.covers(&s.reads.event)) {
			return false
		}
	}
	return true
}

// covers reports whether all that is read by other is read.
func (r *reads) covers(other *reads) bool {
	if r.all || other.all {
		return r.all
	}
	for k, inner := range other.of { //workflowcheck:ignore // all of them, in any order
		if r.of[k] == nil || !r.of[k].covers(inner) {
			return false
		}
	}
	return true
}

func (r *planReader) windows() {
	var old, new []string
	for _, w := range r.g.old.windows {
		old = append(old, w.name)
	}
	for _, w := range r.g.new.windows {
		new = append(new, w.name)
	}
	r.g.windows = r.named("windows", "window", r.g.plan.Windows, old, new, func(from, to int) bool { return sameWindow(r.g.old, r.g.new, from, to) })
}

// sameWindow reports whether two windows count the same in the same panes: also the models mean the
// same by the event. How long they wait for late events may differ.
func sameWindow(old, new *Model, from, to int) bool {
	a, b := old.windows[from], new.windows[to]
	text := func(e *expr) string {
		if e == nil {
			return ""
		}
		return e.source
	}
	return a.event == b.event && sameMeaning(old, new, a.event) && text(a.where) == text(b.where) && text(a.value) == text(b.value) && a.spec.Aggregate == b.spec.Aggregate &&
		a.spec.Over == b.spec.Over && a.spec.Slide == b.spec.Slide && a.unit == b.unit && a.zone == b.zone
}

func (r *planReader) alarms() {
	var old, new []string
	for _, a := range r.g.old.alarms {
		old = append(old, a.name)
	}
	for _, a := range r.g.new.alarms {
		new = append(new, a.name)
	}
	r.g.alarms = r.named("alarms", "alarm", r.g.plan.Alarms, old, new, func(from, to int) bool { return sameAlarm(r.g.old, r.g.new, from, to) })
}

// sameAlarm reports whether two alarms begin and end by the same events, of the same things, and the
// models mean the same by these events.
// Which alarm explains them may differ: that is looked at when something changes.
func sameAlarm(old, new *Model, from, to int) bool {
	a, b := old.alarms[from], new.alarms[to]
	return slices.Equal(a.begins, b.begins) && slices.Equal(a.ends, b.ends) && a.by == b.by &&
		sameMeaning(old, new, slices.Concat(a.begins, a.ends)...)
}

// named reads the images of windows or alarms: for each new one, what it goes on from.
func (r *planReader) named(part, what string, given map[string]PlanItem, old, new []string, same func(from, to int) bool) []itemImage {
	images := make([]itemImage, len(new))
	for i := range images {
		images[i].from = -1
	}
	r.items(part, what, given, old, new, []string{PlanKeep}, []string{PlanDrop}, func(name, image, do string) {
		if image == "" {
			return
		}
		from, to := slices.Index(old, name), slices.Index(new, image)
		switch {
		case images[to].from >= 0:
			r.fault(part, name, "two sources for one target: %q and %q for %q", old[images[to].from], name, image)
		case !same(from, to):
			r.fault(part, name, "%s %q does not go on as %q: the two do not mean the same; expected %s", what, name, image, PlanDrop)
		}
		images[to] = itemImage{from, do}
	})
	return images
}
