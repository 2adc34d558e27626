package devicefsm

import (
	"maps"
	"slices"

	"devicetwin/devicefsm/pattern"
	"devicetwin/source"
)

// maxDistinct bounds a value that is compared, in bytes: all of it has to be kept. It is
// that of an entity's id with its kind.
const maxDistinct = 192

// eventKey is the key of the events' data that a word of the model names; "" if it is absent.
func eventKey(n source.Node, word string) string {
	if !n.Exists() {
		return ""
	}
	key := n.String()
	if n.IsString() && (key == "" || len(key) > maxEventKey) {
		n.Faultf("%s: expected a key of the events' data, of at most %d bytes", word, maxEventKey)
	}
	return key
}

// maxEventKey bounds the name of a key of an event's data that a model is about.
const maxEventKey = 64

// checkDistinct refuses a sequence of which not every event can be kept.
func (p *patternRule) checkDistinct(n source.Node) {
	if p.distinct == "" {
		return
	}
	for _, s := range p.steps {
		switch {
		case s.takes == pattern.Unbounded:
			n.FaultHint("for example times: {min: 1, max: 8}", "distinct: step %q of pattern %q may take any number of events, and their values have to be kept", clip(s.name), p.name)
		case s.takes > p.maxKept:
			n.Faultf("distinct: step %q of pattern %q takes up to %d events, and the values of %d are kept: see max_kept", clip(s.name), p.name, s.takes, p.maxKept)
		}
	}
}

// isDistinct reports whether no event that was taken has the same value. An event that has
// no string, number or boolean there is not taken.
func (p *patternStep) isDistinct(data map[string]any, matched pattern.Bindings) bool {
	if p.distinct == "" {
		return true
	}
	value, ok := plainValue(data[p.distinct])
	return ok && !matched.Any(func(kept any) bool {
		of, _ := kept.(map[string]any)
		other, ok := plainValue(of[p.distinct])
		return ok && other == value
	})
}

// plainValue is a value if it is one that == compares, and that can be kept.
func plainValue(v any) (any, bool) {
	switch x := v.(type) {
	case string:
		return x, len(x) <= maxDistinct
	case float64, bool:
		return x, true
	}
	return nil, false
}

// keepOrder are the keys that are kept by their names, in the order of keeping: first the
// one whose values have to be distinct.
func (p *patternStep) keepOrder() []string {
	if p.distinct == "" {
		return slices.Sorted(maps.Keys(p.reads.event.of))
	}
	p.reads.event.key(p.distinct).all = true
	keys := slices.Sorted(maps.Keys(p.reads.event.of))
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == p.distinct })
	return append([]string{p.distinct}, keys...)
}
