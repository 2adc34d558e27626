package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/twin"
)

// Placeholders of topic templates. Each stands for whole levels.
const (
	placeID     = "{id}"
	placeShadow = "{shadow}"
	placePrefix = "{prefix}"
)

// DefaultShadowTopics are the templates of the device shadow protocol, and of this
// service's own names for the same.
func DefaultShadowTopics() []string {
	return []string{"$aws/things/{id}/shadow[/name/{shadow}]", "{prefix}/{id}/twin[/{shadow}]"}
}

// Scheme says on which topics shadows are spoken of: "$aws/things/{id}/shadow[/name/{shadow}]".
// {id} is the thing, {shadow} the shadow's name; the part in brackets is there
// for named shadows only. The zero value has no topics.
type Scheme struct {
	template string
	head     []string // levels up to the brackets
	tail     []string // levels in the brackets
	id       int      // place of {id} in head
	shadow   int      // place of {shadow} in tail
}

// ParseScheme reads a template.
func ParseScheme(template string) (Scheme, error) {
	head, tail, err := cutTemplate(template)
	if err != nil {
		return Scheme{}, fmt.Errorf("topic template %q: %w", template, err)
	}
	return Scheme{
		template: template, head: head, tail: tail,
		id: slices.Index(head, placeID), shadow: slices.Index(tail, placeShadow),
	}, nil
}

// ParseSchemes reads templates in which {prefix} stands for the given levels,
// and refuses two that share topics: each request would be answered twice.
func ParseSchemes(prefix string, templates []string) ([]Scheme, error) {
	var schemes []Scheme
	var faults []error
	for _, template := range templates {
		s, err := ParseScheme(strings.ReplaceAll(template, placePrefix, prefix))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, other := range schemes {
			if s.overlaps(other) {
				faults = append(faults, fmt.Errorf("topic templates %q and %q: expected templates that share no topic", other.template, s.template))
			}
		}
		schemes = append(schemes, s)
	}
	return schemes, errors.Join(faults...)
}

// maxTemplate bounds a template, so that with both names filled in a topic stays
// far below what MQTT allows.
const maxTemplate = 1024

func cutTemplate(template string) (head, tail []string, err error) {
	if len(template) > maxTemplate || !utf8.ValidString(template) || strings.ContainsAny(template, "+#\x00") {
		return nil, nil, fmt.Errorf("expected at most %d bytes of UTF-8 without + and #", maxTemplate)
	}
	front, rest, bracket := strings.Cut(template, "[/")
	inside, closed := strings.CutSuffix(rest, "]")
	if !bracket || !closed || strings.ContainsAny(front+inside, "[]") {
		return nil, nil, fmt.Errorf("expected a last part such as [/name/%s], for named shadows", placeShadow)
	}
	head, tail = strings.Split(front, "/"), strings.Split(inside, "/")
	if err := checkLevels(head, placeID); err != nil {
		return nil, nil, err
	}
	if err := checkLevels(tail, placeShadow); err != nil {
		return nil, nil, err
	}
	return head, tail, nil
}

// checkLevels wants the placeholder once, and literal levels otherwise.
func checkLevels(levels []string, place string) error {
	found := 0
	for _, level := range levels {
		switch {
		case level == place:
			found++
		case level == "":
			return errors.New("expected no empty level")
		case strings.ContainsAny(level, "{}"):
			return fmt.Errorf("level %q: expected a name, or %s as a level of its own", level, place)
		}
	}
	if found != 1 {
		return fmt.Errorf("expected one level %s in %q", place, strings.Join(levels, "/"))
	}
	return nil
}

// String is the template.
func (s Scheme) String() string { return s.template }

// Base is the topic of a shadow, without a method: "$aws/things/p1/shadow". The
// empty name is the classic shadow.
func (s Scheme) Base(id, shadow string) string {
	levels := slices.Clone(s.head)
	levels[s.id] = id
	if shadow != "" {
		levels = append(levels, s.tail...)
		levels[len(s.head)+s.shadow] = shadow
	}
	return strings.Join(levels, "/")
}

// Filters are the MQTT topic filters that match all topics of the scheme: the
// requests, and with them the answers, because a broker may keep order within
// one filter only.
func (s Scheme) Filters() []string {
	if len(s.head) == 0 {
		return nil
	}
	return []string{s.Base("+", "") + "/#"}
}

// What follows the base of a topic: the requests, and what the service sends.
var knownRests = map[string]bool{
	device.MethodGet: true, device.MethodUpdate: true, device.MethodDelete: true,
	"get/accepted": true, "update/accepted": true, "delete/accepted": true,
	"get/rejected": true, "update/rejected": true, "delete/rejected": true,
	"update/delta": true, "update/documents": true, twin.RestCurrent: true,
}

// IsRequest reports whether a rest that Parse gave is a request's method, and
// not an answer.
func IsRequest(rest string) bool {
	return rest == device.MethodGet || rest == device.MethodUpdate || rest == device.MethodDelete
}

// Parse splits a topic: {base}/get, or {base}/update/accepted, and so on.
// ok is false for a topic that does not belong to the scheme, or has a bad name. No
// topic can be meant in two ways: a shadow may be called update or get.
func (s Scheme) Parse(topic string) (id, shadow, rest string, ok bool) {
	levels, ok := s.below(topic)
	if !ok {
		return "", "", "", false
	}
	id = levels[s.id]
	levels = levels[len(s.head):]
	if rest = strings.Join(levels, "/"); !knownRests[rest] {
		if len(levels) <= len(s.tail) || !matches(s.tail, levels, s.shadow) {
			return "", "", "", false
		}
		shadow, rest = levels[s.shadow], strings.Join(levels[len(s.tail):], "/")
		ok = knownRests[rest] && twin.ValidShadowName(shadow)
	}
	if !ok || !twin.ValidThingName(id) {
		return "", "", "", false
	}
	return id, shadow, rest, true
}

// ID is what stands for {id} in a topic that the filters match, valid or not.
func (s Scheme) ID(topic string) (id string, ok bool) {
	more := len(s.head) > 0
	for i, want := range s.head {
		if !more {
			return "", false
		}
		var level string
		level, topic, more = strings.Cut(topic, "/")
		switch {
		case i == s.id:
			id = level
		case level != want:
			return "", false
		}
	}
	return id, len(s.head) > 0
}

// below splits a topic that begins like the scheme's.
func (s Scheme) below(topic string) (levels []string, ok bool) {
	if _, ok := s.ID(topic); !ok {
		return nil, false
	}
	return strings.Split(topic, "/"), true
}

// matches compares the first levels with the pattern's; one place is free.
func matches(pattern, levels []string, free int) bool {
	for i, want := range pattern {
		if i != free && levels[i] != want {
			return false
		}
	}
	return true
}

// overlaps reports whether a topic can be below both.
func (s Scheme) overlaps(other Scheme) bool {
	for i := range min(len(s.head), len(other.head)) {
		if i != s.id && i != other.id && s.head[i] != other.head[i] {
			return false
		}
	}
	return true
}
