package dialect

import (
	"fmt"
	"strings"
)

// textTemplate is a string with variables: button-{nr}.
type textTemplate struct {
	text  string
	parts []part
}

// part is a fixed part, or a variable.
type part struct{ text, variable string }

func parseText(s string) (*textTemplate, error) {
	t := &textTemplate{text: s}
	for rest := s; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return nil, fmt.Errorf("expected { before }")
		}
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !found {
			break
		}
		name, after, found := strings.Cut(after, "}")
		if !found || !validVariable(name) {
			return nil, fmt.Errorf("expected variables such as {id}, found %q", "{"+name)
		}
		t.parts = append(t.parts, part{variable: name})
		rest = after
	}
	if len(t.parts) == 0 {
		return nil, fmt.Errorf("it is empty")
	}
	return t, nil
}

func (t *textTemplate) variables() (names []string) {
	for _, p := range t.parts {
		if p.variable != "" {
			names = append(names, p.variable)
		}
	}
	return names
}

func (t *textTemplate) fill(value func(name string) string) string {
	if len(t.parts) == 1 && t.parts[0].variable == "" {
		return t.text
	}
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.variable != "" {
			b.WriteString(value(p.variable))
		}
	}
	return b.String()
}
