package dialect

import (
	"bytes"
	"encoding/json"
	"slices"

	"devicetwin/internal/expression"
	"devicetwin/internal/jsonobject"
	"devicetwin/source"
)

// absent are the values that say that there is no reading.
type absent struct {
	values []any
	// words are in all JSON that has one of the values; nil with some values: it is
	// not known.
	words [][]byte
	// escapes: where there is a backslash, one of them may be in another spelling.
	escapes bool
}

func (l *loader) absent(n source.Node) (a absent) {
	for _, v := range n.OneOrList() {
		switch {
		case v.IsNull():
			a.values = append(a.values, nil)
		case v.IsString(), v.Kind() == "a number", v.Kind() == "true or false":
			a.values = append(a.values, v.Any())
		default:
			v.Faultf("absent: expected a string, a number, true, false or null, found %s", v.Kind())
		}
	}
	for _, v := range a.values {
		if _, number := v.(float64); number { // which has many spellings
			a.words = nil
			break
		}
		word, err := json.Marshal(v)
		if s, ok := v.(string); ok {
			word, a.escapes = []byte(`"`+s+`"`), true
		}
		if err == nil {
			a.words = append(a.words, word)
		}
	}
	return a
}

// mayBeIn reports whether one of the values may be in encoded JSON.
func (a *absent) mayBeIn(encoded []byte) bool {
	if len(a.values) == 0 {
		return false
	}
	if a.words == nil || a.escapes && bytes.IndexByte(encoded, '\\') >= 0 {
		return true
	}
	return slices.ContainsFunc(a.words, func(word []byte) bool { return bytes.Contains(encoded, word) })
}

// is reports whether a value is one of them.
func (a *absent) is(v expression.Scalar) bool {
	return len(a.values) > 0 && slices.Contains(a.values, v.Any())
}

// without is a value without those in it that are absent; false: nothing is left of it.
// Elements of a list keep their places.
func (a *absent) without(v any) (any, bool) {
	if len(a.values) == 0 {
		return v, true
	}
	switch v := v.(type) {
	case nil, bool, float64, string:
		return v, !slices.Contains(a.values, v)
	case map[string]any:
		kept := make(map[string]any, len(v))
		for name, member := range v {
			if member, there := a.without(member); there {
				kept[name] = member
			}
		}
		return kept, len(kept) > 0 || len(v) == 0
	}
	return v, true
}

// stands reports whether a string stands for a missing value: itself, or as the number that it is.
func (a *absent) stands(s string) bool {
	if slices.Contains(a.values, any(s)) {
		return true
	}
	n, ok := jsonobject.Parse([]byte(s))
	return ok && n.Kind() == jsonobject.Number && slices.Contains(a.values, any(n.Number()))
}
