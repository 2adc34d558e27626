package format

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/internal/faults"
	"devicetwin/internal/jsonobject"
	"devicetwin/internal/text"
)

// keyValueCodec is pairs such as temperature=23.5;mode="slow start".
type keyValueCodec struct {
	separator string // between pairs; "": a run of defaultSeparators
	assign    string
	numbers   bool
	limits    Limits
}

// defaultSeparators are the characters that separate pairs where no separator is set.
const defaultSeparators = " \t\r\n,;&"

const whitespace = " \t\r\n"

func newKeyValue(s Spec, l Limits, f *faults.List) codec {
	c := keyValueCodec{separator: s.Separator, assign: s.Assign, numbers: s.Numbers, limits: l}
	if c.assign == "" {
		c.assign = "="
	}
	for _, option := range []struct{ key, value string }{{"separator", c.separator}, {"assign", c.assign}} {
		f.Check(len(option.value) <= 8 && !strings.ContainsAny(option.value, `"\`) && strings.ToValidUTF8(option.value, "") == option.value,
			"%s: expected at most 8 bytes without quotes and backslashes, found %q", option.key, text.Clip(option.value, 40))
	}
	if c.separator == "" {
		f.Check(!strings.ContainsAny(c.assign, defaultSeparators), "assign: %q separates pairs: set another separator", c.assign)
		return c
	}
	f.Check(!strings.Contains(c.assign, c.separator) && !strings.Contains(c.separator, c.assign), "assign: %q and the separator %q contain one another", c.assign, c.separator)
	return c
}

func (c keyValueCodec) decode(payload []byte) (any, error) {
	payload, err := document(payload)
	if err != nil {
		return nil, err
	}
	members := map[string]any{}
	r := pairReader{keyValueCodec: c, all: string(payload)}
	for {
		name, value, ok, err := r.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if _, twice := members[name]; twice {
			return nil, faultAt(lineAt(payload, r.start), "the key %q is there twice", text.Clip(name, 40))
		}
		if len(members)+2 > c.limits.Values {
			return nil, faultAt(lineAt(payload, r.start), "more than %d values", c.limits.Values)
		}
		members[name] = value
	}
	if len(members) == 0 {
		return nil, errors.New("empty: expected key" + c.assign + "value")
	}
	return members, nil
}

// pairReader reads pairs from a payload.
type pairReader struct {
	keyValueCodec
	all       string
	at, start int // the next byte, and the first of the pair that is read
}

// next is the next pair; false: there is none.
func (r *pairReader) next() (name string, value any, ok bool, err error) {
	for r.skipSpace(); r.at < len(r.all); r.skipSpace() { // empty pairs are passed over
		n := r.separates(r.at)
		if n == 0 {
			break
		}
		r.at += n
	}
	if r.at == len(r.all) {
		return "", nil, false, nil
	}
	r.start = r.at
	for r.at < len(r.all) && !strings.HasPrefix(r.all[r.at:], r.assign) && r.separates(r.at) == 0 {
		r.at++
	}
	name = strings.Trim(r.all[r.start:r.at], whitespace)
	if name == "" || !strings.HasPrefix(r.all[r.at:], r.assign) {
		return "", nil, false, r.fault(r.start, "expected key"+r.assign+"value, found %q", text.Clip(r.all[r.start:], 40))
	}
	r.at += len(r.assign)
	value, err = r.value(name)
	return name, value, err == nil, err
}

// skipSpace passes over space that does not separate pairs.
func (r *pairReader) skipSpace() {
	for r.at < len(r.all) && isSpace(r.all[r.at]) && r.separates(r.at) == 0 {
		r.at++
	}
}

// separates is how long the separator at a place is; 0: there is none.
func (r *pairReader) separates(at int) int {
	switch {
	case r.separator != "" && strings.HasPrefix(r.all[at:], r.separator):
		return len(r.separator)
	case r.separator == "" && strings.IndexByte(defaultSeparators, r.all[at]) >= 0:
		return 1
	}
	return 0
}

// value reads the value of a pair: a JSON string, or what is there up to the separator.
func (r *pairReader) value(name string) (any, error) {
	r.skipSpace()
	start := r.at
	if strings.HasPrefix(r.all[r.at:], `"`) {
		return r.quoted(name)
	}
	for r.at < len(r.all) && r.separates(r.at) == 0 {
		r.at++
	}
	s := strings.Trim(r.all[start:r.at], whitespace)
	if r.numbers {
		return asNumbers(s), nil
	}
	return s, nil
}

func (r *pairReader) quoted(name string) (any, error) {
	start := r.at
	for r.at++; r.at < len(r.all) && r.all[r.at] != '"'; r.at++ {
		if r.all[r.at] == '\\' {
			r.at++
		}
	}
	if r.at >= len(r.all) {
		return nil, inMember(r.fault(start, "the quotes are not closed"), name)
	}
	r.at++
	s, ok := jsonobject.Parse([]byte(r.all[start:r.at]))
	if !ok {
		return nil, inMember(r.fault(start, "%q is not a JSON string", text.Clip(r.all[start:r.at], 40)), name)
	}
	r.skipSpace()
	if r.at < len(r.all) && r.separates(r.at) == 0 {
		return nil, inMember(r.fault(r.at, "expected a separator behind the quotes, found %q", text.Clip(r.all[r.at:], 10)), name)
	}
	return s.Text(), nil
}

func (r *pairReader) fault(offset int, format string, args ...any) error {
	return faultAt(lineAt([]byte(r.all), offset), format, args...)
}

func (c keyValueCodec) encode(v any) ([]byte, error) {
	members, ok := v.(map[string]any)
	if !ok || len(members) == 0 {
		return nil, fmt.Errorf("expected an object with members, found %s", kindOf(v))
	}
	separator := c.separator
	if separator == "" {
		separator = ","
	}
	var out []byte
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if !c.plainKey(name) {
			return nil, inMember(fmt.Errorf("a key cannot be written: it is empty, or has a separator, %q, quotes or a control character in it", c.assign), name)
		}
		value, err := c.valueOf(members[name])
		if err != nil {
			return nil, inMember(err, name)
		}
		if i > 0 {
			out = append(out, separator...)
		}
		out = append(append(append(out, name...), c.assign...), value...)
	}
	return out, nil
}

// valueOf writes a value so that it is read as the same.
func (c keyValueCodec) valueOf(v any) (string, error) {
	s, err := word(v)
	if _, isString := v.(string); !isString || err != nil {
		return s, err
	}
	_, number := asNumber(s)
	if !c.quotes(s) && (!c.numbers || !number) {
		return s, nil
	}
	return string(mustJSON(s)), nil
}

// plainKey reports whether a key can be written: keys have no quotes.
func (c keyValueCodec) plainKey(name string) bool {
	return !c.quotes(name) && strings.Index(name+c.assign, c.assign) == len(name) && (c.separator == "" || !strings.Contains(name+c.assign, c.separator))
}

// quotes reports whether a string cannot be written without quotes.
func (c keyValueCodec) quotes(s string) bool {
	if c.separator == "" && strings.ContainsAny(s, defaultSeparators) || s == "" || strings.Trim(s, whitespace) != s {
		return true
	}
	// Behind aaa, the separator aa begins before the end.
	if c.separator != "" && strings.Index(s+c.separator, c.separator) != len(s) {
		return true
	}
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == '\ufeff' })
}
