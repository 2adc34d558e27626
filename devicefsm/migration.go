package devicefsm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"devicetwin/internal/expression"
	"devicetwin/source"
)

// Migration is a plan that fits its two models. What it does never changes, and any number of goroutines
// may use it at once.
type Migration struct {
	old, new *Model
	plan     Plan
	// images are by the index of the old state; a missing one has none.
	images  map[int]image
	regions map[int]*state // by the index of the region: where it begins
	history map[int]int    // by the index of the old history state
	context []contextRule
	timers  map[timerKey]timerImage
	// sources are the old states of which a new state is an image.
	sources     map[int][]int
	invocations map[timerKey]timerImage
	schedules   map[*schedule]scheduleImage
	patterns    []patternImage // by the index of the new pattern
	windows     []itemImage
	alarms      []itemImage

	// runs is in which configurations something may run, as far as somebody has asked.
	watching sync.Mutex
	runs     map[watched]map[string]bool
}

// image is where an old state goes.
type image struct {
	hold, initial bool
	to            []*state
}

// timerKey is a delay or an activity: the index of its state, and its own there.
type timerKey struct{ state, index int }

type timerImage struct {
	do string
	to timerKey
}

type scheduleImage struct {
	do string
	to *schedule
}

// itemImage is what of the old model something of the new one goes on from.
type itemImage struct {
	from int // -1: from nothing
	do   string
}

type patternImage struct {
	itemImage
	same  int  // elements of its sequence that are the same
	whole bool // all of them
}

// contextRule is how a key of the new context is made.
type contextRule struct {
	key     string
	keep    bool
	program *expression.Program
}

// NewMigration fits a plan to its models. What is wrong with it is returned, all of it, in
// the order of the parts of a Plan; the migration is nil then.
func NewMigration(old, new *Model, p Plan) (*Migration, []PlanFault) {
	r := &planReader{g: &Migration{
		old: old, new: new, plan: p, images: map[int]image{}, regions: map[int]*state{}, history: map[int]int{},
		timers: map[timerKey]timerImage{}, sources: map[int][]int{}, invocations: map[timerKey]timerImage{},
		schedules: map[*schedule]scheduleImage{},
	}}
	r.hashes()
	r.states()
	r.regions()
	r.history()
	r.contextRules()
	r.entries()
	r.timers()
	r.invocations()
	r.schedules()
	r.patterns()
	r.windows()
	r.alarms()
	r.rest()
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	return r.g, nil
}

// planReader notes what is wrong with a plan.
type planReader struct {
	g      *Migration
	faults []PlanFault
}

func (r *planReader) fault(part, key, format string, args ...any) {
	r.hint(part, key, "", format, args...)
}

