package api

import (
	"strings"
	"unicode"

	"devicetwin/device"
)

// term reads FIELD:VALUE. After a fault it continues behind it, so that the
// faults of all terms are reported.
func (p *queryParser) term() (Term, bool) {
	began := p.at
	name, ok := p.name()
	if !ok {
		return Term{}, false
	}
	sign := p.sign()
	if sign == "" {
		p.notATerm(began)
		return Term{}, false
	}
	valueAt := p.at
	value, op, whole := p.value()
	if !whole {
		return Term{}, false
	}
	term, ok := p.field(began, name)
	if !ok {
		return Term{}, false
	}
	term.Value, term.Op = value, op
	if term.Field.Ordered() {
		return p.ordered(valueAt, term, sign)
	}
	if sign != ":" {
		p.fault(valueAt-len(sign), "%s can't be compared by %s, only last_seen, faults and process_failed can: "+
			"Temporal keeps it as a string, and its databases order strings differently", name.head, sign)
		return Term{}, false
	}
	return term, p.checkValue(valueAt, term)
}

// sign reads what is between a field and its value; "" is something else.
func (p *queryParser) sign() string {
	for _, sign := range []string{":", "<=", "<", ">=", ">"} {
		if strings.HasPrefix(p.text[p.at:], sign) {
			p.at += len(sign)
			return sign
		}
	}
	return ""
}

// notATerm reports a word without a colon.
func (p *queryParser) notATerm(began int) {
	if p.at < len(p.text) && p.text[p.at] == '"' {
		p.quoted()
	}
	found := p.text[began:p.at]
	switch upper := strings.ToUpper(found); {
	case upper != found && (upper == "OR" || upper == "AND" || upper == "NOT"):
		p.fault(began, "expected FIELD:VALUE, such as state:online, found %q; the operator is written %s", found, upper)
	case strings.ContainsAny(found, "<>"):
		p.fault(began, "%q: tags and properties can't be compared by < and >: Temporal keeps them as strings in lists", clip(found))
	default:
		p.fault(began, "expected FIELD:VALUE, such as state:online, found %q", clip(found))
	}
}

// fieldName is the name of a field as it was written: tag."a:b" is the head tag and
// the key a:b.
type fieldName struct {
	head, key string
	dotted    bool
}

