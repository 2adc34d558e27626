package devicefsm

import (
	"maps"
	"slices"

	"devicetwin/devicefsm/pattern"
)

// patternRule is one entry of `patterns:`.
type patternRule struct {
	name    string // also of the event that a match raises
	timeout string // event that an expired partial match raises; "" for none
	while   *state // it sees events only in this state, and is reset by leaving it
	matcher *pattern.Matcher
	steps   []*patternStep
	maxKept int // events of a step
	// distinct is a key of which no two events of a match have the same value; "" for none.
	distinct string
}

// patternStep is what a step of a sequence asks of an event.
type patternStep struct {
	pattern string // its name
	name    string
	event   descriptor
	where   *expr
	takes   int        // events at most, or pattern.Unbounded; 0: it is negated
	reads   *stepReads // of the events that it took
	named   []string   // the keys of them that are read by name, in the order of keeping
	// distinct is that of the pattern, of a step that takes events.
	distinct string
}

func (p *patternStep) matches(ev pattern.Event, matched pattern.Bindings) bool {
	if !p.event.matches(ev.Name) || !p.isDistinct(ev.Data, matched) {
		return false
	}
	if p.where == nil {
		return true
	}
	s := newScope()
	s.event, s.edition = ev.Data, ev.Edition
	if r, ok := ev.Host.(*run); ok {
		s.clock = &r.clock
	}
	if p.where.reads["matched"] {
		s.matched = matched.Map()
	}
	ok := p.where.holds(s)
	if s.failed && s.matched != nil {
		p.failed(ev, s)
	}
	s.free()
	return ok
}

// failed reports a condition on `matched` that failed on an event: once, however many
// partial matches it was evaluated for. The others are reported without them: see
// conditionFaults.
func (p *patternStep) failed(ev pattern.Event, s *scope) {
	r, ok := ev.Host.(*run)
	if !ok || ev.Before(EditionNow) || slices.Contains(r.hear().failed, p) {
		return
	}
	r.heard.failed = append(r.heard.failed, p)
	if _, err := p.where.test(s); err != nil {
		r.fault("where %q of pattern %q: %v", p.where.source, p.pattern, err)
	}
}

// sees reports whether an event can do anything to the pattern.
func (p *patternRule) sees(event string) bool {
	return p.matcher.Breakable() || slices.ContainsFunc(p.steps, func(s *patternStep) bool { return s.event.matches(event) })
}

// found is an event that a pattern raises.
type found struct {
	pattern *patternRule
	event   string
	data    map[string]any
}

// matchPatterns shows an event to the patterns that it can do something to.
func (r *run) matchPatterns(name string, data map[string]any) []found {
	var all []found
	for i, p := range r.m.patterns {
		if p.while != nil && !r.s.active.has(p.while.index) || !p.sees(name) {
			continue
		}
		r.conditionFaults(p, name, data)
		next, result := p.matcher.Step(r.s.patterns[i], pattern.Event{
			Name: name, Data: data, Time: fromMillis(r.at), Arrived: fromMillis(r.s.service), Edition: r.m.edition, Host: r,
		})
		r.setPattern(i, next)
		r.notCounted(p, result.Displaced)
		all = append(all, p.found(result)...)
	}
	r.reportUnkept()
	r.heard = nil
	return all
}

// conditionFaults reports the conditions on nothing but the event that fail on it: inside
// the matcher such a failure only counts as false.
func (r *run) conditionFaults(p *patternRule, name string, data map[string]any) {
	r.scope.event = data
	for i := range p.steps {
		where := p.steps[i].where
		if where == nil || where.reads["matched"] || !p.steps[i].event.matches(name) {
			continue
		}
		if _, err := where.test(&r.scope); err != nil {
			r.fault("where %q of pattern %q: %v", where.source, p.name, err)
		}
	}
}

// expirePattern lets the time of events pass for a pattern.
func (r *run) expirePattern(i int) {
	p := r.m.patterns[i]
	next, result := p.matcher.Advance(r.s.patterns[i], fromMillis(r.at))
	r.setPattern(i, next)
	r.raiseFound(p.found(result))
}

func (r *run) setPattern(i int, next pattern.State) {
	if next != r.s.patterns[i] {
		r.s.patterns = slices.Clone(r.s.patterns)
		r.s.patterns[i] = next
	}
}

// resetPatterns forgets what was open of the patterns of a state that is left.
func (r *run) resetPatterns(s *state) {
	for i, p := range r.m.patterns {
		if p.while == s {
			r.setPattern(i, pattern.State{})
		}
	}
}

func (p *patternRule) found(result pattern.Result) []found {
	var all []found
	for _, m := range result.Matches {
		all = append(all, found{p, p.name, matchData(m)})
	}
	if p.timeout != "" {
		for _, m := range result.Timeouts {
			all = append(all, found{nil, p.timeout, matchData(m)})
		}
	}
	return all
}

// matchData is the data of the event that a match raises.
func matchData(m pattern.Match) map[string]any {
	matched := make(map[string]any, len(m.Matched))
	// One map into another: the order does not matter.
	for _, step := range slices.Sorted(maps.Keys(m.Matched)) {
		matched[step] = m.Matched[step]
	}
	return map[string]any{"matched": matched, "events": float64(m.Events)}
}

func (r *run) raiseFound(all []found) {
	for _, f := range all {
		if f.pattern != nil {
			r.out.Matched = append(r.out.Matched, f.pattern.name)
		}
		r.macrostep(trigger{name: f.event, data: f.data})
	}
}
