package tap

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"devicetwin/internal/cli"
)

// topics are those that no dialect reads, with what was published there.
type topics map[string]*seen

type seen struct {
	messages int
	formats  map[string]bool
}

// maxTopics bounds how many are kept.
const maxTopics = 10_000

func (t topics) add(topic string, payload []byte) {
	s := t[topic]
	if s == nil {
		if len(t) == maxTopics {
			return
		}
		s = &seen{formats: map[string]bool{}}
		t[topic] = s
	}
	s.messages++
	s.formats[formatOf(payload)] = true
}

func (t topics) messages() (n int) {
	for _, s := range t {
		n += s.messages
	}
	return n
}

// formatOf guesses the format of a payload.
func formatOf(payload []byte) string {
	s := strings.TrimSpace(string(payload))
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return "number"
	}
	switch {
	case s == "":
		return ""
	case json.Valid(payload):
		return "json"
	case !utf8.ValidString(s):
		return "bytes"
	case strings.Contains(s, "=") && !strings.ContainsAny(s, "{}"):
		return "keyvalue"
	}
	return "text"
}

// group is topics of one shape: as many levels, and alike in all but those that vary.
type group struct {
	levels [][]string // values of each level, sorted
	topics []string
}

// suggestion is a dialect for the topics that nothing reads, with what has to be decided
// in comments.
func (t topics) suggestion() string {
	if len(t) == 0 {
		return "# every topic is read: there is nothing to propose\n"
	}
	var b strings.Builder
	b.WriteString("# A proposal. Where it says telemetry, decide what the messages are: telemetry, events,\n# status, reported or ignored (docs/dialects.md).\ndialect: mine\ntopics:\n")
	for _, g := range t.proposals() {
		fmt.Fprintf(&b, "  # %s, such as %s\n  - topic: %q\n    channel: telemetry\n", cli.Count(len(g.topics), "topic"), g.topics[0], g.template)
		if format := t.format(g.topics); format != "json" {
			fmt.Fprintf(&b, "    payload: %s\n", format)
		}
		if g.what {
			b.WriteString("    data: \"{topic.what: payload}\"\n")
		}
	}
	return b.String()
}

// format is the one of all payloads of some topics; text, if there are several.
func (t topics) format(names []string) string {
	all := map[string]bool{}
	for _, name := range names {
		maps.Copy(all, t[name].formats)
	}
	delete(all, "")
	switch {
	case len(all) == 1:
		for f := range all {
			if f == "bytes" {
				return "{format: bytes, layout: [{name: raw, type: bytes}]}"
			}
			return f
		}
	case len(all) == 2 && all["json"] && all["number"]:
		return "json"
	}
	return "{format: text, numbers: true}"
}

// groups puts topics together that have as many levels and the same first and last one.
func (t topics) groups() []*group {
	byShape := map[string]*group{}
	for _, topic := range slices.Sorted(maps.Keys(t)) {
		levels := strings.Split(topic, "/")
		shape := fmt.Sprint(len(levels), " ", levels[0], " ", levels[len(levels)-1])
		switch len(levels) {
		case 1:
			shape = "1"
		case 2:
			shape = "2 " + levels[0]
		}
		g := byShape[shape]
		if g == nil {
			g = &group{levels: make([][]string, len(levels))}
			byShape[shape] = g
		}
		g.topics = append(g.topics, topic)
		for i, level := range levels {
			if at, found := slices.BinarySearch(g.levels[i], level); !found {
				g.levels[i] = slices.Insert(g.levels[i], at, level)
			}
		}
	}
	var all []*group
	for _, shape := range slices.Sorted(maps.Keys(byShape)) {
		all = append(all, byShape[shape])
	}
	return all
}

// proposal is a template for topics.
type proposal struct {
	template string
	what     bool // it has a variable that names what is measured
	topics   []string
}

// proposals are the templates of all groups, each once.
func (t topics) proposals() []*proposal {
	byTemplate := map[string]*proposal{}
	var all []*proposal
	for _, g := range t.groups() {
		template, what := g.template()
		p := byTemplate[template]
		if p == nil {
			p = &proposal{template: template, what: what}
			byTemplate[template] = p
			all = append(all, p)
		}
		p.topics = append(p.topics, g.topics...)
	}
	return all
}

// template names the level that varies most the device, and another one what is measured.
func (g *group) template() (template string, what bool) {
	id := 0
	for i, values := range g.levels {
		if i > 0 && (id == 0 || score(values) >= score(g.levels[id])) { // the first one is the system's
			id = i
		}
	}
	var levels []string
	for i, values := range g.levels {
		switch {
		case i == id:
			levels = append(levels, "{id}")
		case len(values) == 1:
			levels = append(levels, values[0])
		case !what && i == len(g.levels)-1:
			what = true
			levels = append(levels, "{what}")
		default:
			levels = append(levels, "+")
		}
	}
	return strings.Join(levels, "/"), what
}

// score is how much values of a level look like ids: many, with digits in them.
func score(values []string) int {
	n := 2 * len(values)
	for _, v := range values {
		if strings.ContainsAny(v, "0123456789") {
			n++
		}
	}
	return n
}
