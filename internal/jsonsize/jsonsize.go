// Package jsonsize bounds how long a value is in JSON, which is cheaper than
// writing it.
package jsonsize

import "unicode/utf8"

// number is the longest form of a number: -2.2250738585072014e-308.
const number = 25

// Value is an upper bound of the bytes that encoding/json writes for a decoded
// JSON value.
func Value(v any) int {
	switch v := v.(type) {
	case string:
		return String(v)
	case map[string]any:
		n := 2
		for key, value := range v {
			n += String(key) + 2 + Value(value)
		}
		return n
	case []any:
		n := 2
		for _, value := range v {
			n += 1 + Value(value)
		}
		return n
	case nil, bool:
		return 5
	default:
		return number
	}
}

// String is an upper bound for a string. It counts six bytes for every character
// that may be written as \u00XX, which includes <, > and &.
func String(s string) int {
	n := 2 + len(s)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == '<' || c == '>' || c == '&' || c == 0x7f:
			n += 5
		case c == '"' || c == '\\':
			n++
		case c >= utf8.RuneSelf:
			// A broken byte becomes \ufffd, as long as a control character.
			n += 5
		}
	}
	return n
}
