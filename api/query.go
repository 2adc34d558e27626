package api

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"devicetwin/device"
)

// Term is one condition on a device.
type Term struct {
	Field  Field
	Key    string // of a tag, or the path of a property: reported.net.ip
	Value  string
	Prefix bool // Value is only the beginning; of ids alone
}

// Field is what a term is about.
type Field string

// The fields of a query.
const (
	FieldID         Field = "id"
	FieldState      Field = "state"
	FieldModel      Field = "model"
	FieldModelHash  Field = "model_hash"
	FieldConnection Field = "connection"
	FieldFirmware   Field = "firmware"
	FieldSite       Field = "site"
	FieldTag        Field = "tag"      // tag.KEY:VALUE
	FieldProperty   Field = "property" // reported.PATH:VALUE, desired.PATH:VALUE
)

// Bounds of a query.
const (
	MaxQuery = 1024 // bytes
	MaxTerms = 16
	maxValue = 256 // bytes of a value, and of a key
)

// QueryFault is one error in a query.
type QueryFault struct {
	Column  int // of the wrong character, from 1
	Message string
}

func (f QueryFault) Error() string { return fmt.Sprintf("column %d: %s", f.Column, f.Message) }

// QueryError is every error in a query.
type QueryError []QueryFault

func (e QueryError) Error() string {
	texts := make([]string, len(e))
	for i, f := range e {
		texts[i] = f.Error()
	}
	return "query: " + strings.Join(texts, "; ")
}

// ParseQuery reads a query: terms FIELD:VALUE, separated by spaces, which all
// must match. A value with a space, a quotation mark or an asterisk in it
// needs quotation marks, in which \ escapes the next character.
//
//	state:online model:pump tag.site:"hall 3" reported.firmware:1.2 id:pump-*
//
// Its error is a QueryError.
func ParseQuery(text string) ([]Term, error) {
	p := &queryParser{text: text}
	switch {
	case len(text) > MaxQuery:
		p.fault(0, "the query has %d bytes; at most %d are read", len(text), MaxQuery)
	case !utf8.ValidString(text):
		p.fault(0, "the query is not UTF-8")
	default:
		p.parse()
	}
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	return p.terms, nil
}

type queryParser struct {
	text   string
	at     int // in bytes
	terms  []Term
	faults QueryError
}

func (p *queryParser) fault(at int, format string, args ...any) {
	p.faults = append(p.faults, QueryFault{utf8.RuneCountInString(p.text[:at]) + 1, fmt.Sprintf(format, args...)})
}

func (p *queryParser) parse() {
	for p.skipSpace(); p.at < len(p.text); p.skipSpace() {
		began := p.at
		if len(p.terms) == MaxTerms {
			p.fault(began, "more than %d terms", MaxTerms)
			return
		}
		if term, ok := p.term(); ok {
			p.terms = append(p.terms, term)
		}
	}
}

func (p *queryParser) skipSpace() {
	p.at += len(p.text[p.at:]) - len(strings.TrimLeftFunc(p.text[p.at:], unicode.IsSpace))
}

// term reads FIELD:VALUE. After a fault it continues behind it, so that the
// faults of all terms are reported.
func (p *queryParser) term() (Term, bool) {
	began := p.at
	word := p.until(func(r rune) bool { return r == ':' || r == '"' || unicode.IsSpace(r) })
	if p.at == len(p.text) || p.text[p.at] != ':' {
		if p.at < len(p.text) && p.text[p.at] == '"' {
			p.quoted()
		}
		p.fault(began, "expected FIELD:VALUE, such as state:online, found %q", p.text[began:p.at])
		return Term{}, false
	}
	p.at++
	valueAt := p.at
	value, prefix, whole := p.value()
	if !whole {
		return Term{}, false
	}
	term, ok := p.field(began, word)
	if !ok {
		return Term{}, false
	}
	term.Value, term.Prefix = value, prefix
	return term, p.checkValue(valueAt, term)
}

// until reads up to the first character that ends it.
func (p *queryParser) until(ends func(rune) bool) string {
	rest := p.text[p.at:]
	n := strings.IndexFunc(rest, ends)
	if n < 0 {
		n = len(rest)
	}
	p.at += n
	return rest[:n]
}

// value reads a value with or without quotation marks; prefix says that an
// asterisk followed.
func (p *queryParser) value() (value string, prefix, ok bool) {
	began := p.at
	if p.at < len(p.text) && p.text[p.at] == '"' {
		if value, ok = p.quoted(); !ok {
			p.fault(began, "the quotation mark is not closed")
			return "", false, false
		}
	} else {
		value = p.until(func(r rune) bool { return r == '*' || r == '"' || unicode.IsSpace(r) })
	}
	if p.at < len(p.text) && p.text[p.at] == '*' {
		prefix = true
		p.at++
	}
	if end := p.at; p.until(unicode.IsSpace) != "" {
		p.fault(end, "expected a space after the value; a value that contains quotation marks or asterisks needs quotation marks")
		return "", false, false
	}
	return value, prefix, true
}

// quoted reads a string in quotation marks.
func (p *queryParser) quoted() (string, bool) {
	var out strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		switch c := p.text[i]; c {
		case '"':
			p.at = i + 1
			return out.String(), true
		case '\\':
			if i++; i == len(p.text) {
				break
			}
			out.WriteByte(p.text[i])
		default:
			out.WriteByte(c)
		}
	}
	p.at = len(p.text)
	return "", false
}

const fieldNames = "id, state, model, model_hash, connection, firmware, site, tag.KEY, reported.PATH and desired.PATH"

func (p *queryParser) field(at int, word string) (Term, bool) {
	head, key, dotted := strings.Cut(word, ".")
	switch field := Field(head); {
	case !dotted && (field == FieldID || field == FieldState || field == FieldModel || field == FieldModelHash ||
		field == FieldConnection || field == FieldFirmware || field == FieldSite):
		return Term{Field: field}, true
	case dotted && field == FieldTag:
		return Term{Field: FieldTag, Key: key}, p.checkKey(at, key)
	case dotted && (head == "reported" || head == "desired"):
		return Term{Field: FieldProperty, Key: word}, p.checkKey(at, key)
	}
	p.fault(at, "no field %q; there are %s", clip(word), fieldNames)
	return Term{}, false
}

func (p *queryParser) checkKey(at int, key string) bool {
	if key == "" || len(key) > maxValue || strings.ContainsFunc(key, func(r rune) bool { return r == '=' || unicode.IsControl(r) }) {
		p.fault(at, "%q is not a key: expected 1 to %d bytes without '=' and control characters", clip(key), maxValue)
		return false
	}
	return true
}

func (p *queryParser) checkValue(at int, term Term) bool {
	switch {
	case term.Value == "" && !term.Prefix:
		p.fault(at, "expected a value")
	case len(term.Value) > maxValue:
		p.fault(at, "the value has %d bytes; at most %d are read", len(term.Value), maxValue)
	case strings.ContainsFunc(term.Value, unicode.IsControl):
		p.fault(at, "the value has a control character")
	case term.Prefix && term.Field != FieldID:
		p.fault(at, "only an id can be given by its beginning: id:pump-*")
	case term.Field == FieldConnection && term.Value != device.Online && term.Value != device.Offline && term.Value != Unknown:
		p.fault(at, "a connection is %s, %s or %s, not %q", device.Online, device.Offline, Unknown, clip(term.Value))
	default:
		return true
	}
	return false
}

func clip(s string) string {
	return clipTo(s, 40)
}
