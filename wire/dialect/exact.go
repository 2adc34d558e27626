package dialect

import (
	"cmp"
	"strings"
)

// moreExact orders templates: whichever has the more exact level where they first
// differ comes first. The end of a template is more exact than # at its place, and less than
// any other level.
func moreExact(a, b *template) int {
	for i := range min(len(a.levels), len(b.levels)) {
		la, lb := a.levels[i], b.levels[i]
		if c := cmp.Or(cmp.Compare(lb.kind, la.kind), cmp.Compare(lb.exactCharacter, la.exactCharacter)); c != 0 {
			return c
		}
	}
	switch n := min(len(a.levels), len(b.levels)); {
	case len(a.levels) > n && a.levels[n].kind == levelRest:
		return 1
	case len(b.levels) > n && b.levels[n].kind == levelRest:
		return -1
	}
	return cmp.Compare(len(b.levels), len(a.levels))
}

// share reports whether a topic may be of both templates.
func share(a, b *template) bool {
	for _, pair := range [...][2]*template{{a, b}, {b, a}} {
		if !pair[0].fixed() && pair[1].fixed() && strings.HasPrefix(pair[1].levels[0].before, "$") {
			return false
		}
	}
	return (&meeting{a: a.levels, b: b.levels, seen: map[[2]int]bool{}}).from(0, 0)
}

// meeting looks for a topic of two templates. It walks over both, level by level of the
// topic; where one has a level that stands for several, it may stay there.
type meeting struct {
	a, b []level
	seen map[[2]int]bool // places that lead nowhere
}

// from reports whether there are levels that are those of both templates from these places on.
func (m *meeting) from(i, j int) bool {
	if i == len(m.a) && j == len(m.b) {
		return true
	}
	at := [2]int{i, j}
	if m.seen[at] {
		return false
	}
	m.seen[at] = true
	if i < len(m.a) && m.a[i].kind == levelRest && m.from(i+1, j) || j < len(m.b) && m.b[j].kind == levelRest && m.from(i, j+1) {
		return true // # may stand for nothing
	}
	if i == len(m.a) || j == len(m.b) || !shareLevel(m.a[i], m.b[j]) {
		return false
	}
	return m.from(i+1, j+1) || m.a[i].several() && m.from(i, j+1) || m.b[j].several() && m.from(i+1, j)
}

// several reports whether it stands for more than one level.
func (l *level) several() bool { return l.kind == levelRest || l.kind == levelMany }

// shareLevel reports whether a level of a topic may be of both.
func shareLevel(a, b level) bool {
	switch {
	case a.several() || b.several():
		return true
	case a.kind == levelText && b.kind == levelText:
		return a.before == b.before
	case a.kind == levelText:
		return b.match(a.before, make([]string, b.variable+1))
	case b.kind == levelText:
		return a.match(b.before, make([]string, a.variable+1))
	}
	begins := func(x, y string) bool { return strings.HasPrefix(x, y) || strings.HasPrefix(y, x) }
	ends := func(x, y string) bool { return strings.HasSuffix(x, y) || strings.HasSuffix(y, x) }
	return begins(a.before, b.before) && ends(a.after, b.after)
}
