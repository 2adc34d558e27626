package devicefsm

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	syncatomic "sync/atomic" // atomic is a kind of state here
)

const (
	// maxConditions bounds the conditions of one event, each of which is a bit
	// of the class.
	maxConditions = 64
	// maxVerdicts bounds the classes of one event that are looked into and
	// remembered; any further class is not settled.
	maxVerdicts = 256
)

// classTable is what is known of the classes of each event of a model. Which
// classes there are shows when messages come, so each is looked into once, when
// it is first seen: the verdict depends on the model alone.
type classTable struct {
	m         *Model
	byName    map[string]*eventClasses
	events    []*eventClasses // by number, from 1
	print     func() uint32   // see identify
	explore   func() *explorer
	exploring sync.Mutex // held while the explorer works
}

// eventClasses are the conditions on the messages of one event.
type eventClasses struct {
	name   string
	number uint32 // from 1: for the filter
	// effects are the first level: what its messages could do in any state.
	effects *effects
	// conditions give the bits of a class, the first one the lowest.
	conditions []classCondition
	// bits are their places, by expression.
	bits     map[conditionKey]int
	never    string // why none of its classes is settled; "" if that is not known
	verdicts syncatomic.Pointer[map[uint64]verdict]
}

// classCondition is a condition that reads nothing but the message.
type classCondition struct {
	condition
	of   *expr
	part int // of its conjuncts; -1 is the whole
}

type conditionKey struct {
	of   *expr
	part int
}

// verdict is whether a class is settled, or why not.
type verdict struct {
	settled bool
	why     string
}

func newClassTable(m *Model, sources []freeSource) *classTable {
	t := &classTable{m: m, byName: map[string]*eventClasses{}}
	t.explore = sync.OnceValue(func() *explorer { return explore(m, sources) })
	for i, name := range m.knownNames() {
		ec := &eventClasses{name: name, number: uint32(i + 1), effects: m.effectsOf(name), bits: map[conditionKey]int{}}
		ec.collect(m)
		ec.verdicts.Store(&map[uint64]verdict{})
		t.byName[name] = ec
		t.events = append(t.events, ec)
	}
	t.print = sync.OnceValue(t.identify)
	return t
}

// knownNames are the events that the model mentions.
func (m *Model) knownNames() []string {
	names := maps.Clone(m.events)
	for _, s := range m.states {
		for _, t := range s.on {
			if t.event.name != "" {
				names[t.event.name] = true
			}
		}
	}
	return sortedKeys(names)
}

// collect finds the conditions that divide the messages of the event.
func (ec *eventClasses) collect(m *Model) {
	for _, p := range m.patterns {
		if p.matcher.Breakable() {
			ec.never = "any event can be a step of pattern " + p.name + ", or break it"
		}
		for i := range p.steps {
			if p.steps[i].event.matches(ec.name) {
				ec.add(p.steps[i].where)
			}
		}
	}
	for _, w := range m.windows {
		if w.event.matches(ec.name) {
			ec.add(w.where)
		}
	}
	if p := m.process; p.takes(ec.name) {
		ec.add(p.where)
	}
	for _, s := range m.states {
		for _, t := range s.on {
			if t.event.matches(ec.name) {
				ec.add(t.guard)
			}
		}
		for _, t := range s.always {
			if t.guard != nil && t.guard.reads["event"] {
				ec.add(t.guard)
			}
		}
	}
	if len(ec.conditions) > maxConditions {
		ec.never = fmt.Sprintf("its messages are divided by more than %d conditions", maxConditions)
	}
}

func (ec *eventClasses) add(guard *expr) {
	switch {
	case guard == nil || len(guard.reads) == 0:
	case guard.readsOnly("event"):
		ec.addCondition(classCondition{condition{expr: guard}, guard, -1})
	default:
		for i, c := range guard.conjuncts {
			if c.fast != nil && readsOnly(c.reads, "event") {
				ec.addCondition(classCondition{condition{fast: c.fast, members: c.members}, guard, i})
			}
		}
	}
}

func (ec *eventClasses) addCondition(c classCondition) {
	key := conditionKey{c.of, c.part}
	if _, ok := ec.bits[key]; !ok {
		ec.bits[key] = len(ec.conditions)
		ec.conditions = append(ec.conditions, c)
	}
}

