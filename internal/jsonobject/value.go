// Package jsonobject reads encoded JSON without decoding it into maps: it validates
// a value once, and then walks over the members of its objects without allocating.
// What is valid, and what a string or a number is, is what encoding/json says when
// it decodes into an any; fuzz tests compare the two.
package jsonobject

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Value is one valid JSON value, encoded, without spaces around it. It shares the
// memory of the bytes that it was parsed from.
type Value []byte

// Kind is the type of a value.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Kind is the value's type.
func (v Value) Kind() Kind {
	switch v[0] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

// Bool is a Bool.
func (v Value) Bool() bool { return v[0] == 't' }

// Number is a Number as a float64.
func (v Value) Number() float64 {
	f, _ := strconv.ParseFloat(string(v), 64) // valid: see number
	return f
}

// Integer is a Number that is written as a few digits and nothing else, which most
// integers are.
func (v Value) Integer() (n int64, ok bool) {
	if len(v) > 15 { // more may be beyond 2^53
		return 0, false
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// Text is a String, decoded.
func (v Value) Text() string {
	if v.plain() {
		return string(v[1 : len(v)-1])
	}
	return string(v.AppendText(nil))
}

// Raw is a String of UTF-8, decoded: where it has no escape, that is part of the value.
func (v Value) Raw() []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	return v.AppendText(nil)
}

// Is reports whether a String, decoded, is s.
func (v Value) Is(s string) bool {
	if v.plain() {
		return string(v[1:len(v)-1]) == s
	}
	var decoded [64]byte
	return string(v.AppendText(decoded[:0])) == s
}

// plain reports whether a String is the same decoded as encoded.
func (v Value) plain() bool { return bytes.IndexByte(v, '\\') < 0 && utf8.Valid(v) }

// Decoded is the value as encoding/json decodes it into an any.
func (v Value) Decoded() any {
	switch v.Kind() {
	case Null:
		return nil
	case Bool:
		return v.Bool()
	case Number:
		return v.Number()
	case String:
		return v.Text()
	}
	var nested any
	_ = json.Unmarshal(v, &nested) // it is valid
	return nested
}

// AppendText appends a String, decoded: what is not UTF-8, and half of a surrogate
// pair, is U+FFFD.
func (v Value) AppendText(to []byte) []byte {
	s := v[1 : len(v)-1]
	if v.plain() {
		return append(to, s...)
	}
	for len(s) > 0 {
		switch c := s[0]; {
		case c == '\\' && s[1] == 'u':
			r, n := unescape(s)
			to = utf8.AppendRune(to, r)
			s = s[n:]
		case c == '\\':
			to = append(to, escapes[s[1]])
			s = s[2:]
		case c < utf8.RuneSelf:
			to = append(to, c)
			s = s[1:]
		default:
			r, n := utf8.DecodeRune(s)
			to = utf8.AppendRune(to, r)
			s = s[n:]
		}
	}
	return to
}

// escapes are the characters that stand for another one after a backslash.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape reads the escape \uXXXX at the beginning of s, or a pair of them, and
// how long it is.
func unescape(s []byte) (r rune, n int) {
	r = hex4(s[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(s[8:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(s []byte) (r rune) {
	for _, c := range s[:4] {
		r = r<<4 | rune(hexDigit(c))
	}
	return r
}

// Members are the members of an object that are still to come.
type Members struct{ rest []byte }

// Members are those of an Object, in order; a name may come more than once, and
// then the last one counts.
func (v Value) Members() Members { return Members{v[1:]} }

// Next is the next member's name, a String, and its value; false: there is none.
func (m *Members) Next() (name, value Value, ok bool) {
	if name, ok = next(&m.rest); !ok {
		return nil, nil, false
	}
	value, _ = next(&m.rest)
	return name, value, true
}

// Elements are the elements of an array that are still to come.
type Elements struct{ rest []byte }

// Elements are those of an Array, in order.
func (v Value) Elements() Elements { return Elements{v[1:]} }

// Next is the next element; false: there is none.
func (e *Elements) Next() (value Value, ok bool) { return next(&e.rest) }

// next takes the next value from valid bytes within an object or an array.
func next(rest *[]byte) (v Value, ok bool) {
	b := *rest
	i := 0
	for isSpace(b[i]) || b[i] == ',' || b[i] == ':' {
		i++
	}
	if b[i] == '}' || b[i] == ']' {
		*rest = b[i:]
		return nil, false
	}
	b = b[i:]
	n := skip(b)
	*rest = b[n:]
	return Value(b[:n:n]), true
}

// skip is the length of the value at the beginning of valid bytes.
func skip(b []byte) int {
	switch b[0] {
	case '"':
		return skipString(b)
	case '{', '[':
		return skipNested(b)
	}
	for i, c := range b {
		if c == ',' || c == '}' || c == ']' || isSpace(c) {
			return i
		}
	}
	return len(b)
}

func skipString(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

func skipNested(b []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch b[i] {
		case '"':
			i += skipString(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
