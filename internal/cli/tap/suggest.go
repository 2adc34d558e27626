package tap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/internal/cli"
)

// maxProposed bounds how many templates are proposed.
const maxProposed = 200

// maxTopicProposed bounds topics for which a template is proposed, in bytes: those of templates have a bound, too.
const maxTopicProposed = 512

// suggestion is a dialect for the topics that nothing reads, with what has to be decided
// in comments.
func (t *topics) suggestion() string {
	if len(t.seen) == 0 {
		return "# every topic is read: there is nothing to propose\n"
	}
	announced := t.announced()
	possible, impossible := t.sorted()
	proposals := proposed(grouped(possible))
	var b strings.Builder
	b.WriteString(`# A proposal. Decide what the messages on each topic are: telemetry, events, status, reported or
# ignored, such as commands to devices (docs/dialects.md). Then run: devicetwin dialect check FILE
`)
	if ids := shared(proposals); ids != "" {
		b.WriteString("# " + ids + "\n")
	}
	if announced > 0 {
		fmt.Fprintf(&b, "# Left out: %s of Home Assistant's discovery. With --dialect home-assistant, what they announce is read.\n", cli.Count(announced, "topic"))
	}
	if len(impossible) > 0 {
		fmt.Fprintf(&b, "# Left out, because a template cannot have all their characters, or their length: %s\n", some(impossible))
	}
	if t.left > 0 {
		fmt.Fprintf(&b, "# Left out: %s on topics after the first %d. Look at fewer of them at once, with --filter.\n", cli.Count(t.left, "message"), maxTopics)
	}
	if more := len(proposals) - maxProposed; more > 0 {
		proposals = proposals[:maxProposed]
		fmt.Fprintf(&b, "# Left out: %s. Look at fewer topics at once, with --filter.\n", cli.Count(more, "more template"))
	}
	if len(proposals) == 0 {
		return b.String()
	}
	b.WriteString("dialect: mine\ntopics:\n")
	for _, p := range proposals {
		p.write(&b)
	}
	return b.String()
}

// announced removes the topics of Home Assistant's discovery, which a dialect learns from, and returns how many
// there were.
func (t *topics) announced() int {
	before := len(t.seen)
	maps.DeleteFunc(t.seen, func(name string, _ *seen) bool {
		return strings.HasPrefix(name, "homeassistant/") && strings.HasSuffix(name, "/config")
	})
	return before - len(t.seen)
}

// sorted are the topics for which there may be a template, and the others.
func (t *topics) sorted() (possible []*topic, impossible []string) {
	for _, name := range slices.Sorted(maps.Keys(t.seen)) {
		if strings.ContainsAny(name, "{}+#\x00") || len(name) > maxTopicProposed || strings.ToValidUTF8(name, "") != name {
			impossible = append(impossible, name)
			continue
		}
		possible = append(possible, &topic{name, strings.Split(name, "/"), t.seen[name]})
	}
	return possible, impossible
}

// proposed are the templates of groups, each once: of two that are alike but for names, nothing
// would decide which one reads a topic.
func proposed(groups []*group) (all []*proposal) {
	known := map[string]*proposal{}
	for _, g := range groups {
		p := newProposal(g)
		if same := known[p.pattern]; same != nil {
			same.topics = append(same.topics, g.topics...)
			continue
		}
		known[p.pattern] = p
		all = append(all, p)
	}
	return all
}

// shared says which ids devices of different origins would have in common; "": none.
func shared(proposals []*proposal) string {
	first := map[string]*proposal{}
	var ids []string
	var examples [2]string
	for _, p := range proposals {
		for _, t := range p.topics {
			id := p.idOf(t)
			switch other := first[id]; {
			case other == nil:
				first[id] = p
			case other.origin != p.origin && !slices.Contains(ids, id):
				if len(ids) == 0 {
					examples = [2]string{other.template, p.template}
				}
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return fmt.Sprintf("Decide: %q and %q have ids in common: %s. If these are different devices, write something different into each id, such as id: \"a:{id}\".",
		examples[0], examples[1], some(ids))
}

// maxShown is how many of several things are named.
const maxShown = 4

// some are the first of many strings, as a comment can have them.
func some(all []string) string {
	var shown []string
	for _, s := range all[:min(len(all), maxShown)] {
		shown = append(shown, clip(s))
	}
	list := strings.Join(shown, ", ")
	if more := len(all) - maxShown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}
