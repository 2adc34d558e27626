package script

import (
	"strings"
)

// Update is the script in which the expectations of all failures are replaced by
// what happened. What was right stays as it was written; comments and blank lines
// stay where they are.
func (s *Script) Update(r *Report) []byte {
	drop := map[int]bool{}
	insert := map[int][]string{} // by the line after which they come
	for _, f := range r.Failures {
		if f.got.problem != "" {
			continue
		}
		after := f.step.Line
		for i, line := range f.step.want.lines {
			drop[line] = true
			if i == 0 {
				after = line
			}
		}
		insert[after] = f.got.lines(f.step, s.indent(f.step))
	}
	var out []string
	for i, text := range s.lines {
		if !drop[i+1] {
			out = append(out, text)
		}
		out = append(out, insert[i+1]...)
	}
	return []byte(strings.Join(out, "\n") + "\n")
}

// indent is that of the expectations that are there, or a little more than
// where the input's first word stands.
func (s *Script) indent(step *Step) string {
	if len(step.want.lines) > 0 {
		text := s.lines[step.want.lines[0]-1]
		return text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	}
	return strings.Repeat(" ", step.column+2)
}

// lines are the expectations that fit what happened.
func (f found) lines(s *Step, indent string) []string {
	var lines []string
	add := func(text string) { lines = append(lines, indent+text) }
	for _, name := range f.matched {
		add("matched " + nameText(name))
	}
	if f.moved || len(s.want.state) > 0 {
		add("state " + nameText(f.state))
	}
	for _, a := range f.actions {
		add(textOf(a, omitted{}))
	}
	for _, text := range f.faults {
		add("fault " + lineText(text))
	}
	if len(s.want.context) > 0 {
		add(f.contextText(s.want.values))
	}
	for _, w := range s.want.windows {
		add(f.windowText(w))
	}
	return lines
}
