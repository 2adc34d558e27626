package dialect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"devicetwin/wire"
)

// Set is the standard dialect and others: a message is read by the one that knows its
// topic, and by the most exact template where several do.
type Set struct {
	*wire.Standard
	dialects []*Dialect
	rules    []ruleOf // the most exact template first
	filters  []string
}

var _ wire.Dialect = (*Set)(nil)

// ruleOf is a rule with its dialect.
type ruleOf struct {
	*rule
	dialect *Dialect
}

// NewSet makes a set under the limits of a configuration. The error has a line for each pair of
// dialects between which nothing decides.
func NewSet(c wire.Config, dialects ...*Dialect) (*Set, error) {
	standard, err := wire.New(c)
	if err != nil {
		return nil, err
	}
	s := &Set{Standard: standard}
	filters := standard.Filters()
	for _, d := range dialects {
		d = d.configured(c)
		s.dialects = append(s.dialects, d)
		for _, r := range d.rules {
			s.rules = append(s.rules, ruleOf{r, d})
		}
		filters = append(filters, d.filters...)
	}
	slices.SortStableFunc(s.rules, func(a, b ruleOf) int { return moreExact(a.topic, b.topic) })
	s.filters = together(filters)
	return s, s.conflicts(c.Prefix)
}

// conflicts are the templates between which nothing decides, unless both are ignored, or that
// take in topics of the standard dialect.
func (s *Set) conflicts(prefix string) error {
	var faults []error
	standard := mustParse(prefix + "/#")
	for i, r := range s.rules {
		if r.topic.levels[0].kind == levelText && share(r.topic, standard) {
			faults = append(faults, fmt.Errorf("dialect %s: topic %q: it takes in topics of the standard dialect, below %s/", r.dialect.name, r.topic.text, prefix))
		}
		for _, other := range s.rules[i+1:] {
			if other.dialect == r.dialect || r.ignored() && other.ignored() {
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

// mustParse is a template that is known to be valid.
func mustParse(text string) *template {
	t, err := parseTemplate(text)
	if err != nil {
		panic(err)
	}
	return t
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
	r, _ := s.find(topic)
	return r.rule != nil && r.reports()
}

// Decode is as in wire.Dialect.
func (s *Set) Decode(topic string, payload []byte, dup bool, at time.Time) ([]wire.Received, error) {
	if s.Standard.Knows(topic) {
		return s.Standard.Decode(topic, payload, dup, at)
	}
	r, values := s.find(topic)
	switch {
	case r.rule == nil && strings.HasPrefix(topic, "bridge/"): // which a filter # brings back
		return nil, wire.ErrNotInput
	case r.rule == nil:
		return nil, wire.ErrUnmapped
	}
	return r.dialect.decode(r.rule, values, topic, payload, dup, at)
}

// isOwn reports whether bridges themselves publish on a topic. A template that names one is
// refused when it is loaded; one that begins with a variable may take it in.
func isOwn(topic string) bool {
	bridge, rest, _ := strings.Cut(topic, "/")
	_, what, _ := strings.Cut(rest, "/")
	return bridge == "bridge" && (what == "status" || what == "claim" || what == "deadletter")
}

func (s *Set) find(topic string) (ruleOf, []string) {
	if s.Standard.Knows(topic) || isOwn(topic) {
		return ruleOf{}, nil
	}
	for _, r := range s.rules {
		if values, ok := r.values(topic); ok {
			return r, values
		}
	}
	return ruleOf{}, nil
}

// Speaks is the name of the dialect that reads a topic: "standard" for the service's own, ""
// if none does.
func (s *Set) Speaks(topic string) string {
	if s.Standard.Knows(topic) {
		return "standard"
	}
	if r, _ := s.find(topic); r.rule != nil {
		return r.dialect.name
	}
	return ""
}
