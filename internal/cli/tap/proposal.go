package tap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"devicetwin/internal/cli"
	"devicetwin/internal/text"
	"devicetwin/wire"
)

// proposal is a template for a group of topics.
type proposal struct {
	*group
	names    map[int]string // of the levels that are variables
	template string
	pattern  string // the template with + for each variable
}

func newProposal(g *group) *proposal {
	p := &proposal{group: g, names: map[int]string{}}
	p.name()
	levels := slices.Clone(g.topics[0].levels)
	pattern := slices.Clone(levels)
	for i, name := range p.names {
		levels[i], pattern[i] = "{"+name+"}", "+"
	}
	p.template, p.pattern = strings.Join(levels, "/"), strings.Join(pattern, "/")
	return p
}

// name names the variables: id, if it is the only one of the device; else as the fixed level
// before it, or by the number of the level.
func (p *proposal) name() {
	if p.what >= 0 && !p.literal {
		p.names[p.what] = "what"
	}
	if len(p.varying) == 1 {
		p.names[p.varying[0]] = "id"
		return
	}
	used := map[string]bool{"id": true, "what": true}
	for _, level := range p.varying {
		name := p.fixedBefore(level)
		if name == "" || used[name] {
			name = fmt.Sprintf("l%d", level+1)
		}
		used[name] = true
		p.names[level] = name
	}
}

// fixedBefore is the fixed level before a level, as the name of a variable; "": it cannot be one. The first level
// names a system rather than what comes next.
func (p *proposal) fixedBefore(level int) string {
	before := level - 1
	if before < 1 || p.names[before] != "" || slices.Contains(p.varying, before) {
		return ""
	}
	name := strings.TrimSuffix(p.topics[0].levels[before], "s")
	for i, c := range []byte(name) {
		if letter := 'a' <= c && c <= 'z'; len(name) > maxWord || !letter && (i == 0 || c != '_') {
			return ""
		}
	}
	return name
}

// idOf is the id of the device of a topic, before what is not allowed in ids is escaped.
func (p *proposal) idOf(t *topic) string {
	var values []string
	for _, level := range p.varying {
		values = append(values, t.levels[level])
	}
	return strings.Join(values, ":")
}

// write adds it to the list of topics of a dialect.
func (p *proposal) write(b *strings.Builder) {
	var all []*seen
	for _, t := range p.topics {
		all = append(all, t.seen)
	}
	f := formatOf(all)
	class := classOf(p.topics)
	fmt.Fprintf(b, "  # %s, such as %s\n", cli.Count(len(p.topics), "topic"), clip(p.topics[0].text))
	if p.toDevices() {
		fmt.Fprintf(b, "  # Decide: these may be commands to devices, which a dialect sends itself: see commands and desired.\n  - topic: %s\n    channel: ignored\n", strconv.Quote(p.template))
		return
	}
	for _, comment := range append(p.comments(), f.note) {
		if comment != "" {
			fmt.Fprintf(b, "  # %s\n", comment)
		}
	}
	fmt.Fprintf(b, "  - topic: %s\n", strconv.Quote(p.template))
	for _, line := range slices.Concat(p.id(), channel(class), f.lines(), p.data(class)) {
		fmt.Fprintf(b, "    %s\n", line)
	}
}

// toDevices reports whether the last level is one on which devices are sent something.
func (p *proposal) toDevices() bool {
	last := len(p.topics[0].levels) - 1
	return p.names[last] == "" && slices.Contains(commandLevels, strings.ToLower(p.topics[0].levels[last]))
}

var commandLevels = []string{"set", "get", "cmd", "cmnd", "command", "commands"}

// comments say what the variables stand for, and what the topics do not show.
func (p *proposal) comments() []string {
	var variables []string
	for level := range p.topics[0].levels {
		if name := p.names[level]; name != "" {
			variables = append(variables, name+": "+some(p.values(level)))
		}
	}
	comments := []string{strings.Join(variables, "; ")}
	switch {
	case !p.unsure:
	case len(p.topics) > 1 && p.what < 0:
		comments = append(comments, "Decide: the last level may be a device, or what one device measures: then name it {what}, and another one {id}.")
	default:
		comments = append(comments, "Decide: these topics may be of one device, and do not show which level is the device. Move {id} there.")
	}
	return comments
}

// values are those of a level, sorted.
func (p *proposal) values(level int) (values []string) {
	for _, t := range p.topics {
		values = append(values, t.levels[level])
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func (p *proposal) id() []string {
	if len(p.varying) == 1 {
		return nil
	}
	var names []string
	for _, level := range p.varying {
		names = append(names, "{"+p.names[level]+"}")
	}
	return []string{"id: " + strconv.Quote(strings.Join(names, ":"))}
}

func channel(c class) []string {
	if c == classStatus {
		return []string{"channel: status"}
	}
	return []string{"channel: telemetry"}
}

// data gives one value the name of the level that says what it is: else each would be the member value.
func (p *proposal) data(c class) []string {
	if p.what >= 0 && !p.literal {
		return []string{`data: "{topic.what: payload}"`}
	}
	level := p.what
	if last := len(p.topics[0].levels) - 1; level < 0 && p.names[last] == "" {
		level = last
	}
	if c != classScalar || level < 0 {
		return nil
	}
	key := p.topics[0].levels[level]
	if key == "" || wire.Reserved(key) {
		return nil
	}
	return []string{fmt.Sprintf("data: {%s: payload}", strconv.Quote(key))}
}

// clip is the beginning of a string, as a comment can have it.
func clip(s string) string {
	quoted := strconv.Quote(text.Clip(s, 80))
	return quoted[1 : len(quoted)-1]
}
