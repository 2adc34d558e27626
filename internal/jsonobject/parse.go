package jsonobject

import (
	"math"
	"strconv"
)

// maxDepth is how deep encoding/json lets values nest.
const maxDepth = 10_000

// Parse validates one JSON value, with or without spaces around it. False: it is
// not one, or holds a number that is beyond a float64. What encoding/json says of
// it explains why.
func Parse(data []byte) (v Value, ok bool) { return ParseWithin(data, maxDepth) }

// ParseWithin is Parse of a value whose objects and arrays nest at most so deep; false also of
// one that nests deeper.
func ParseWithin(data []byte, depth int) (v Value, ok bool) {
	start := space(data, 0)
	end, ok := value(data, start, min(depth, maxDepth))
	if !ok || space(data, end) != len(data) {
		return nil, false
	}
	return Value(data[start:end:end]), true
}

// The functions below read something at a place of b and return the place behind
// it; false if it is not valid. Depth is how deep a value may nest.

func value(b []byte, at, depth int) (end int, ok bool) {
	if at >= len(b) {
		return at, false
	}
	switch b[at] {
	case '{':
		return object(b, at, depth-1)
	case '[':
		return array(b, at, depth-1)
	case '"':
		return text(b, at)
	case 't':
		return word(b, at, "true")
	case 'f':
		return word(b, at, "false")
	case 'n':
		return word(b, at, "null")
	}
	return number(b, at)
}

func object(b []byte, at, depth int) (end int, ok bool) {
	at = space(b, at+1)
	if depth < 0 || at >= len(b) {
		return at, false
	}
	if b[at] == '}' {
		return at + 1, true
	}
	for {
		if at >= len(b) || b[at] != '"' {
			return at, false
		}
		if at, ok = text(b, at); !ok {
			return at, false
		}
		if at = space(b, at); at >= len(b) || b[at] != ':' {
			return at, false
		}
		if at, ok = value(b, space(b, at+1), depth); !ok {
			return at, false
		}
		if at = space(b, at); at >= len(b) {
			return at, false
		}
		switch b[at] {
		case '}':
			return at + 1, true
		case ',':
			at = space(b, at+1)
		default:
			return at, false
		}
	}
}

func array(b []byte, at, depth int) (end int, ok bool) {
	at = space(b, at+1)
	if depth < 0 || at >= len(b) {
		return at, false
	}
	if b[at] == ']' {
		return at + 1, true
	}
	for {
		if at, ok = value(b, at, depth); !ok {
			return at, false
		}
		if at = space(b, at); at >= len(b) {
			return at, false
		}
		switch b[at] {
		case ']':
			return at + 1, true
		case ',':
			at = space(b, at+1)
		default:
			return at, false
		}
	}
}

func text(b []byte, at int) (end int, ok bool) {
	for i := at + 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, true
		case c < ' ':
			return i, false
		case c == '\\':
			if i++; i >= len(b) {
				return i, false
			}
			if b[i] == 'u' {
				if !fourHex(b[i+1:]) {
					return i, false
				}
				i += 4
			} else if escapes[b[i]] == 0 {
				return i, false
			}
		}
	}
	return len(b), false
}

func fourHex(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	for _, c := range b[:4] {
		if hexDigit(c) < 0 {
			return false
		}
	}
	return true
}

// hexDigit is the value of a hexadecimal digit; -1: it is not one.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func word(b []byte, at int, w string) (end int, ok bool) {
	if len(b)-at < len(w) || string(b[at:at+len(w)]) != w {
		return at, false
	}
	return at + len(w), true
}

func number(b []byte, at int) (end int, ok bool) {
	i := at
	if i < len(b) && b[i] == '-' {
		i++
	}
	whole := digits(b, i)
	if whole == i || b[i] == '0' && whole > i+1 {
		return i, false
	}
	i = whole
	if i < len(b) && b[i] == '.' {
		fraction := digits(b, i+1)
		if fraction == i+1 {
			return i, false
		}
		i = fraction
	}
	// Without an exponent, 308 digits are below the largest float64.
	large := i-at > 308
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		large = true
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exponent := digits(b, i)
		if exponent == i {
			return i, false
		}
		i = exponent
	}
	return i, !large || fits(b[at:i])
}

// fits reports whether a number is one of a float64.
func fits(number []byte) bool {
	f, err := strconv.ParseFloat(string(number), 64)
	return err == nil && !math.IsInf(f, 0)
}

func digits(b []byte, at int) int {
	for at < len(b) && '0' <= b[at] && b[at] <= '9' {
		at++
	}
	return at
}

func space(b []byte, at int) int {
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	return at
}
