package discovery

import (
	"strings"
	"unicode/utf8"

	"devicetwin/internal/jsonobject"
	"devicetwin/wire/discovery/jinja"
)

// payload is one that was published, as templates read it.
type payload struct {
	text   string
	depth  int
	parsed bool
	json   jsonobject.Value // nil: it is not JSON
	scope  jinja.Scope
}

// maxMade bounds the strings that all templates together make of a payload, in bytes.
const maxMade = 4 << 20

func newPayload(text string, depth int) *payload {
	p := &payload{text: text, depth: depth}
	p.scope = jinja.Scope{Value: p.value, JSON: p.encoded, Left: maxMade}
	return p
}

// value is what a template calls by a name.
func (p *payload) value(name string) (any, bool) {
	if name == "value" {
		return p.text, true
	}
	if v, ok := p.encoded(name); ok {
		return jinja.Decoded(v), true
	}
	return nil, false
}

// encoded is the payload as JSON, of which templates read members. A string has none.
func (p *payload) encoded(name string) (jsonobject.Value, bool) {
	if name == "value" {
		return noMembers, true
	}
	if !p.parsed {
		p.parsed = true
		if v, ok := jsonobject.ParseWithin([]byte(p.text), p.depth); ok && utf8.ValidString(p.text) {
			p.json = v
		}
	}
	return p.json, p.json != nil
}

var noMembers = jsonobject.Value(`""`)

// render is what a template makes of it; nil leaves it as it is. False: the template says nothing of it.
func (p *payload) render(t *jinja.Template) (string, bool) {
	if t == nil {
		return strings.TrimSpace(p.text), true
	}
	text, err := t.Render(&p.scope)
	return text, err == nil
}
