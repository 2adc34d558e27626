package dialect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"devicetwin/mqtt"
)

// template is a template of topics: levels, in each of which a variable may stand for
// all or a part, as in shellies/shelly1-{id}/info. {name...} stands for one or more levels,
// + for a level that has no name, and # at the end for any number of levels.
type template struct {
	text   string
	levels []level
	many   int      // place of the level {name...}; -1: there is none
	names  []string // of the variables, in the order of their places
}

type levelKind byte

// The kinds of levels, from the least to the most exact.
const (
	levelRest levelKind = iota // #
	levelMany                  // {name...}
	levelAny                   // + or {name}
	levelPart                  // a-{name}
	levelText
)

type level struct {
	kind           levelKind
	before, after  string // around the variable; of levelText, before is all
	variable       int    // among template.names; -1: none
	exactCharacter int    // of levelPart: how many are given
}

// maxTemplate bounds a template, in bytes.
const maxTemplate = 1024

// parseTemplate reads a template of topics.
func parseTemplate(text string) (*template, error) {
	if text == "" || len(text) > maxTemplate || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("expected 1 to %d bytes of UTF-8 without NUL", maxTemplate)
	}
	if mqtt.Shared(text) {
		return nil, errors.New("expected a topic as devices publish on it, without $share and a group")
	}
	t := &template{text: text, many: -1}
	levels := strings.Split(text, "/")
	for i, s := range levels {
		l, err := t.level(s, i == len(levels)-1)
		if err != nil {
			return nil, fmt.Errorf("level %q: %w", s, err)
		}
		if l.kind == levelMany {
			if t.many >= 0 {
				return nil, errors.New("expected at most one variable of several levels")
			}
			t.many = i
		}
		t.levels = append(t.levels, l)
	}
	if t.many >= 0 && t.levels[len(t.levels)-1].kind == levelRest {
		return nil, errors.New("expected # without a variable of several levels")
	}
	if first := t.levels[0]; first.kind == levelPart && strings.HasPrefix(first.before, "$") {
		return nil, errors.New("expected a first level with $ without a variable: no filter brings in its topics")
	}
	return t, nil
}

func (t *template) level(s string, last bool) (level, error) {
	l := level{variable: -1}
	before, rest, found := strings.Cut(s, "{")
	switch {
	case s == "#" && last:
		l.kind = levelRest
		return l, nil
	case s == "+":
		l.kind = levelAny
		return l, nil
	case strings.ContainsAny(s, "+#"):
		return l, errors.New("expected + alone in its level, and # alone in the last one")
	case !found:
		if strings.Contains(s, "}") {
			return l, errors.New("expected { before }")
		}
		if name, ok := placeholder(s); ok {
			return l, fmt.Errorf("a variable is written {%s}", name)
		}
		l.kind, l.before = levelText, s
		return l, nil
	}
	name, after, found := strings.Cut(rest, "}")
	if !found || strings.ContainsAny(after, "{}") {
		return l, errors.New("expected one variable in a level, as in a-{id}")
	}
	name, many := strings.CutSuffix(name, "...")
	switch {
	case !validVariable(name):
		return l, fmt.Errorf("variable %q: expected letters, digits and _, and a letter first", name)
	case slices.Contains(t.names, name):
		return l, fmt.Errorf("variable %q: it is in another level, too", name)
	case many && before+after != "":
		return l, errors.New("expected a variable of several levels without anything around it")
	}
	l.before, l.after, l.variable = before, after, len(t.names)
	t.names = append(t.names, name)
	switch {
	case many:
		l.kind = levelMany
	case before+after == "":
		l.kind = levelAny
	default:
		l.kind, l.exactCharacter = levelPart, len(before)+len(after)
	}
	return l, nil
}

// placeholder is the name in a level that has a variable as others write it: <site>, %topic%.
func placeholder(level string) (name string, ok bool) {
	for _, around := range []string{"<>", "%%"} {
		if name, ok = strings.CutPrefix(level, around[:1]); ok {
			if name, ok = strings.CutSuffix(name, around[1:]); ok {
				name = strings.NewReplacer("-", "_", " ", "_").Replace(name)
				return name, validVariable(name)
			}
		}
	}
	return "", false
}

func validVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// fixed reports whether the first level has no variable or wildcard.
func (t *template) fixed() bool { return t.levels[0].kind == levelText }

// first is the first level of a topic or a filter.
func first(topic string) string { level, _, _ := strings.Cut(topic, "/"); return level }

// match reports whether a topic is one of the template's, and puts into values what its
// variables stand for.
func (t *template) match(topic string, values []string) bool {
	if !t.fixed() && strings.HasPrefix(topic, "$") { // as of filters: MQTT 3.1.1, section 4.7.2
		return false
	}
	extra := strings.Count(topic, "/") + 1 - len(t.levels) // levels more than the template has
	last := t.levels[len(t.levels)-1].kind
	switch {
	case last == levelRest && extra == -1: // a/# matches a
	case extra < 0, extra > 0 && t.many < 0 && last != levelRest:
		return false
	}
	for i, l := range t.levels {
		if l.kind == levelRest {
			return true
		}
		var value string
		if i == t.many {
			end := 0
			for range extra + 1 {
				if next := strings.IndexByte(topic[end:], '/'); next >= 0 {
					end += next + 1
				} else {
					end = len(topic) + 1
				}
			}
			value, topic = topic[:end-1], topic[min(end, len(topic)):]
		} else {
			value, topic, _ = strings.Cut(topic, "/")
		}
		if !l.match(value, values) {
			return false
		}
	}
	return true
}

// matches reports whether a topic is one of the template's.
func (t *template) matches(topic string) bool { return t.match(topic, make([]string, len(t.names))) }

func (l *level) match(value string, values []string) bool {
	switch l.kind {
	case levelText:
		return value == l.before
	case levelPart:
		if len(value) <= l.exactCharacter || !strings.HasPrefix(value, l.before) || !strings.HasSuffix(value, l.after) {
			return false
		}
		value = value[len(l.before) : len(value)-len(l.after)]
	}
	if l.variable >= 0 {
		values[l.variable] = value
	}
	return true
}

// fill writes the topic for which the variables stand for the values.
func (t *template) fill(value func(name string) string) (string, error) {
	var b strings.Builder
	for i, l := range t.levels {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(l.before)
		if l.variable >= 0 {
			v := value(t.names[l.variable])
			if v == "" || l.kind != levelMany && strings.Contains(v, "/") {
				return "", fmt.Errorf("topic %s: %s is %q: expected one level", t.text, t.names[l.variable], v)
			}
			b.WriteString(v)
		}
		b.WriteString(l.after)
	}
	topic := b.String()
	return topic, mqtt.CheckTopic(topic)
}
