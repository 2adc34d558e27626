package devicefsm

import (
	"errors"
	"fmt"
	"slices"
)

// Held is why a migration left a device as it was.
type Held struct {
	Reason string
	// byData says that another device in the same configuration may be moved: it depends on the
	// context, the time or what a caller gives.
	byData bool
}

func (h *Held) Error() string { return "the device stays with its model: " + h.Reason }

func held(format string, args ...any) error { return &Held{Reason: fmt.Sprintf(format, args...)} }

func heldByData(format string, args ...any) error {
	return &Held{Reason: fmt.Sprintf(format, args...), byData: true}
}

// placed is where a device is in the new chart.
type placed struct {
	active stateSet
	// entered are the active states that are not the image of a state in which the device was.
	entered stateSet
}

// place finds the image of a configuration; history is what the new history states remember.
func (g *Migration) place(active stateSet, leaves []*state, history map[int][]int) (*placed, error) {
	var targets []*state
	initial := false
	for _, leaf := range leaves {
		i, ok := g.images[leaf.index]
		switch {
		case !ok || i.hold:
			return nil, held("state %q has no image", leaf.path)
		case i.initial:
			initial = true
		}
		for _, t := range i.to {
			if !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
	}
	n := len(g.new.states)
	r := &run{m: g.new, s: Snapshot{history: history}}
	e := entry{r: r, enter: newStateSet(n), byDefault: newStateSet(n)}
	if len(targets) == 0 {
		e.addDescendants(g.new.root)
	} else if err := g.enterTargets(&e, targets, initial); err != nil {
		return nil, err
	}
	if !g.new.legal(e.enter) {
		return nil, held("the images of %q cannot be active together", nameOf(leaves))
	}
	p := &placed{active: e.enter, entered: newStateSet(n)}
	for i := range e.enter.all() {
		if !slices.ContainsFunc(g.sources[i], active.has) {
			p.entered.add(i)
		}
	}
	return p, nil
}

// enterTargets enters the images, what they are in, and what they begin with.
func (g *Migration) enterTargets(e *entry, targets []*state, initial bool) error {
	named := newStateSet(len(g.new.states))
	for _, t := range e.r.effectiveTargets(targets) {
		for a := t; a != nil; a = a.parent {
			if p := a.parent; p != nil && p.kind == compound && !named.has(a.index) {
				if at := slices.IndexFunc(p.children, func(c *state) bool { return named.has(c.index) }); at >= 0 {
					return held("two sources for one target: both %q and %q would be active in %s", p.children[at].path, a.path, nameOfState(p))
				}
			}
			named.add(a.index)
		}
	}
	e.enter.union(named)
	for _, t := range targets {
		switch {
		case t.isHistory():
			e.addHistory(t)
		case t.kind == compound && !named.intersects(t.descendants):
			e.addDescendants(t)
		}
	}
	for i := range named.all() {
		s := g.new.states[i]
		if s.kind != parallel {
			continue
		}
		for _, c := range s.children {
			if c.isHistory() || e.enter.has(c.index) {
				continue
			}
			begin := g.regions[c.index]
			switch {
			case begin == nil && !initial:
				return held("region %q has no image", c.path)
			case begin == nil || begin == c:
				e.addDescendants(c)
			default:
				e.addDescendants(begin)
				e.addAncestors(begin, s)
			}
		}
	}
	return nil
}

// remembered is what the new history states remember of what the old ones do; lost names those
// that no longer can.
func (g *Migration) remembered(old map[int][]int) (history map[int][]int, lost []string) {
	for _, h := range g.old.states {
		list, ok := old[h.index]
		if !ok {
			continue
		}
		to, ok := g.history[h.index]
		if !ok {
			lost = append(lost, fmt.Sprintf("history %q", h.path))
			continue
		}
		images, ok := g.imagesIn(g.new.states[to], list)
		if !ok {
			lost = append(lost, fmt.Sprintf("history %q: what it remembers has no image in %s", h.path, nameOfState(g.new.states[to].parent)))
			continue
		}
		if history == nil {
			history = map[int][]int{}
		}
		history[to] = images
	}
	return history, lost
}

// imagesIn are the images of what a history state remembers, for another one.
func (g *Migration) imagesIn(h *state, list []int) (indexes []int, ok bool) {
	var images []*state
	for _, i := range list {
		if len(g.images[i].to) == 0 { // half of what was active is something else than all of it
			return nil, false
		}
		for _, t := range g.images[i].to {
			fits := h.kind == deepHistory && t.isAtomic() && t.within(h.parent) || h.kind == shallowHistory && t.parent == h.parent && !t.isHistory()
			for _, other := range images {
				common := commonAncestor(t, other)
				fits = fits && (t == other || common != nil && common.kind == parallel)
			}
			if !fits {
				return nil, false
			}
			if !slices.Contains(images, t) {
				images = append(images, t)
				indexes = append(indexes, t.index)
			}
		}
	}
	slices.Sort(indexes)
	return indexes, len(indexes) > 0 || len(list) == 0
}

// Configuration is where the chart of a device may be between two events.
type Configuration struct {
	// States are the paths of the active atomic states, in document order.
	States []string `json:"states"`
	// History is what history states remember, by their paths.
	History map[string][]string `json:"history,omitempty"`
}

// Configurations are all in which a device may come to be, whatever its guards say: there may
// be some among them that it never comes to. The error says that there are too many, and the
// list is not complete.
func (m *Model) Configurations() ([]Configuration, error) {
	m.classes.exploring.Lock()
	defer m.classes.exploring.Unlock()
	x := m.classes.explore()
	list := make([]Configuration, 0, len(x.configs))
	for _, c := range x.configs {
		list = append(list, m.configurationOf(c.leaves, c.history))
	}
	return list, x.err
}

func (m *Model) configurationOf(leaves []*state, history map[int][]int) Configuration {
	c := Configuration{States: pathsOf(leaves)}
	for _, h := range m.states {
		list, ok := history[h.index]
		if !ok {
			continue
		}
		if c.History == nil {
			c.History = map[string][]string{}
		}
		paths := []string{}
		for _, i := range list {
			paths = append(paths, m.states[i].path)
		}
		c.History[h.path] = paths
	}
	return c
}

// Image is where a device goes from a configuration.
type Image struct {
	Configuration
	// Held says that the plan holds the device: it is not moved.
	Held bool
	// Problems are all that would keep it from going there, as far as that does not depend on
	// its context.
	Problems []string
	// Lost is what history states no longer remember.
	Lost []string
}

// Image is where a device goes from a configuration of the old model.
func (g *Migration) Image(c Configuration) Image {
	active := newStateSet(len(g.old.states))
	for _, path := range c.States {
		for s := g.old.byPath[path]; s != nil; s = s.parent {
			active.add(s.index)
		}
	}
	leaves := g.old.leavesOf(active)
	if slices.ContainsFunc(leaves, func(l *state) bool { return g.images[l.index].hold }) {
		return Image{Held: true}
	}
	remembers := map[int][]int{}
	for _, h := range g.old.states {
		for _, path := range c.History[h.path] {
			if s := g.old.byPath[path]; s != nil {
				remembers[h.index] = append(remembers[h.index], s.index)
			}
		}
	}
	history, lost := g.remembered(remembers)
	image := Image{Lost: lost}
	p, err := g.place(active, leaves, history)
	if err != nil {
		image.Problems = []string{reasonOf(err)}
		return image
	}
	at := g.new.configured(p.active, history)
	to := at.leaves
	image.Configuration = g.new.configurationOf(to, history)
	image.Problems = g.misplacedItems(g.old.configured(active, remembers), p)
	if g.plan.Always == PlanTake || at.done {
		return image
	}
	for _, leaf := range to {
		for _, t := range leaf.alwaysHere {
			if (t.guard == nil || !t.guard.reads["event"]) && truthOfGuard(t.guard, at, noData) == yes {
				image.Problems = append(image.Problems, alwaysReason(t))
			}
		}
	}
	return image
}

func reasonOf(err error) string {
	var h *Held
	if errors.As(err, &h) {
		return h.Reason
	}
	return err.Error()
}

func alwaysReason(t *transition) string {
	return fmt.Sprintf("an eventless transition would be taken on arrival: in %s, %s", nameOfState(t.source), transitionText(t, "always"))
}

func misplaced(what, name string, to *state) string {
	return fmt.Sprintf("%s %q would go on in %s, which is not active", what, name, nameOfState(to))
}

// misplacedItems are timers, activities and schedules that go on in a state that is not active: those
// that may run in the configuration. In one that is done, nothing runs.
func (g *Migration) misplacedItems(from *configuration, p *placed) []string {
	if from.done {
		return nil
	}
	var problems []string
	for i := range from.active.all() {
		s := g.old.states[i]
		for j, name := range s.timerNames() {
			key := timerKey{i, j}
			if to := g.timers[key]; !isGone(to.do) && !p.active.has(to.to.state) && g.mayRun(watched{timerKey: key}, from) {
				problems = append(problems, misplaced("timer", itemName(s, "after", name), g.new.states[to.to.state]))
			}
		}
		for j, name := range s.invocationNames() {
			key := timerKey{i, j}
			if to := g.invocations[key]; !isGone(to.do) && !p.active.has(to.to.state) && g.mayRun(watched{true, key}, from) {
				problems = append(problems, misplaced("activity", itemName(s, "invoke", name), g.new.states[to.to.state]))
			}
		}
		for _, of := range s.schedules {
			if to, ok := g.schedules[of]; ok && !p.active.has(to.to.state.index) {
				problems = append(problems, misplaced("schedule", itemName(s, "schedule", of.name), to.to.state))
			}
		}
	}
	return problems
}

// mayRun reports whether a timer or an activity may run in a configuration of the old model: a timer
// that has fired does not, though its state is still active. If there is too much to look at, it may.
func (g *Migration) mayRun(what watched, at *configuration) bool {
	g.watching.Lock()
	defer g.watching.Unlock()
	runs, known := g.runs[what]
	if !known {
		runs = g.old.runsIn(what)
		if g.runs == nil {
			g.runs = map[watched]map[string]bool{}
		}
		g.runs[what] = runs
	}
	may, reached := runs[at.key()]
	return may || !reached
}

// runsIn are the configurations that a device may come to, by their keys: whether a timer or an
// activity may run in them. It is nil if there are too many.
func (m *Model) runsIn(what watched) map[string]bool {
	x := exploreWatching(m, freeSources, &what)
	if x.err != nil {
		return nil
	}
	runs := map[string]bool{}
	for _, c := range x.configs {
		plain := *c
		plain.runs = false
		key := plain.key()
		runs[key] = runs[key] || c.runs
	}
	return runs
}
