package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"devicetwin/internal/text"
)

// jsonCodec is RFC 8259, as encoding/json reads it.
type jsonCodec struct {
	limits  Limits
	numbers bool
	word    string // see Spec.Word
}

func (c jsonCodec) decode(payload []byte) (any, error) {
	payload, err := document(payload)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(payload)) == 0 {
		return nil, errors.New("empty: expected a JSON value")
	}
	if c.word != "" && mayBeWord(payload) {
		return c.decodeWord(payload)
	}
	if err := checkShape(payload, c.limits); err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(payload, &v); err != nil {
		return nil, notJSON(payload, err)
	}
	if c.numbers {
		v = asNumbers(v)
	}
	return v, nil
}

func (c jsonCodec) encode(v any) ([]byte, error) {
	if _, object := v.(map[string]any); c.word != "" && !object {
		if _, list := v.([]any); !list {
			return nil, fmt.Errorf("expected an object or a list, found %s: it would be read as the member %s", kindOf(v), c.word)
		}
	}
	return mustJSON(v), nil
}

// mayBeWord reports whether a payload does not begin as an object or a list of JSON.
func mayBeWord(payload []byte) bool {
	first := bytes.TrimLeft(payload, " \t\r\n")[0]
	return first != '{' && first != '['
}

// decodeWord decodes a payload of one value, which JSON may not know. What begins as a string of JSON
// has to be one.
func (c jsonCodec) decodeWord(payload []byte) (any, error) {
	var v any
	if err := json.Unmarshal(payload, &v); err != nil {
		text, _ := scalar(payload)
		if text == "" || text[0] == '"' {
			return nil, notJSON(payload, err)
		}
		v = text
	}
	if c.numbers {
		v = asNumbers(v)
	}
	return map[string]any{c.word: v}, nil
}

// notJSON gives an error of encoding/json its place.
func notJSON(payload []byte, err error) error {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return &fault{place: lineAt(payload, int(syntax.Offset)-1), err: errors.New(text.Clip(syntax.Error(), 120))}
	}
	if number := (*json.UnmarshalTypeError)(nil); errors.As(err, &number) { // into an any, numbers only
		digits := strings.TrimPrefix(number.Value, "number ")
		before := payload[:min(max(int(number.Offset), 0), len(payload))] // with the number
		return faultAt(lineAt(payload, bytes.LastIndex(before, []byte(digits))), "%s is beyond the largest number", text.Clip(number.Value, 40))
	}
	return err
}

// checkShape bounds how deep a document nests, and how many values it has. It reads
// brackets and commas before decoding, because decoding is what must be protected; a
// document that is not JSON it may count wrong.
func checkShape(payload []byte, l Limits) error {
	depth, values := 0, 1
	inString, opened := false, false
	for i := 0; i < len(payload); i++ {
		c := payload[i]
		switch {
		case inString && c == '\\':
			i++
			continue
		case inString:
			inString = c != '"'
			continue
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			continue
		}
		closes := c == '}' || c == ']'
		if opened && !closes || c == ',' {
			values++
		}
		opened = c == '{' || c == '['
		inString = c == '"'
		if opened {
			depth++
		}
		if closes {
			depth--
		}
		if depth > l.Depth {
			return faultAt(lineAt(payload, i), "nested deeper than %d", l.Depth)
		}
		if values > l.Values {
			return faultAt(lineAt(payload, i), "more than %d values", l.Values)
		}
	}
	return nil
}
