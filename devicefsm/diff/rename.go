package diff

import (
	"cmp"
	"slices"
	"strings"

	"devicetwin/devicefsm"
)

// similarEnough is from which share of what two states do in common one of them is taken for
// the other, renamed.
const similarEnough = 0.5

// states finds what the states of the old chart have become. Those with the same path are
// the same. A state that is gone is looked for among the new ones: first inside the image
// of its parent, under its own key, and then by what it does.
func states(old, new []devicefsm.StateOutline) map[string]State {
	r := renaming{old: old, new: new, before: byPath(old), after: byPath(new), images: map[string]State{}, taken: map[string]bool{}}
	for _, s := range old {
		if now, ok := r.after[s.Path]; ok && s.IsHistory() == now.IsHistory() {
			r.take(s.Path, State{Path: s.Path})
		}
	}
	for depth := 1; r.level(depth); depth++ {
	}
	return r.images
}

type renaming struct {
	old, new      []devicefsm.StateOutline
	before, after map[string]devicefsm.StateOutline
	images        map[string]State
	taken         map[string]bool // paths of the new chart
}

func (r *renaming) take(path string, image State) {
	r.images[path] = image
	r.taken[image.Path] = true
}

// pair is two states that may be one.
type pair struct {
	old, new string
	score    float64
}

// level pairs the states that are gone at one depth; false: there is nothing as deep.
func (r *renaming) level(depth int) bool {
	deep := false
	var pairs []pair
	for _, s := range r.old {
		if s.Depth < depth {
			continue
		}
		deep = true
		if _, found := r.images[s.Path]; found || s.Depth > depth {
			continue
		}
		image, moved := r.images[s.Parent]
		if now, ok := r.after[below(image.Path, s.Key)]; moved && ok && !r.taken[now.Path] && s.IsHistory() == now.IsHistory() {
			r.take(s.Path, State{now.Path, true})
			continue
		}
		for _, n := range r.new {
			if n.Path == "" || r.taken[n.Path] || s.IsHistory() != n.IsHistory() {
				continue
			}
			if score := r.similarity(s, n); score >= similarEnough {
				pairs = append(pairs, pair{s.Path, n.Path, score})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.score, a.score) })
	for _, p := range pairs {
		if _, found := r.images[p.old]; !found && !r.taken[p.new] {
			r.take(p.old, State{p.new, true})
		}
	}
	return deep
}

// similarity is the share of what either state has that both have.
func (r *renaming) similarity(s, n devicefsm.StateOutline) float64 {
	a, b := r.features(s, r.old, r.image), r.features(n, r.new, func(path string) string { return path })
	common := 0
	for f, count := range a {
		common += min(count, b[f])
	}
	all := total(a) + total(b) - common
	if all == 0 {
		return 0
	}
	return float64(common) / float64(all)
}

func total(counts map[string]int) int {
	n := 0
	for _, count := range counts {
		n += count
	}
	return n
}

// image is a path of the old chart as it is in the new one, as far as that is known.
func (r *renaming) image(path string) string {
	if image, ok := r.images[path]; ok {
		return image.Path
	}
	return "?"
}

// features are what can be said of a state without its name. Targets that are not known to be
// the same count for the transition only.
func (r *renaming) features(s devicefsm.StateOutline, all []devicefsm.StateOutline, image func(string) string) map[string]int {
	set := map[string]int{}
	add := func(parts ...string) { set[strings.Join(parts, "\x00")]++ }
	add("kind", s.Kind, "in", image(s.Parent))
	for _, list := range []struct {
		word string
		of   []string
	}{{"entry", s.Entry}, {"exit", s.Exit}, {"timer", s.Timers}} {
		for _, text := range list.of {
			add(list.word, text)
		}
	}
	for _, inv := range s.Invocations {
		add("invoke", inv.Src, inv.Input)
	}
	for _, of := range s.Schedules {
		add("schedule", of.Name, of.Text)
	}
	for _, t := range s.Transitions {
		add("on", waits(t), t.Guard, strings.Join(t.Actions, "\x00"))
		for _, target := range t.Targets {
			if to := image(target); to != "?" {
				add("to", waits(t), to)
			}
		}
	}
	for _, other := range all {
		for _, t := range other.Transitions {
			if from := image(other.Path); from != "?" && slices.Contains(t.Targets, s.Path) {
				add("from", from, waits(t))
			}
		}
	}
	return set
}

// waits is what a transition waits for; a delay of whatever length, so that a state with
// another one is still known.
func waits(t devicefsm.TransitionOutline) string {
	if strings.HasPrefix(t.On, "after ") {
		return "after"
	}
	return t.On
}

func below(parent, key string) string {
	if parent == "" {
		return key
	}
	return parent + "." + key
}
