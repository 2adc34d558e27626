package dialect

import (
	"errors"
	"fmt"
	"strings"

	"devicetwin/device"
)

// idTemplate says which device variables stand for: {site}:{machine}. It is reversible:
// the values of the variables can be read from an id.
//
// An id has letters, digits, : and _ and - only. Other bytes of a value are written as
// --xx, two hexadecimal digits; so are the character that follows the variable in the
// template, and a - that the next character would make the beginning of an escape.
//
// Its kind is that of the entities. The text of a template of another kind than devices is
// kind/template, as of their ids: two templates with one text are the same.
type idTemplate struct {
	textTemplate
	kind device.Kind
}

// of is the template for entities of a kind.
func (t *idTemplate) of(kind device.Kind) *idTemplate {
	if t == nil || t.kind == kind {
		return t
	}
	other := *t
	other.text = strings.TrimPrefix(t.text, string(t.kind)+"/")
	if other.kind = kind; kind != device.KindDevice {
		other.text = string(kind) + "/" + other.text
	}
	return &other
}

const escape = "--"

func parseIDTemplate(s string) (*idTemplate, error) {
	parsed, err := parseText(s)
	if err != nil {
		return nil, err
	}
	t := &idTemplate{textTemplate: *parsed}
	if len(t.variables()) == 0 {
		return nil, errors.New("expected a variable, such as {id}: else all messages are of one device")
	}
	for i, p := range t.parts {
		before := ""
		if i > 0 {
			before = t.parts[i-1].variable
		}
		if err := p.checkInID(before); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// checkInID reports what keeps an id with the part from being read again. Before is the variable
// before it, if any.
func (p part) checkInID(before string) error {
	if p.variable != "" {
		if before != "" {
			return fmt.Errorf("{%s}{%s}: expected a : or _ between two variables", before, p.variable)
		}
		return nil
	}
	for _, c := range []byte(p.text) {
		if !plainInID(c) {
			return fmt.Errorf("character %q: expected letters, digits, : and _ and -", c)
		}
	}
	if strings.Contains(p.text, escape) {
		return fmt.Errorf("expected no %s outside a variable: it begins an escape", escape)
	}
	if c := p.text[0]; before != "" && (c == '-' || isHex(c)) {
		return fmt.Errorf("text %q after {%s}: expected one that begins with :, _ or a letter after f", p.text, before)
	}
	return nil
}

// stop is the character that ends the value of the variable that is a part; 0: it goes to
// the end.
func (t *idTemplate) stop(part int) byte {
	if part+1 < len(t.parts) {
		return t.parts[part+1].text[0]
	}
	return 0
}

// fill makes the id of a device.
func (t *idTemplate) fill(value func(name string) string) (device.ID, error) {
	if len(t.parts) == 1 { // of most
		if v := value(t.parts[0].variable); plainID(v) {
			return device.New(t.kind, v)
		}
	}
	var b strings.Builder
	for i, p := range t.parts {
		b.WriteString(p.text)
		if p.variable == "" {
			continue
		}
		v := value(p.variable)
		if v == "" {
			return "", fmt.Errorf("device id %s: %s is empty", t.text, p.variable)
		}
		writeEscaped(&b, v, t.stop(i))
	}
	return device.New(t.kind, b.String())
}

// plainID reports whether a value is an id as it is.
func plainID(v string) bool {
	for i, c := range []byte(v) {
		if !plainInID(c) || c == '-' && i+1 < len(v) && v[i+1] == '-' {
			return false
		}
	}
	return v != ""
}

func writeEscaped(b *strings.Builder, v string, stop byte) {
	for i, c := range []byte(v) {
		plain := plainInID(c) && c != stop
		if plain && c == '-' && i+1 < len(v) {
			next := v[i+1]
			plain = next != '-' && plainInID(next) && next != stop
		}
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(b, escape+"%02x", c)
		}
	}
}

// parse reads the values of the variables from the name of a device. False: the template
// makes no such name.
func (t *idTemplate) parse(name string) (values map[string]string, ok bool) {
	values = map[string]string{}
	rest := name
	for i, p := range t.parts {
		if p.variable == "" {
			if rest, ok = strings.CutPrefix(rest, p.text); !ok {
				return nil, false
			}
			continue
		}
		end := len(rest)
		if stop := t.stop(i); stop != 0 {
			if end = strings.IndexByte(rest, stop); end < 0 {
				return nil, false
			}
		}
		if values[p.variable], ok = unescape(rest[:end]); !ok {
			return nil, false
		}
		rest = rest[end:]
	}
	id, err := t.fill(func(name string) string { return values[name] })
	return values, rest == "" && err == nil && id.Name() == name // else it is written in another way
}

func unescape(s string) (string, bool) {
	if !strings.Contains(s, escape) {
		return s, s != ""
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if !strings.HasPrefix(s[i:], escape) {
			b.WriteByte(s[i])
			continue
		}
		if i+4 > len(s) || !isHex(s[i+2]) || !isHex(s[i+3]) {
			return "", false
		}
		b.WriteByte(fromHex(s[i+2])<<4 | fromHex(s[i+3]))
		i += 3
	}
	return b.String(), true
}

func plainInID(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == ':' || c == '_' || c == '-'
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}
