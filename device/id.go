package device

import (
	"fmt"
	"regexp"
	"strings"
)

// Kind is a kind of entities. The zero value is a device: the kind that has a
// connection.
type Kind string

// KindDevice is the kind of devices.
const KindDevice Kind = ""

// wordDevice is how people, paths and files call KindDevice.
const wordDevice = "device"

// ParseKind reads how people call a kind: "device", which is KindDevice, or 1 to 32 of
// a-z 0-9 -, beginning with a letter.
func ParseKind(word string) (Kind, error) {
	if word == wordDevice {
		return KindDevice, nil
	}
	if !kindPattern.MatchString(word) {
		return "", fmt.Errorf("kind %q: expected %s", clip(word), kindPattern)
	}
	return Kind(word), nil
}

// KindPattern is what the word for a kind has to match, as a regular expression for people
// and for schemas.
const KindPattern = `^[a-z][a-z0-9-]{0,31}$`

// Word is how people call the kind: ParseKind reads it.
func (k Kind) Word() string {
	if k == KindDevice {
		return wordDevice
	}
	return string(k)
}

// ID identifies an entity by its kind and its name. The ID of a device is its
// name, and that of any other entity is kind/name; so an ID is comparable, can be
// a map key, and is a string in JSON. Use Parse or New for input from outside: a
// conversion checks nothing.
type ID string

// MaxName is how many bytes the name of an entity has at most.
const MaxName = 128

var kindPattern = regexp.MustCompile(KindPattern)

// NamePattern is what the name of an entity has to match, as a regular
// expression for people and for schemas.
const NamePattern = `^[a-zA-Z0-9:_-]{1,128}$`

// Parse reads the id of a device, or kind/name of another entity. "device/x" is
// not an id: each device has one spelling.
func Parse(s string) (ID, error) {
	kind, name, ok := strings.Cut(s, "/")
	if !ok {
		return New(KindDevice, s)
	}
	if kind == "" {
		return "", fmt.Errorf("entity %q: expected kind/name", clip(s))
	}
	return New(Kind(kind), name)
}

// New makes the id of an entity of a kind. The error says which part is not valid:
// a kind is 1 to 32 of a-z 0-9 -, beginning with a letter, and not "device".
func New(kind Kind, name string) (ID, error) {
	if kind != KindDevice && (kind == wordDevice || !kindPattern.MatchString(string(kind))) {
		return "", fmt.Errorf("kind %q: expected %s, other than device", clip(string(kind)), kindPattern)
	}
	if !validName(name) {
		return "", fmt.Errorf("%s id %q: expected %s", kind.Word(), clip(name), NamePattern)
	}
	if kind == KindDevice {
		return ID(name), nil
	}
	return ID(string(kind) + "/" + name), nil
}

// validName is NamePattern without a regular expression: it is asked for each
// message.
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !alphanumeric(rune(c)) && c != ':' && c != '_' && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= MaxName
}

// Kind is the entity's kind.
func (id ID) Kind() Kind {
	kind, _, ok := strings.Cut(string(id), "/")
	if !ok {
		return KindDevice
	}
	return Kind(kind)
}

// Name is the entity's name, as in a topic or in a path of the API: only with its kind
// does it say which entity.
func (id ID) Name() string {
	if _, name, ok := strings.Cut(string(id), "/"); ok {
		return name
	}
	return string(id)
}

// Valid reports whether Parse would give this id.
func (id ID) Valid() bool {
	parsed, err := Parse(string(id))
	return err == nil && parsed == id
}

// Entity says what the id is of, for people: "device pump-7", "customer 4711".
func (id ID) Entity() string { return id.Kind().Word() + " " + id.Name() }

// String is the form that Parse reads.
func (id ID) String() string { return string(id) }

func clip(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
