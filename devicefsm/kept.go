package devicefsm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/devicefsm/pattern"
)

// maxKeptSize is about how many bytes of an event a pattern remembers for
// conditions on `matched` and for the event that it raises.
const maxKeptSize = 256

// maxUnkept bounds what the fault about unkept values lists.
const maxUnkept = 4

// keep is what a pattern remembers of an event: what some expression reads of it, as
// far as it fits. What does not fit is reported to the run.
func (p *patternStep) keep(ev pattern.Event) any {
	if ev.Before(EditionNow) {
		return keepFirst(ev)
	}
	if p.reads.event.all && jsonSize(ev.Data, maxKeptSize) <= maxKeptSize {
		if ev.Data == nil {
			return map[string]any{}
		}
		return ev.Data
	}
	kept, left := map[string]any{}, []string(nil)
	size := 8
	fit := func(k string, v any) {
		if n := len(k) + jsonSize(v, maxKeptSize); size+n <= maxKeptSize {
			kept[k] = v
			size += n
		} else {
			left = append(left, k)
		}
	}
	// What is read by its name comes before what may be read.
	for _, k := range p.named {
		if v, ok := ev.Data[k]; ok {
			fit(k, p.reads.event.of[k].only(v))
		}
	}
	if p.reads.event.all {
		for _, k := range slices.Sorted(maps.Keys(ev.Data)) {
			if !slices.Contains(p.named, k) {
				fit(k, ev.Data[k])
			}
		}
	}
	if r, ok := ev.Host.(*run); ok && left != nil {
		r.notKept(p, left)
	}
	return kept
}

// only is a value with nothing in it but what is read.
func (r *reads) only(v any) any {
	object, ok := v.(map[string]any)
	if !ok || r.all {
		return v
	}
	out := make(map[string]any, len(r.of))
	for k, of := range r.of { //workflowcheck:ignore // one map into another
		if v, ok := object[k]; ok {
			out[k] = of.only(v)
		}
	}
	return out
}

// keepFirst is keep before EditionNow: all of a small event, and of a large one the
// single values of its first keys.
func keepFirst(ev pattern.Event) any {
	if ev.Data == nil {
		return map[string]any{}
	}
	if jsonSize(ev.Data, maxKeptSize) <= maxKeptSize {
		return ev.Data
	}
	kept, size := map[string]any{}, 0
	for _, k := range slices.Sorted(maps.Keys(ev.Data)) {
		v := ev.Data[k]
		if size += len(k) + jsonSize(v, maxKeptSize); size > maxKeptSize {
			break
		}
		kept[k] = v
	}
	return kept
}

// heard is what patterns could not do with an event, so that it is reported once.
type heard struct {
	failed []*patternStep // whose conditions on matched events were reported
	unkept []string       // what could not be kept
}

func (r *run) hear() *heard {
	if r.heard == nil {
		r.heard = &heard{}
	}
	return r.heard
}

// notKept notes values of an event that some expression reads and that did not fit.
func (r *run) notKept(p *patternStep, keys []string) {
	names := strings.Join(keys[:min(len(keys), maxUnkept)], ", ")
	if n := len(keys) - maxUnkept; n > 0 {
		names += fmt.Sprintf(" and %d more", n)
	}
	r.hear().unkept = append(r.hear().unkept, fmt.Sprintf("step %q of pattern %q: %s (at most %d bytes of an event)", clip(p.name), p.pattern, device.Clip(names, 256), maxKeptSize))
}

// notCounted notes steps that took more events than are kept, where that matters.
func (r *run) notCounted(p *patternRule, steps []string) {
	if r.m.edition < EditionNow {
		return
	}
	for _, s := range p.steps {
		if slices.Contains(steps, s.name) && (s.reads.whole || s.reads.last >= p.maxKept) {
			r.hear().unkept = append(r.hear().unkept, fmt.Sprintf("step %q of pattern %q: the event before this one (at most %d events: see max_kept)", clip(s.name), p.name, p.maxKept))
		}
	}
}

// reportUnkept reports what could not be kept of a message, once.
func (r *run) reportUnkept() {
	if r.heard == nil || len(r.heard.unkept) == 0 {
		return
	}
	unkept := r.heard.unkept
	text := strings.Join(unkept[:min(len(unkept), maxUnkept)], "; ")
	if n := len(unkept) - maxUnkept; n > 0 {
		text += fmt.Sprintf("; and of %d more steps", n)
	}
	r.fault("not kept, although expressions read it: %s", text)
}

// keepRead finds what has to be kept of the events that a pattern's steps take: what
// its conditions read of them, and the expressions of the chart that may see the event
// that it raises.
func (l *loader) keepRead(p *patternRule) {
	all := matchReads{of: map[string]*stepReads{}}
	for _, s := range p.steps {
		if where := s.where; where != nil && where.reads["matched"] {
			all.addExpr(where)
		}
	}
	elsewhere := l.readForOthers(p)
	for _, ref := range l.refs {
		if ref.expr.place != placeChart || !ref.expr.readsMatch {
			continue
		}
		if elsewhere[ref.expr] > 0 {
			elsewhere[ref.expr]--
			continue
		}
		all.addExpr(ref.expr)
	}
	for _, s := range p.steps {
		s.reads = all.kept(s.name)
		s.named = s.keepOrder()
	}
}

// readForOthers counts the expressions of transitions whose event is not one that the
// pattern raises: it never is what they see.
func (l *loader) readForOthers(p *patternRule) map[*expr]int {
	counted := map[*expr]int{}
	for _, s := range l.m.states {
		for _, t := range s.on {
			if t.event.matches(p.name) || p.timeout != "" && t.event.matches(p.timeout) {
				continue
			}
			if t.guard != nil {
				counted[t.guard]++
			}
			eachExpr(t.actions, func(e *expr) { counted[e]++ })
		}
	}
	return counted
}

// eachExpr calls f for the expressions of actions, as often as they occur.
func eachExpr(actions []action, f func(*expr)) {
	for _, a := range actions {
		switch x := a.(type) {
		case assignAction:
			x.values.each(f)
		case raiseAction:
			x.data.each(f)
		case effectAction:
			x.data.each(f)
		case logAction:
			x.message.each(f)
		case ifAction:
			f(x.cond)
			eachExpr(x.yes, f)
			eachExpr(x.no, f)
		}
	}
}

// each calls f for the expressions in a template.
func (t *template) each(f func(*expr)) {
	if t == nil {
		return
	}
	if t.expr != nil {
		f(t.expr)
	}
	for _, x := range slices.Concat(t.list, t.of) {
		x.each(f)
	}
}
