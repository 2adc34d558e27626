package devicefsm

import "devicetwin/device"

// Editions of the model language. Where a fault of the language is corrected, an event
// may do something else to a device than it did before, and a workflow must replay as it
// was: what was begun under an earlier edition keeps to it (see Model.Edition).
const (
	// EditionFirst is that of models before editions were counted.
	EditionFirst = 1
	// EditionNow is that of Load.
	EditionNow = 2
)

// Edition is the model by the rules of an edition of the language; m itself if it goes
// by them already. Its name, hash and states are the same, and a snapshot of one is
// accepted by the other.
func (m *Model) Edition(edition int) *Model {
	if m.edition == edition {
		return m
	}
	other := *m
	other.edition = edition
	return &other
}

// Whoever decides before a run does, such as the bridge, does not know by which rules the
// run goes. It goes by the newest, notes where another edition may differ, and then takes
// only what all of them say.

// first is a scope by the rules of the first edition.
func (s *scope) first() *scope {
	first := *s
	first.edition = EditionFirst
	return &first
}

// eventOf is classify, and whether all editions agree on the event.
func (m *Model) eventOf(msg *device.Message, s *scope) (c classified, sure bool) {
	c = m.classify(msg, (*Model).ackEvent, s)
	if !c.differs {
		return c, true
	}
	return c, m.Edition(EditionFirst).classify(msg, (*Model).ackEvent, s).name == c.name
}

// possibleInAny reports whether the effects are possible by the rules of some edition.
func (e *effects) possibleInAny(s *scope) bool {
	return e.possible(s) || s.differs && e.possible(s.first())
}

// classInAll is classOf. A message that is of another class by the rules of another
// edition has none.
func (ec *eventClasses) classInAll(s *scope) (class uint64, ok bool) {
	if class, ok = ec.classOf(s); ok && s.differs {
		first, agreed := ec.classOf(s.first())
		ok = agreed && first == class
	}
	return class, ok
}

// truthInAll is what all editions say of a condition that reads nothing but the scope.
func (e *expr) truthInAll(s *scope) truth {
	return agreed(s, func(s *scope) truth { return truthOf(e.holds(s)) })
}

func (c conjunct) truthInAll(s *scope) truth {
	return agreed(s, func(s *scope) truth {
		v, st := c.fast(s)
		if st == punt {
			return maybe
		}
		return truthOf(st == done && v == true)
	})
}

func agreed(s *scope, holds func(*scope) truth) truth {
	t := holds(s)
	if s.differs && holds(s.first()) != t {
		return maybe
	}
	return t
}

// before reports whether what is evaluated goes by the rules before an edition. A scope
// without an edition has the newest.
func (s *scope) before(edition int) bool { return s.edition > 0 && s.edition < edition }
