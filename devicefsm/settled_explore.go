package devicefsm

import (
	"errors"
	"slices"
)

// explorer knows every configuration that a chart can be in, whatever its
// guards say, and what can lead from one to another without a message.
type explorer struct {
	m          *Model
	configs    []*configuration
	index      map[string]int
	free       [][]freeEdge // from each configuration
	freeEvents []freeStep
	ends       []string // names for the ends of activities
	sources    []freeSource
	work       int // for the present question
	complete   bool
	err        error    // then nothing is known
	watch      *watched // nil: nothing
}

var errEndlessStart = errors.New("the chart might not come to rest at the start")

// freeEdge is a free step that leads to another configuration.
type freeEdge struct {
	to  int
	why string
}

// explore finds all configurations.
func explore(m *Model, sources []freeSource) *explorer { return exploreWatching(m, sources, nil) }

// exploreWatching also follows whether a timer or an activity may run.
func exploreWatching(m *Model, sources []freeSource, what *watched) *explorer {
	names, raised := m.eventNames(), m.raises()
	x := &explorer{
		m: m, index: map[string]int{}, sources: sources, watch: what,
		freeEvents: m.freeEvents(names, raised), ends: invocationEndNames(names),
	}
	var messages []freeStep
	for _, name := range names {
		if m.messageOnly(name, raised) {
			messages = append(messages, freeStep{trigger: trigger{name: name}})
		}
	}
	if x.err = x.start(); x.err != nil {
		return x
	}
	for id := 0; id < len(x.configs) && x.err == nil; id++ {
		x.follow(id, messages)
	}
	x.complete = true
	return x
}

// start adds the configurations in which a device begins.
func (x *explorer) start() error {
	n := len(x.m.states)
	e := entry{r: &run{m: x.m}, enter: newStateSet(n), byDefault: newStateSet(n)}
	e.addDescendants(x.m.root)
	f := follower{m: x.m, seen: map[string]bool{}, watch: x.watch}
	f.begin(&e)
	if f.err != nil {
		return f.err
	}
	if f.endless {
		return errEndlessStart
	}
	for _, c := range f.ends {
		if _, err := x.add(c); err != nil {
			return err
		}
	}
	return nil
}

func (x *explorer) add(c *configuration) (int, error) {
	key := c.key()
	id, ok := x.index[key]
	if !ok {
		limit := maxConfigurations
		if x.watch != nil {
			limit *= 2 // each with what is watched, and without
		}
		if id = len(x.configs); id >= limit || x.complete {
			return 0, errTooMany
		}
		x.index[key] = id
		x.configs = append(x.configs, c)
		x.free = append(x.free, nil)
	}
	return id, nil
}

// step is what may come of an event, in numbers of configurations: those in
// which the chart may come to rest, and whether it might not come to rest at
// all, which the interpreter takes back. K is what is known of the event.
func (x *explorer) step(id int, t *trigger, k *known) (ends []int, endless bool, err error) {
	c := x.configs[id]
	if c.done || !c.hasAlways() && !slices.ContainsFunc(c.leaves, func(l *state) bool { return len(t.candidates(l, EditionNow)) > 0 }) {
		return []int{id}, false, nil
	}
	f := follower{m: x.m, seen: map[string]bool{}}
	f.take(moment{configuration: c, k: k, rests: true}, t)
	if x.work += len(f.seen) + len(f.ends); x.work > maxWork && f.err == nil {
		f.err = errTooMany
	}
	if f.err != nil {
		return nil, false, f.err
	}
	for _, c := range f.ends {
		end, err := x.add(c)
		if err != nil {
			return nil, false, err
		}
		if !slices.Contains(ends, end) {
			ends = append(ends, end)
		}
	}
	return ends, f.endless, nil
}

// follow adds what can come next.
func (x *explorer) follow(id int, messages []freeStep) {
	for _, source := range x.sources {
		for _, s := range source(x, x.configs[id]) {
			from, err := id, error(nil)
			if s.ends != nil && x.watch != nil && *s.ends == *x.watch {
				if !x.configs[id].runs {
					continue
				}
				ended := *x.configs[id]
				ended.runs = false
				from, err = x.add(&ended)
			}
			var ends []int
			if err == nil {
				ends, _, err = x.step(from, &s.trigger, s.known)
			}
			if err != nil {
				x.err = err
				return
			}
			for _, to := range ends {
				if to != id {
					x.free[id] = append(x.free[id], freeEdge{to, s.why})
				}
			}
		}
	}
	for _, s := range messages {
		if _, _, err := x.step(id, &s.trigger, nil); err != nil {
			x.err = err
			return
		}
	}
}

// acts returns a transition that the event may take and that makes a difference,
// or nil if the event can do nothing at all where the chart is at rest.
func acts(c *configuration, t *trigger, k *known) *transition {
	if c.done {
		return nil
	}
	for _, leaf := range c.leaves {
		for _, edition := range []int{EditionNow, EditionFirst} {
			if found := firstToAct(t.candidates(leaf, edition), c, k); found != nil {
				return found
			}
		}
		for _, t := range leaf.alwaysHere {
			if !alwaysRests(t.guard) && truthOfGuard(t.guard, c, k) != no {
				return t
			}
		}
	}
	return nil
}

// firstToAct is the first candidate that may be taken and that makes a difference.
func firstToAct(candidates []*transition, c *configuration, k *known) *transition {
	for _, t := range candidates {
		truth := truthOfGuard(t.guard, c, k)
		if truth != no && t.acts() {
			return t
		}
		if truth == yes {
			break // it hides those that follow
		}
	}
	return nil
}
