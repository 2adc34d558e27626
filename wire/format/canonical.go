package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"
)

// canonical is a value as Decode makes them: whatever else encoding/json can write,
// such as an int or a json.RawMessage, is taken as what it reads again.
func canonical(v any, l Limits) (any, error) {
	if !isCanonical(v, l.Depth) {
		encoded, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("not a JSON value: %w", err)
		}
		return jsonCodec{limits: l}.decode(encoded)
	}
	left := l.Values
	if count(v, &left); left < 0 {
		return nil, fmt.Errorf("more than %d values", l.Values)
	}
	return v, nil
}

func isCanonical(v any, depth int) bool {
	switch v := v.(type) {
	case nil, bool:
		return true
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	case string:
		return utf8.ValidString(v)
	case []any:
		for _, element := range v {
			if depth <= 0 || !isCanonical(element, depth-1) {
				return false
			}
		}
		return v != nil && depth > 0
	case map[string]any:
		for name, member := range v {
			if depth <= 0 || !utf8.ValidString(name) || !isCanonical(member, depth-1) {
				return false
			}
		}
		return v != nil && depth > 0
	}
	return false
}

// count subtracts the number of values in v, and stops below 0.
func count(v any, left *int) {
	if *left--; *left < 0 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			count(element, left)
		}
	case map[string]any:
		for _, member := range v {
			count(member, left)
		}
	}
}

// mustJSON encodes a canonical value, without escapes for HTML.
func mustJSON(v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // a canonical value has an encoding
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// kindOf names the type of a value in errors.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	}
	return "an object"
}
