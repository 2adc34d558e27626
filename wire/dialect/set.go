package dialect

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"devicetwin/wire"
)

// Set is the standard dialect and others: a message is read by the one that knows its
// topic, and by the most exact template where several do. It keeps nothing but what dialects
// learn from discovery messages, and may be used from any goroutine.
type Set struct {
	*wire.Standard
	dialects []*Dialect
	routes   routes
	filters  []string
	learners []*learner // of those that learn from discovery messages
	note     atomic.Pointer[func(note string)]
}

var _ wire.Dialect = (*Set)(nil)

// NewSet makes a set under the limits of a configuration. The error has a line for each name that
// several dialects have, for StandardName, and for each pair of templates between which nothing decides.
func NewSet(c wire.Config, dialects ...*Dialect) (*Set, error) {
	standard, err := wire.New(c)
	if err != nil {
		return nil, err
	}
	s := &Set{Standard: standard}
	filters := standard.Filters()
	var all []route
	for _, d := range dialects {
		d = d.configured(c)
		s.dialects = append(s.dialects, d)
		for _, r := range d.rules {
			all = append(all, route{r, d})
		}
		filters = append(filters, d.filters...)
	}
	byExactness(all)
	s.routes, s.filters = newRoutes(all), together(filters)
	learning := errors.Join(s.learn()...) // before what is sent, which must not be learned from
	return s, errors.Join(checkNames(dialects), conflicts(standard.Filters(), all), errors.Join(s.echoes()...), learning)
}

// StandardName is what the service's own dialect is called; no other has the name.
const StandardName = "standard"

// checkNames reports the names that several dialects have, or the service's own: a name says whose
// a message is.
func checkNames(dialects []*Dialect) error {
	var faults []error
	seen := map[string]int{}
	for _, d := range dialects {
		if d.name == StandardName {
			faults = append(faults, fmt.Errorf("dialect %s: it is built in and always on: leave it out; a copy needs a name and topics of its own", d.name))
			continue
		}
		if seen[d.name]++; seen[d.name] == 2 {
			faults = append(faults, fmt.Errorf("dialect %s: there is another one with this name", d.name))
		}
	}
	return errors.Join(faults...)
}

// conflicts are the templates between which nothing decides, unless both are ignored, or that
// take in topics of the standard dialect.
func conflicts(standard []string, all []route) error {
	var faults []error
	for i, r := range all {
		if r.dialect.name == StandardName { // which is a fault as a whole
			continue
		}
		for _, filter := range standard {
			if own := filterTemplate(filter); r.topic.fixed() && own.fixed() && share(r.topic, own) {
				faults = append(faults, fmt.Errorf("dialect %s: topic %q: it takes in topics of the standard dialect, %s", r.dialect.name, r.topic.text, filter))
			}
		}
		for _, other := range all[i+1:] {
			if other.dialect == r.dialect || other.dialect.name == StandardName || r.ignored() && other.ignored() {
				continue
			}
			if moreExact(r.topic, other.topic) == 0 && share(r.topic, other.topic) {
				faults = append(faults, fmt.Errorf("topic %q of dialect %s and %q of %s: nothing decides between them for topics that are of both",
					r.topic.text, r.dialect.name, other.topic.text, other.dialect.name))
			}
		}
	}
	return errors.Join(faults...)
}

// Filters are as in wire.Dialect.
func (s *Set) Filters() []string { return slices.Clone(s.filters) }

// WholeDevices is as in wire.Dialect: a device may speak on topics of several filters, so all
// are needed.
func (s *Set) WholeDevices(filters []string) bool {
	if len(s.dialects) == 0 {
		return s.Standard.WholeDevices(filters)
	}
	return !slices.ContainsFunc(s.filters, func(f string) bool { return !slices.Contains(filters, f) })
}

// Retained is as in wire.Dialect.
func (s *Set) Retained(topic string) bool {
	if s.Standard.Knows(topic) {
		return s.Standard.Retained(topic)
	}
	c := scopes.Get().(*scope)
	defer c.release()
	switch {
	case ofService(topic):
		return false
	case s.configs(topic) != nil:
		return true
	case s.routes.find(topic, c):
		return c.rule.reports()
	}
	return s.keeps(topic)
}

// Decode is as in wire.Dialect.
func (s *Set) Decode(topic string, payload []byte, dup bool, at time.Time) ([]wire.Received, error) {
	if s.Standard.Knows(topic) {
		return s.Standard.Decode(topic, payload, dup, at)
	}
	if ofService(topic) {
		return nil, wire.ErrNotInput
	}
	c := scopes.Get().(*scope)
	defer c.release()
	c.topic, c.raw, c.dup, c.at = topic, payload, dup, at
	if l := s.configs(topic); l != nil {
		return l.decodeConfig(c)
	}
	if !s.routes.find(topic, c) {
		return s.decodeLearned(c)
	}
	return c.decode()
}

// Speaks is the name of the dialect that reads a topic: StandardName for the service's own, ""
// if none does.
func (s *Set) Speaks(topic string) string {
	if s.Standard.Knows(topic) {
		return StandardName
	}
	c := scopes.Get().(*scope)
	defer c.release()
	if ofService(topic) {
		return ""
	}
	if l := s.configs(topic); l != nil {
		return l.dialect.name
	}
	if s.routes.find(topic, c) {
		return c.dialect.name
	}
	if d := s.learned(topic); d != nil { // asked once: what is learned may be forgotten at any moment
		return d.name
	}
	return ""
}
