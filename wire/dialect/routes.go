package dialect

import (
	"slices"
	"strings"
)

// routes find the rule of a topic.
type routes struct {
	fixed map[string][]route // by the first level, where that is fixed
	other []route            // whose first level is less exact
}

// route is a rule with its dialect.
type route struct {
	*rule
	dialect *Dialect
}

// newRoutes has those that are given, the most exact template first.
func newRoutes(all []route) routes {
	r := routes{fixed: map[string][]route{}}
	for _, each := range all {
		if level := each.topic.levels[0]; each.topic.fixed() {
			r.fixed[level.before] = append(r.fixed[level.before], each)
		} else {
			r.other = append(r.other, each)
		}
	}
	return r
}

// byExactness sorts rules: the most exact template first.
func byExactness(all []route) {
	slices.SortStableFunc(all, func(a, b route) int { return moreExact(a.topic, b.topic) })
}

// find puts the rule of a topic, with its dialect and the values of its variables, into a scope. False: there is none.
func (r *routes) find(topic string, s *scope) bool {
	return s.take(r.fixed[first(topic)], topic) || s.take(r.other, topic)
}

func (s *scope) take(routes []route, topic string) bool {
	for i := range routes {
		each := &routes[i]
		n := len(each.topic.names)
		s.values = slices.Grow(s.values[:0], n)[:n]
		if each.topic.match(topic, s.values) {
			s.rule, s.dialect, s.topic = each.rule, each.dialect, topic
			return true
		}
	}
	return false
}

// ofService reports whether a topic is one on which bridges publish, which a filter # brings
// back: a dead letter that was read as a message of a device could become another one.
func ofService(topic string) bool {
	rest, ok := strings.CutPrefix(topic, "bridge/")
	if !ok {
		return false
	}
	_, what, _ := strings.Cut(rest, "/")
	return what == "status" || what == "claim" || what == "deadletter"
}
