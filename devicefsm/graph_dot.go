package devicefsm

import (
	"fmt"
	"strings"
)

// DOT draws the chart in the language of Graphviz. The same model gives the
// same text.
func (m *Model) DOT() string {
	d := &dot{picture: m.picture()}
	d.line("digraph %s {", quoteDOT(m.name))
	d.depth = 1
	d.line("compound=true;")
	d.line("node [shape=box, style=rounded, fontname=\"sans-serif\"];")
	d.line("edge [fontname=\"sans-serif\", fontsize=10];")
	d.inside(m.root)
	for _, e := range d.edges {
		d.edge(e)
	}
	d.depth = 0
	d.line("}")
	return d.b.String()
}

type dot struct {
	*picture
	b     strings.Builder
	depth int
}

func (d *dot) line(format string, args ...any) {
	d.b.WriteString(strings.Repeat("  ", d.depth))
	fmt.Fprintf(&d.b, format, args...)
	d.b.WriteByte('\n')
}

func (d *dot) inside(s *state) {
	if s.kind == compound {
		start := quoteDOT(s.path + " (initial)")
		d.line("%s [shape=point, width=0.12];", start)
		for _, t := range s.initial.targets {
			to := graphNode{state: t}
			d.line("%s -> %s%s;", start, anchor(to), attributes(ends(graphNode{}, to)))
		}
	}
	if d.any[s] {
		d.box(graphNode{s, true}, anyState, "style=\"rounded,dotted\"")
	}
	for _, c := range s.children {
		d.state(c)
	}
}

func (d *dot) state(s *state) {
	n := graphNode{state: s}
	switch {
	case len(s.children) > 0:
		d.line("subgraph %s {", quoteDOT(clusterOf(s)))
		d.depth++
		style := "rounded"
		if s.parent.kind == parallel {
			style = "rounded,dashed" // a region
		}
		d.line("label=%s; style=\"%s\"; fontname=\"sans-serif\";", quoteDOT(s.key), style)
		d.inside(s)
		d.depth--
		d.line("}")
	case s.kind == final:
		d.box(n, s.key, "peripheries=2")
	case s.kind == shallowHistory:
		d.box(n, "H", "shape=circle")
	case s.kind == deepHistory:
		d.box(n, "H*", "shape=circle")
	default:
		d.box(n, s.key, "")
	}
}

func (d *dot) box(n graphNode, label, style string) {
	text := strings.Join(append([]string{label}, d.lines[n]...), "\n")
	d.line("%s%s;", anchor(n), attributes([]string{"label=" + quoteDOT(text), style}))
}

func (d *dot) edge(e edge) {
	list := ends(e.from, e.to)
	if e.label != "" {
		list = append([]string{"label=" + quoteDOT(e.label)}, list...)
	}
	d.line("%s -> %s%s;", anchor(e.from), anchor(e.to), attributes(list))
}

// anchor is the node where an edge ends: of a state with states inside, its
// first one; the edge is then cut at the border of the state.
func anchor(n graphNode) string {
	if n.any {
		return quoteDOT(n.state.path + " (any)")
	}
	s := n.state
	for len(s.children) > 0 {
		s = firstReal(s)
	}
	return quoteDOT(s.path)
}

func ends(from, to graphNode) []string {
	var list []string
	if s := from.state; s != nil && !from.any && len(s.children) > 0 {
		list = append(list, "ltail="+quoteDOT(clusterOf(s)))
	}
	if s := to.state; !to.any && len(s.children) > 0 {
		list = append(list, "lhead="+quoteDOT(clusterOf(s)))
	}
	return list
}

func clusterOf(s *state) string { return "cluster_" + s.path }

func attributes(list []string) string {
	var set []string
	for _, a := range list {
		if a != "" {
			set = append(set, a)
		}
	}
	if len(set) == 0 {
		return ""
	}
	return " [" + strings.Join(set, ", ") + "]"
}

func quoteDOT(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}