// classOf is the vector of the truth values. It reports false for a message
// that has none: for a value that is not JSON, the parts of a condition cannot be
// evaluated alone.
func (ec *eventClasses) classOf(s *scope) (class uint64, ok bool) {
	for i := range ec.conditions {
		c := &ec.conditions[i]
		if c.expr != nil {
			if c.expr.holds(s) {
				class |= 1 << i
			}
			continue
		}
		v, st := c.fast(s)
		if st == punt {
			return 0, false
		}
		if b, isBool := v.(bool); st == done && isBool && b {
			class |= 1 << i
		}
	}
	return class, true
}

// whole is what is known of a guard that reads only the event, or nothing.
func (k *known) whole(g *expr) truth {
	if len(g.reads) == 0 || k == noData {
		return g.truthInAll(&scope{})
	}
	return k.bit(conditionKey{g, -1})
}

// part is what is known of a conjunct that reads only the event, or nothing.
func (k *known) part(g *expr, i int) truth {
	if len(g.conjuncts[i].reads) == 0 || k == noData {
		return g.conjuncts[i].truthInAll(&scope{})
	}
	return k.bit(conditionKey{g, i})
}

func (k *known) bit(key conditionKey) truth {
	if k == nil {
		return maybe
	}
	bit, ok := k.of.bits[key]
	if !ok {
		return maybe
	}
	return truthOf(k.class&(1<<bit) != 0)
}

// verdict looks into a class, once.
func (t *classTable) verdict(ec *eventClasses, class uint64) verdict {
	if ec.never != "" {
		return verdict{why: ec.never}
	}
	if v, ok := (*ec.verdicts.Load())[class]; ok {
		return v
	}
	t.exploring.Lock()
	defer t.exploring.Unlock()
	all := *ec.verdicts.Load()
	if v, ok := all[class]; ok {
		return v
	}
	if len(all) >= maxVerdicts {
		return verdict{why: fmt.Sprintf("the event has more than %d classes", maxVerdicts)}
	}
	v := t.decide(&known{ec, class})
	next := maps.Clone(all)
	next[class] = v
	ec.verdicts.Store(&next)
	return v
}

// decide finds out whether a class is settled.
func (t *classTable) decide(k *known) verdict {
	for _, p := range t.m.patterns {
		for _, s := range p.steps {
			if s.event.matches(k.of.name) && truthOfGuard(s.where, &configuration{}, k) != no {
				return verdict{why: "pattern " + p.name + " counts each of them"}
			}
		}
	}
	for _, a := range t.m.alarms {
		if a.concerns(k.of.name) {
			return verdict{why: "alarm " + a.name + " looks at each of them"}
		}
	}
	for _, w := range t.m.windows {
		if w.event.matches(k.of.name) && truthOfGuard(w.where, &configuration{}, k) != no {
			return verdict{why: "window " + w.name + " counts each of them"}
		}
	}
	if p := t.m.process; p.takes(k.of.name) && truthOfGuard(p.where, &configuration{}, k) != no {
		return verdict{why: "each of them is processed by " + p.src}
	}
	x := t.explore()
	if x.err != nil {
		return verdict{why: x.err.Error()}
	}
	return x.search(k)
}

// reached is how the search came to a configuration.
type reached struct {
	id   int
	from int // place in the list of those reached before; -1: by the message itself
	why  string
}

// search follows the chart from every configuration: first through one message
// of the class, then through everything that may happen without a message. It
// looks for a configuration in which another message of the class could do
// something.
func (x *explorer) search(k *known) verdict {
	t := trigger{name: k.of.name}
	x.work = 0
	seen := make([]bool, len(x.configs))
	var list []reached
	add := func(r reached) {
		if !seen[r.id] {
			seen[r.id] = true
			list = append(list, r)
		}
	}
	for id := range seen {
		ends, endless, err := x.step(id, &t, k)
		if err != nil {
			return verdict{why: err.Error()}
		}
		for _, end := range ends {
			add(reached{id: end, from: -1})
		}
		if endless { // it may be taken back
			add(reached{id: id, from: -1})
		}
	}
	for at := 0; at < len(list); at++ {
		if found := acts(x.configs[list[at].id], &t, k); found != nil {
			return verdict{why: x.explain(list, at, found, k)}
		}
		for _, e := range x.free[list[at].id] {
			add(reached{id: e.to, from: at, why: e.why})
		}
	}
	return verdict{settled: true}
}

// stepsBefore are the reasons that led to a place of the list, first ones first.
func stepsBefore(list []reached, at int) []string {
	var why []string
	for ; list[at].from >= 0; at = list[at].from {
		why = append(why, list[at].why)
	}
	slices.Reverse(why)
	return why
}