// name reads the name of a field.
func (p *queryParser) name() (name fieldName, ok bool) {
	began := p.at
	dotted := false
	word := p.until(func(r rune) bool {
		dotted = dotted || r == '.' // a path may have < and >
		return r == ':' || r == '"' || unicode.IsSpace(r) || r == ')' && p.groups > 0 || (r == '<' || r == '>') && !dotted
	})
	name.head, name.key, name.dotted = strings.Cut(word, ".")
	if !name.dotted || name.key != "" || p.at == len(p.text) || p.text[p.at] != '"' {
		return name, true
	}
	quoteAt := p.at
	if name.key, ok = p.quoted(); !ok {
		p.fault(quoteAt, "the quotation mark is not closed")
		return name, false
	}
	if p.at == len(p.text) || p.text[p.at] != ':' {
		p.until(unicode.IsSpace)
		p.fault(began, "expected FIELD:VALUE, such as state:online, found %q", clip(p.text[began:p.at]))
		return name, false
	}
	return name, true
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

// value reads a value with or without quotation marks, and the asterisk that may
// follow.
func (p *queryParser) value() (value string, op Op, ok bool) {
	began := p.at
	if p.at < len(p.text) && p.text[p.at] == '"' {
		if value, ok = p.quoted(); !ok {
			p.fault(began, "the quotation mark is not closed")
			return "", op, false
		}
	} else {
		value = p.plain()
	}
	if p.at < len(p.text) && p.text[p.at] == '*' {
		op = OpPrefix
		p.at++
	}
	if end := p.at; !(p.groups > 0 && p.closes()) && p.until(unicode.IsSpace) != "" {
		p.fault(end, "expected a space after the value; a value that contains quotation marks or asterisks needs quotation marks")
		return "", op, false
	}
	return value, op, true
}

// plain reads a value without quotation marks. Within parentheses it ends before
// the one that closes them: hall(3) is a value, and so is the hall of (site:hall).
func (p *queryParser) plain() string {
	open := 0
	return p.until(func(r rune) bool {
		switch {
		case r == '(':
			open++
		case r == ')' && open > 0:
			open--
		case r == ')' && p.groups > 0:
			return true
		}
		return r == '*' || r == '"' || unicode.IsSpace(r)
	})
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

const fieldNames = "id, kind, state, model, model_hash, connection, firmware, site, last_seen, faults, processing, process_failed, tag.KEY, reported.PATH and desired.PATH"

func (p *queryParser) field(at int, name fieldName) (Term, bool) {
	switch field := Field(name.head); {
	case !name.dotted && (field == FieldID || field == FieldKind || field == FieldState || field == FieldModel || field == FieldModelHash ||
		field == FieldConnection || field == FieldFirmware || field == FieldSite || field == FieldProcessing || field.Ordered()):
		return Term{Field: field}, true
	case name.dotted && field == FieldTag:
		return Term{Field: FieldTag, Key: name.key}, p.checkKey(at, name.key)
	case name.dotted && (name.head == "reported" || name.head == "desired"):
		return Term{Field: FieldProperty, Key: name.head + "." + name.key}, p.checkKey(at, name.key)
	}
	word := name.head
	if name.dotted {
		word += "." + name.key
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

// listSeparator is what Temporal on SQLite puts between the values of a list. One
// that contains it comes back as two.
const listSeparator = "♡"

func (p *queryParser) checkValue(at int, term Term) bool {
	switch {
	case term.Value == "" && term.Op == OpEqual:
		p.fault(at, "expected a value")
	case len(term.Value) > maxValue:
		p.fault(at, "the value has %d bytes; at most %d are read", len(term.Value), maxValue)
	case strings.ContainsFunc(term.Value, unicode.IsControl):
		p.fault(at, "the value has a control character")
	case term.Op == OpPrefix && term.Field.List():
		p.fault(at, "states, tags and properties can't be given by their beginning: Temporal keeps them in lists, of which it finds whole values only")
	case term.Field.List() && strings.Contains(term.Key+term.Value, listSeparator):
		p.fault(at, "states, tags and properties that contain %s can't be searched: Temporal on SQLite separates the values of lists by it", listSeparator)
	case term.Field == FieldConnection && term.Value != device.Online && term.Value != device.Offline && term.Value != Unknown:
		p.fault(at, "a connection is %s, %s or %s, not %q", device.Online, device.Offline, Unknown, clip(term.Value))
	case term.Field == FieldProcessing && (term.Op == OpPrefix || term.Value != ProcessingHeld && term.Value != ProcessingWaiting):
		p.fault(at, "processing is %s or %s, without an asterisk, not %q", ProcessingHeld, ProcessingWaiting, clip(term.Value))
	case term.Field == FieldKind && (term.Op == OpPrefix || !isKind(term.Value)):
		p.fault(at, "a kind is device or one of the configuration, without an asterisk, not %q", clip(term.Value))
	case term.Field == FieldModel && strings.Contains(term.Value, "@") && (term.Op == OpPrefix || !isVersion(term.Value)):
		p.fault(at, "a version of a model is NAME@NUMBER, such as pump@3, without an asterisk, not %q", clip(term.Value))
	case term.Field == FieldConnection && term.Op == OpPrefix:
		p.fault(at, "a connection is %s, %s or %s: leave out the asterisk", device.Online, device.Offline, Unknown)
	default:
		return true
	}
	return false
}

func isVersion(text string) bool {
	_, _, ok := readVersionText(text)
	return ok
}

func isKind(word string) bool {
	_, err := device.ParseKind(word)
	return err == nil
}

func clip(s string) string {
	return clipTo(s, 40)
}
