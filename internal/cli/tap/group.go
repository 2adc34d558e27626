package tap

import (
	"slices"
	"strings"
)

// topic is one that nothing reads, by its levels.
type topic struct {
	text   string
	levels []string
	*seen
}

// group is topics for which one template is proposed.
type group struct {
	topics  []*topic
	varying []int // levels of which the id is made, sorted
	what    int   // the level that names what is measured; -1: none does
	// literal: the level what has one value in these topics, for they have a template of their own.
	literal bool
	// unsure: the topics do not show which level is the device.
	unsure bool
	origin int // groups of one origin are of the same devices
}

// grouped are the groups of all topics.
func grouped(all []*topic) (groups []*group) {
	for _, alike := range byFirstLevel(all) {
		for len(alike) > 0 {
			var devices []*group
			devices, alike = split(alike)
			for _, g := range devices {
				g.origin = len(groups)
			}
			groups = append(groups, devices...)
		}
	}
	return groups
}

// byFirstLevel puts topics together that have as many levels, and one first level. The first
// level is a device where others like it, with a digit, are followed by the same levels.
func byFirstLevel(all []*topic) (sets [][]*topic) {
	places := map[string]int{}
	devices := firstDevices(all)
	for _, t := range all {
		key := string(rune(len(t.levels)))
		if n := len(t.levels); n > 1 && !devices[deviceKey(t)] {
			key += t.levels[0]
		} else {
			key += "+/" // which cannot be one level
		}
		at, known := places[key]
		if !known {
			at = len(sets)
			places[key], sets = at, append(sets, nil)
		}
		sets[at] = append(sets[at], t)
	}
	return sets
}

func deviceKey(t *topic) string { return string(rune(len(t.levels))) + t.levels[0] }

// firstDevices are the first levels, with the number of levels, that are devices.
func firstDevices(all []*topic) map[string]bool {
	before := map[string][]*topic{} // by what follows the first level
	for _, t := range all {
		if first, rest, more := strings.Cut(t.text, "/"); more && digits(first) {
			before[rest] = append(before[rest], t)
		}
	}
	devices := map[string]bool{}
	for _, alike := range before {
		if len(alike) > 1 {
			for _, t := range alike {
				devices[deviceKey(t)] = true
			}
		}
	}
	return devices
}

// split takes from topics with one number of levels those of the same devices, as groups, and
// returns the others.
func split(all []*topic) (groups []*group, others []*topic) {
	varying := varyingLevels(all)
	what := whatLevel(all, varying)
	if what < 0 {
		return []*group{whole(all, varying)}, nil
	}
	all, others = withWhat(all, what)
	ids := slices.DeleteFunc(varyingLevels(all), func(level int) bool { return level == what })
	unsure := len(ids) == 0
	if unsure {
		ids = []int{guess(all[0].levels, what)}
	}
	return byClass(all, ids, what, unsure), others
}

// whole is the group of topics in which no level names what is measured.
func whole(all []*topic, varying []int) *group {
	g := &group{topics: all, varying: varying, what: -1}
	switch last := len(all[0].levels) - 1; {
	case len(varying) == 0:
		g.varying, g.unsure = []int{guess(all[0].levels, -1)}, true
	case slices.Contains(varying, last):
		g.unsure = !slices.ContainsFunc(all, func(t *topic) bool {
			return slices.ContainsFunc(varying, func(level int) bool { return digits(t.levels[level]) })
		})
	}
	return g
}

func varyingLevels(all []*topic) (varying []int) {
	for i := range all[0].levels {
		if slices.ContainsFunc(all, func(t *topic) bool { return t.levels[i] != all[0].levels[i] }) {
			varying = append(varying, i)
		}
	}
	return varying
}

// whatLevel is the last level whose values are words that occur with several devices; -1: there
// is none. Topics of one device differ in it alone.
func whatLevel(all []*topic, varying []int) int {
	last := len(all[0].levels) - 1
	if len(varying) == 1 {
		if varying[0] == last && last >= 2 && !slices.ContainsFunc(all, func(t *topic) bool { return digits(t.levels[last]) }) {
			return last
		}
		return -1
	}
	for _, level := range slices.Backward(varying) {
		if level > 0 && wordsIn(all, level) && recurs(all, level, level == last) {
			return level
		}
	}
	return -1
}

