package devicefsm

import "strings"

// descriptor is a key of `on`: an event name, `*` for every event, or
// `fault.*` for fault and all names that begin with "fault.".
type descriptor struct {
	name string // without the wildcard and its dot
	wild bool
}

// parseDescriptor reports false for anything else.
func parseDescriptor(text string) (descriptor, bool) {
	switch head, found := strings.CutSuffix(text, ".*"); {
	case text == "*":
		return descriptor{wild: true}, true
	case found && validEventName(head):
		return descriptor{name: head, wild: true}, true
	}
	return descriptor{name: text}, validEventName(text)
}

func (d descriptor) matches(name string) bool {
	if !d.wild {
		return d.name == name
	}
	rest, found := strings.CutPrefix(name, d.name)
	return d.name == "" || found && (rest == "" || rest[0] == '.')
}

// text is the descriptor as it is written.
func (d descriptor) text() string {
	switch {
	case !d.wild:
		return d.name
	case d.name == "":
		return "*"
	}
	return d.name + ".*"
}

// validEventName allows what is allowed in a topic, and spaces: names that a
// chart raises itself never travel.
func validEventName(name string) bool {
	return name != "" && len(name) <= 128 && !strings.ContainsAny(name, "*\x00\n\r\t") &&
		!strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".")
}
