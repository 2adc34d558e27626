package dialect

import (
	"slices"
	"strings"
)

// filter is the topic filter that brings in the topics of the template, and perhaps others.
func (t *template) filter() string {
	var levels []string
	for _, l := range t.levels {
		switch l.kind {
		case levelRest, levelMany:
			return strings.Join(append(levels, "#"), "/")
		case levelText:
			levels = append(levels, l.before)
		default:
			levels = append(levels, "+")
		}
	}
	return strings.Join(levels, "/")
}

// together are filters that bring in what those given do, so that no topic matches two of
// them: a broker may deliver it twice. Filters with the same first level become one, because
// a broker may keep the order within one filter only.
func together(filters []string) []string {
	firsts := map[string][]string{}
	for _, f := range filters {
		if !slices.Contains(firsts[first(f)], f) {
			firsts[first(f)] = append(firsts[first(f)], f)
		}
	}
	ordinary := func(level string) bool { return !strings.HasPrefix(level, "$") }
	var all []string
	wild := false
	for level, of := range firsts {
		wild = wild || level == "+" || level == "#"
		if len(of) == 1 {
			all = append(all, of[0])
		} else {
			all = append(all, level+"/#")
		}
	}
	if wild && len(all) > 1 { // it matches the others' levels, too
		all = append(slices.DeleteFunc(all, ordinary), "#")
	}
	slices.Sort(all)
	return all
}

// filterTemplate is the template of the topics that a filter matches.
func filterTemplate(filter string) *template {
	t := &template{text: filter, many: -1}
	for s := range strings.SplitSeq(filter, "/") {
		l := level{kind: levelText, before: s, variable: -1}
		switch s {
		case "+":
			l = level{kind: levelAny, variable: -1}
		case "#":
			l = level{kind: levelRest, variable: -1}
		}
		t.levels = append(t.levels, l)
	}
	return t
}
