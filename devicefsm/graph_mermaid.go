package devicefsm

import (
	"fmt"
	"strconv"
	"strings"
)

// Mermaid draws the chart as a Mermaid state diagram (stateDiagram-v2), as
// GitHub shows it in a Markdown file. The same model gives the same text.
func (m *Model) Mermaid() string {
	d := &mermaid{picture: m.picture(), ids: mermaidIDs(m)}
	d.line("stateDiagram-v2")
	d.depth = 1
	if m.root.kind == parallel {
		d.composite(m.root, m.name)
	} else {
		d.inside(m.root)
	}
	for _, e := range d.edges {
		text := d.id(e.from) + " --> " + d.id(e.to)
		if e.label != "" {
			text += " : " + mermaidText(e.label)
		}
		d.line("%s", text)
	}
	return d.b.String()
}

type mermaid struct {
	*picture
	ids   []string // by the index of the state
	b     strings.Builder
	depth int
}

func (d *mermaid) line(format string, args ...any) {
	d.b.WriteString(strings.Repeat("    ", d.depth))
	fmt.Fprintf(&d.b, format, args...)
	d.b.WriteByte('\n')
}

func (d *mermaid) id(n graphNode) string {
	if n.any {
		return d.ids[n.state.index] + "_any"
	}
	return d.ids[n.state.index]
}

// inside draws what a state holds: a list of states, or regions side by side.
func (d *mermaid) inside(s *state) {
	if s.kind == compound {
		for _, t := range s.initial.targets {
			d.line("[*] --> %s", d.ids[t.index])
		}
	}
	first := true
	separate := func() {
		if s.kind == parallel && !first {
			d.line("--")
		}
		first = false
	}
	if d.any[s] {
		separate()
		d.box(graphNode{s, true}, anyState)
	}
	for _, c := range s.children {
		if !c.isHistory() {
			separate()
		}
		d.state(c)
	}
}

func (d *mermaid) state(s *state) {
	switch {
	case len(s.children) > 0:
		d.composite(s, s.key)
	case s.kind == shallowHistory:
		d.box(graphNode{state: s}, "H")
	case s.kind == deepHistory:
		d.box(graphNode{state: s}, "H*")
	default:
		d.box(graphNode{state: s}, s.key)
	}
	if s.kind == final {
		d.line("%s --> [*]", d.ids[s.index])
	}
}

func (d *mermaid) composite(s *state, label string) {
	d.line("state %s {", d.named(d.ids[s.index], label))
	d.depth++
	d.inside(s)
	d.depth--
	d.line("}")
}

func (d *mermaid) box(n graphNode, label string) {
	d.line("state %s", d.named(d.id(n), label))
	for _, text := range d.lines[n] {
		d.line("%s : %s", d.id(n), mermaidText(text))
	}
}

func (d *mermaid) named(id, label string) string {
	return `"` + mermaidText(label) + `" as ` + id
}

// mermaidText writes what means something to Mermaid, or in the HTML that it
// makes, as entities.
func mermaidText(text string) string { return mermaidEscapes.Replace(text) }

var mermaidEscapes = strings.NewReplacer(
	"#", "#35;", ":", "#58;", ";", "#59;", `"`, "#34;", "<", "#lt;", "%%", "#37;#37;", "`", "#96;",
)

// mermaidIDs makes a name for each state out of its path, unique among them.
func mermaidIDs(m *Model) []string {
	taken := map[string]bool{"end": true, "state": true, "note": true, "default": true, "class": true, "style": true, "direction": true}
	ids := make([]string, len(m.states))
	for i, s := range m.states {
		id := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				return r
			}
			return '_'
		}, s.path)
		if s.parent == nil {
			id = "root"
		}
		// Mermaid ignores the case of its own words.
		for n := 2; taken[strings.ToLower(id)]; n++ {
			id = strings.TrimSuffix(id, "_"+strconv.Itoa(n-1)) + "_" + strconv.Itoa(n)
		}
		taken[strings.ToLower(id)], taken[strings.ToLower(id)+"_any"] = true, true
		ids[i] = id
	}
	return ids
}