func (r *planReader) hint(part, key, hint, format string, args ...any) {
	r.faults = append(r.faults, PlanFault{Part: part, Key: key, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *planReader) hashes() {
	for _, h := range []struct {
		part, found string
		of          *Model
	}{{"from", r.g.plan.From, r.g.old}, {"to", r.g.plan.To, r.g.new}} {
		if h.found != h.of.hash {
			r.fault(h.part, "", "the plan is for another model: %.12s; this is %s, %.12s", h.found, h.of.name, h.of.hash)
		}
	}
}

func sortedOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// unknown reports the keys of a part that are not among the names.
func unknown[V any](r *planReader, part, what string, found map[string]V, names []string) {
	for _, k := range sortedOf(found) {
		if !slices.Contains(names, k) {
			r.hint(part, k, source.DidYouMean(k, names), "the model has no %s %q", what, k)
		}
	}
}

// word reports a word that is not one of those that are expected; "" is a hole.
func (r *planReader) word(part, key, found string, words ...string) bool {
	switch {
	case slices.Contains(words, found):
		return true
	case found == "":
		r.fault(part, key, "fill in one of %s", strings.Join(words, ", "))
	default:
		r.hint(part, key, source.DidYouMean(found, words), "expected one of %s, found %q", strings.Join(words, ", "), found)
	}
	return false
}

func realPaths(m *Model) []string {
	var paths []string
	for _, s := range m.states[1:] {
		if !s.isHistory() {
			paths = append(paths, s.path)
		}
	}
	return paths
}

func allPaths(m *Model) []string {
	var paths []string
	for _, s := range m.states[1:] {
		paths = append(paths, s.path)
	}
	return paths
}

// target is a state of the new model.
func (r *planReader) target(part, key, path string) *state {
	s := r.g.new.byPath[canonicalPath(path)]
	if s == nil || s.parent == nil {
		r.hint(part, key, source.DidYouMean(path, allPaths(r.g.new)), "the new model has no state %q", path)
		return nil
	}
	return s
}

func (r *planReader) states() {
	p := r.g.plan
	unknown(r, "states", "state", p.States, realPaths(r.g.old))
	otherwise, ok := image{}, false
	if p.Otherwise != "" {
		otherwise, ok = r.image("otherwise", "", []string{p.Otherwise})
	}
	for _, s := range r.g.old.states[1:] {
		if s.isHistory() {
			continue
		}
		to, given := p.States[s.path]
		switch {
		case given && len(to) > 0:
			if i, ok := r.image("states", s.path, to); ok {
				r.setImage(s, i)
			}
		case given:
			r.fault("states", s.path, "state %q: fill in a state of the new model, %s or %s", s.path, PlanInitial, PlanHold)
		case !s.isAtomic():
		case ok:
			r.setImage(s, otherwise)
		case p.Otherwise == "":
			r.fault("states", s.path, "state %q has no image: add it, or otherwise: %s", s.path, PlanHold)
		}
	}
	r.g.images[0] = image{to: []*state{r.g.new.root}}
	r.g.sources[0] = []int{0}
}

func (r *planReader) setImage(s *state, i image) {
	r.g.images[s.index] = i
	for _, to := range i.to {
		if !to.isHistory() && !slices.Contains(r.g.sources[to.index], s.index) {
			r.g.sources[to.index] = append(r.g.sources[to.index], s.index)
		}
	}
}

func (r *planReader) image(part, key string, to []string) (image, bool) {
	if len(to) == 1 && to[0] == PlanHold && r.g.new.byPath[PlanHold] == nil {
		return image{hold: true}, true
	}
	if len(to) == 1 && to[0] == PlanInitial && r.g.new.byPath[PlanInitial] == nil {
		return image{initial: true}, true
	}
	i, ok := image{}, true
	for _, path := range to {
		s := r.target(part, key, path)
		if s == nil {
			ok = false
			continue
		}
		for _, other := range i.to {
			if common := commonAncestor(s, other); common == nil || common.kind != parallel {
				r.fault(part, key, "%q and %q cannot be active together: they are not in different regions of a parallel state", other.path, s.path)
				ok = false
			}
		}
		i.to = append(i.to, s)
	}
	return i, ok
}

func (r *planReader) regions() {
	var names []string
	for _, s := range r.g.new.states[1:] {
		if s.parent.kind == parallel && !s.isHistory() {
			names = append(names, s.path)
		}
	}
	unknown(r, "regions", "region", r.g.plan.Regions, names)
	for _, path := range names {
		begin, given := r.g.plan.Regions[path]
		region := r.g.new.byPath[path]
		switch {
		case !given:
		case begin == "":
			r.fault("regions", path, "fill in where region %q begins: %s, or a state in it", path, PlanInitial)
		case begin == PlanInitial:
			r.g.regions[region.index] = region
		default:
			if s := r.target("regions", path, begin); s != nil && s != region && !s.within(region) {
				r.fault("regions", path, "state %q is not in region %q", begin, path)
			} else if s != nil {
				r.g.regions[region.index] = s
			}
		}
	}
}

func (r *planReader) history() {
	var old, new []string
	for _, s := range r.g.old.states {
		if s.isHistory() {
			old = append(old, s.path)
		}
	}
	for _, s := range r.g.new.states {
		if s.isHistory() {
			new = append(new, s.path)
		}
	}
	unknown(r, "history", "history state", r.g.plan.History, old)
	taken := map[string]string{}
	for _, path := range old {
		switch to, given := r.g.plan.History[path]; {
		case !given:
			r.fault("history", path, "history state %q has no image: add it, with a history state of the new model or %s", path, PlanDrop)
		case to == "":
			r.fault("history", path, "fill in a history state of the new model, or %s", PlanDrop)
		case to == PlanDrop:
		case !slices.Contains(new, to):
			r.hint("history", path, source.DidYouMean(to, new), "the new model has no history state %q", to)
		case taken[to] != "":
			r.fault("history", path, "two sources for one target: %q and %q for %q", taken[to], path, to)
		default:
			taken[to] = path
			r.g.history[r.g.old.byPath[path].index] = r.g.new.byPath[to].index
		}
	}
}

// contextKeys are the keys of a model's context: those that it begins with, and those that
// actions set.
func (m *Model) contextKeys() []string {
	return slices.Compact(slices.Sorted(slices.Values(append(sortedOf(m.context), m.assignedKeys()...))))
}

func (r *planReader) contextRules() {
	old, new := r.g.old.contextKeys(), r.g.new.contextKeys()
	rules := r.g.plan.Context
	unknown(r, "context", "context key", rules, append(slices.Clone(old), new...))
	for _, key := range new {
		rule, given := rules[key]
		switch {
		case !given && slices.Contains(old, key):
			r.fault("context", key, "context key %q is missing: expected %s, or an expression on the old context", key, PlanKeep)
		case !given && !hasOwn(r.g.new.context, key): // an action sets it; until then it is missing, as in a new device
		case !given || rule == "":
			r.hint("context", key, "for example "+r.exampleOf(key), "context key %q is only in the new model: fill in an expression on the old context", key)
		case rule == PlanKeep:
			if !slices.Contains(old, key) {
				r.hint("context", key, "for example "+r.exampleOf(key), "context key %q is only in the new model: there is nothing to keep", key)
			}
			r.g.context = append(r.g.context, contextRule{key: key, keep: true})
		case rule == PlanDrop:
			if hasOwn(r.g.new.context, key) {
				r.fault("context", key, "the new model begins with context key %q: it cannot be dropped", key)
			}
		default:
			r.contextExpression(key, rule)
		}
	}
	for _, key := range old {
		if slices.Contains(new, key) {
			continue
		}
		if rule, given := rules[key]; !given {
			r.fault("context", key, "context key %q is only in the old model: expected %s", key, PlanDrop)
		} else {
			r.word("context", key, rule, PlanDrop)
		}
	}
}

func hasOwn(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

// exampleOf is an expression for a key that is new.
func (r *planReader) exampleOf(key string) string {
	if v, ok := r.g.new.context[key]; ok {
		return string(appendJSON(nil, v)) + ", the initial value"
	}
	return "null"
}

func (r *planReader) contextExpression(key, text string) {
	env, err := planEnvironment()
	if err != nil {
		r.fault("context", key, "%v", err)
		return
	}
	program, faults := env.Compile(text)
	for _, f := range faults {
		r.hint("context", key, f.Hint, "context key %q: expression: %s", key, f.Message)
	}
	r.g.context = append(r.g.context, contextRule{key: key, program: program})
}

func (r *planReader) entries() {
	var names []string
	for _, s := range r.g.new.states[1:] {
		if len(s.entry) > 0 {
			names = append(names, s.path)
		}
	}
	unknown(r, "entry", "entry of state", r.g.plan.Entry, names)
	for _, path := range names {
		if do, given := r.g.plan.Entry[path]; given {
			r.word("entry", path, do, PlanRun, PlanSkip)
		} else {
			r.fault("entry", path, "state %q has entry actions: add it, with %s or %s", path, PlanRun, PlanSkip)
		}
	}
}

func (r *planReader) rest() {
	p := r.g.plan
	raises := r.g.old.delayedRaises()
	unknown(r, "raises", "event that is raised after a delay", p.Raises, raises)
	for _, name := range raises {
		if do, given := p.Raises[name]; given {
			r.word("raises", name, do, PlanKeep, PlanDrop, PlanFire)
		} else {
			r.fault("raises", name, "event %q is raised after a delay: add it, with %s, %s or %s", name, PlanKeep, PlanDrop, PlanFire)
		}
	}
	if p.Always != "" {
		r.word("always", "", p.Always, PlanHold, PlanTake)
	}
}
