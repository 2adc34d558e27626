package devicefsm

import (
	"maps"
	"slices"
	"strings"

	"devicetwin/source"
)

// target resolves a target of a state's transition: `.child` of the state,
// `#id` of a state with that id, or the path of a sibling, of a sibling of a
// state around it, or from the root.
func (l *loader) target(from *state, n source.Node) *state {
	if !n.IsString() {
		n.Faultf("expected the name of a state, found %s", n.Kind())
		return nil
	}
	text := n.String()
	if id, ok := strings.CutPrefix(text, "#"); ok {
		return l.targetByID(id, text, n)
	}
	if path, ok := strings.CutPrefix(text, "."); ok {
		return l.targetInPath(from, path, text, n)
	}
	scope := from
	if from.parent != nil {
		scope = from.parent
	}
	for a := scope; a != nil; a = a.parent {
		if s := l.descend(a, text); s != nil {
			return s
		}
	}
	n.FaultHint(l.nearest(text), "unknown target %q", text)
	return nil
}

// childByKey is the child that an initial names by its key: in XState that is not a path, so
// that a dot in it is one of the name.
func (l *loader) childByKey(of *state, n source.Node) *state {
	if !n.IsString() || !strings.Contains(n.String(), ".") {
		return nil
	}
	at := slices.IndexFunc(of.children, func(c *state) bool { return c.key == n.String() })
	if at < 0 {
		return nil
	}
	return of.children[at]
}

// targetInside resolves an initial: a child, a path below, or `#id` of a state
// inside.
func (l *loader) targetInside(of *state, n source.Node) *state {
	if !n.IsString() {
		n.Faultf("expected the name of a state, found %s", n.Kind())
		return nil
	}
	text := n.String()
	var found *state
	if id, ok := strings.CutPrefix(text, "#"); ok {
		if found = l.targetByID(id, text, n); found == nil {
			return nil
		}
	} else if found = l.descend(of, strings.TrimPrefix(text, ".")); found == nil {
		n.FaultHint(source.DidYouMean(text, childKeys(of)), "unknown state %q; expected one of %s", text, strings.Join(childKeys(of), ", "))
		return nil
	}
	for a := found.parent; a != nil; a = a.parent {
		if a == of {
			return found
		}
	}
	n.Faultf("state %q is not inside %s", text, nameOfState(of))
	return nil
}

func childKeys(s *state) []string {
	var keys []string
	for _, c := range s.children {
		keys = append(keys, c.key)
	}
	return keys
}

// targetByID resolves #id and #id.path.
func (l *loader) targetByID(id, text string, n source.Node) *state {
	if s := l.ids[id]; s != nil {
		return s
	}
	keys := splitPath(id)
	head, found := keys[0], len(keys) > 1
	s := l.ids[head]
	if s == nil && head == l.m.name {
		s = l.m.root
	}
	if s == nil {
		hint := source.DidYouMean(head, slices.Sorted(maps.Keys(l.ids)))
		if hint == "" && l.descend(l.m.root, id) != nil {
			hint = "no state has this id; write the path without #"
		}
		n.FaultHint(hint, "unknown id %q", head)
		return nil
	}
	if !found {
		return s
	}
	return l.targetInPath(s, joinKeys(keys[1:]), text, n)
}

func (l *loader) targetInPath(from *state, path, text string, n source.Node) *state {
	s := l.descend(from, path)
	if s == nil {
		n.FaultHint(source.DidYouMean(path, childKeys(from)), "unknown target %q: state %q has no such state", text, from.path)
	}
	return s
}

// descend follows a path of keys below a state.
func (l *loader) descend(from *state, path string) *state {
	if s := l.m.byPath[pathBelow(from.path, canonicalPath(path))]; s != nil && s != l.m.root {
		return s
	}
	return nil
}

func (l *loader) nearest(text string) string {
	var names []string
	for _, s := range l.m.states[1:] {
		if s.key == text {
			return "a dot in the name of a state is written \\. in a target: " + escapeKey(text)
		}
		names = append(names, escapeKey(s.key), s.path)
	}
	slices.Sort(names)
	return source.DidYouMean(text, slices.Compact(names))
}

// compatible checks that several targets can be active together: each pair in
// different regions of a parallel state.
func (l *loader) compatible(t *transition, n source.Node) {
	for i, a := range t.targets {
		for _, b := range t.targets[:i] {
			if common := commonAncestor(a, b); common == nil || common.kind != parallel {
				n.Faultf("targets %q and %q cannot be active together: they are not in different regions of a parallel state", b.path, a.path)
				return
			}
		}
	}
}

// commonAncestor is the deepest state that both are properly inside of, or nil
// if one is inside the other.
func commonAncestor(a, b *state) *state {
	above := map[*state]bool{}
	for s := a; s != nil; s = s.parent {
		if s == b {
			return nil
		}
		above[s] = true
	}
	for s := b; s != nil; s = s.parent {
		if s == a {
			return nil
		}
		if above[s] {
			return s
		}
	}
	return nil
}