// wordsIn reports whether most values of a level have no digits.
func wordsIn(all []*topic, level int) bool {
	values := map[string]bool{}
	for _, t := range all {
		values[t.levels[level]] = digits(t.levels[level])
	}
	n := 0
	for _, has := range values {
		if has {
			n++
		}
	}
	return 2*n < len(values)
}

// recurs reports whether a value of a level comes with several devices, which are the other levels. Before the
// last level a device has to come with several values, too: else the level is its place.
func recurs(all []*topic, level int, last bool) bool {
	ofValue, ofDevice := map[string]int{}, map[string]int{}
	for _, t := range all {
		ofValue[t.levels[level]]++
		ofDevice[t.without(level)]++
	}
	several := func(counts map[string]int) bool {
		for _, n := range counts {
			if n > 1 {
				return true
			}
		}
		return false
	}
	return several(ofValue) && (last || several(ofDevice))
}

// without is the topic without a level.
func (t *topic) without(level int) string {
	return strings.Join(t.levels[:level], "/") + "/+/" + strings.Join(t.levels[level+1:], "/")
}

// withWhat are the topics of devices that have one of the values that recur, or of the one device.
func withWhat(all []*topic, what int) (with, others []*topic) {
	count := map[string]int{}
	for _, t := range all {
		count[t.levels[what]]++
	}
	one := len(varyingLevels(all)) == 1
	devices := map[string]bool{}
	for _, t := range all {
		if one || count[t.levels[what]] > 1 {
			devices[t.without(what)] = true
		}
	}
	for _, t := range all {
		if devices[t.without(what)] {
			with = append(with, t)
		} else {
			others = append(others, t)
		}
	}
	return with, others
}

// maxLiteral bounds the templates with a level of their own that are proposed for the same devices.
const maxLiteral = 20

// byClass has one group of what is one value, and one for each level whose payloads are more than that.
func byClass(all []*topic, ids []int, what int, unsure bool) (groups []*group) {
	byValue := map[string][]*topic{}
	var values []string
	for _, t := range all {
		v := t.levels[what]
		if byValue[v] == nil {
			values = append(values, v)
		}
		byValue[v] = append(byValue[v], t)
	}
	slices.Sort(values)
	scalars := &group{varying: ids, what: what, unsure: unsure}
	n := 0 // of values that are one
	for _, v := range values {
		if classOf(byValue[v]) == classScalar || len(groups) == maxLiteral {
			scalars.topics, n = append(scalars.topics, byValue[v]...), n+1
			continue
		}
		groups = append(groups, &group{topics: byValue[v], varying: ids, what: what, literal: true, unsure: unsure})
	}
	if scalars.literal = n == 1; n > 0 {
		groups = append(groups, scalars)
	}
	return groups
}

// classOf is the class of all: of status, all have to be.
func classOf(all []*topic) class {
	class := all[0].class()
	for _, t := range all[1:] {
		if c := t.class(); c != class {
			if class = classScalar; c == classWhole {
				class = classWhole
			}
		}
		if class == classWhole {
			break
		}
	}
	return class
}

// guess is the level of the device in topics that have one: the last with a digit, of those that do
// not name what is measured, or else the last that may be a name.
func guess(levels []string, what int) int {
	n := len(levels)
	if what >= 0 || n > 2 {
		n-- // the last one rather says what is measured
	}
	for i := n - 1; i >= 0; i-- {
		if digits(levels[i]) {
			return i
		}
	}
	for i := n - 1; i > 0; i-- {
		if !slices.Contains(prefixes, levels[i]) {
			return i
		}
	}
	return 0
}

// prefixes are levels that say which way messages go: those of Tasmota.
var prefixes = []string{"cmnd", "stat", "tele"}

func digits(s string) bool { return strings.ContainsAny(s, "0123456789") }
