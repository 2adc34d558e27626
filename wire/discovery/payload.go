package discovery

import (
	"strings"

	"devicetwin/wire/discovery/jinja"
)

// payload is one that was published, as templates read it.
type payload struct {
	text    string
	depth   int
	decoded bool
	json    any
	isJSON  bool
	scope   jinja.Scope
}

// maxMade bounds the strings that all templates together make of a payload, in bytes.
const maxMade = 4 << 20

func newPayload(text string, depth int) *payload {
	p := &payload{text: text, depth: depth}
	p.scope = jinja.Scope{Value: p.value, Left: maxMade}
	return p
}

// value is what a template calls by a name.
func (p *payload) value(name string) (any, bool) {
	if name == "value" {
		return p.text, true
	}
	if !p.decoded {
		p.json, p.isJSON = jinja.Decode([]byte(p.text), p.depth)
		p.decoded = true
	}
	return p.json, p.isJSON
}

// render is what a template makes of it; nil leaves it as it is. False: the template says nothing of it.
func (p *payload) render(t *jinja.Template) (string, bool) {
	if t == nil {
		return strings.TrimSpace(p.text), true
	}
	text, err := t.Render(&p.scope)
	return text, err == nil
}
