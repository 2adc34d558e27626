package format

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"devicetwin/internal/jsonobject"
)

// maxInteger is the largest integer below which a float64 holds each one.
const maxInteger = 1 << 53

// finite is a number; nil for NaN and the infinities, which JSON does not have.
func finite(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}

// integer is a number that binary formats write as an integer: it has no fraction,
// is not -0, and every integer up to it is exact.
func integer(f float64) (n int64, ok bool) {
	if f != math.Trunc(f) || math.Abs(f) > maxInteger || f == 0 && math.Signbit(f) {
		return 0, false
	}
	return int64(f), true
}

// noNumber are the words that C libraries and JavaScript print for NaN and the
// infinities, in lower case and without a sign.
func noNumber(s string) bool {
	if len(s) > len("-infinity") {
		return false
	}
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case "nan", "inf", "infinity":
		return true
	}
	return false
}

// asNumber is the number that a string holds, nil for a word that is noNumber; false:
// it stays a string. A number is what JSON calls one, so 007 and +49 are strings.
func asNumber(s string) (v any, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" || s[0] > '9' && s[0]|0x20 != 'n' && s[0]|0x20 != 'i' {
		return nil, false
	}
	if noNumber(s) {
		return nil, true
	}
	if number, ok := jsonobject.Parse([]byte(s)); ok && number.Kind() == jsonobject.Number {
		return number.Number(), true
	}
	return nil, false
}

// asNumbers replaces the strings in a value that hold numbers by these.
func asNumbers(v any) any {
	switch v := v.(type) {
	case string:
		if number, ok := asNumber(v); ok {
			return number
		}
	case []any:
		for i := range v {
			v[i] = asNumbers(v[i])
		}
	case map[string]any:
		for name, member := range v {
			v[name] = asNumbers(member)
		}
	}
	return v
}

// parseDecimal reads a decimal number as people and printf write it: with a plus,
// leading zeros, or nothing on one side of the point.
func parseDecimal(s string) (any, error) {
	if noNumber(s) {
		return nil, nil
	}
	if s == "" || strings.Trim(s, "+-.0123456789eE") != "" {
		return nil, errors.New("not a number")
	}
	f, err := strconv.ParseFloat(s, 64)
	if errors.Is(err, strconv.ErrRange) {
		return nil, errors.New("beyond the largest number")
	}
	if err != nil {
		return nil, errors.New("not a number")
	}
	return f, nil
}

// printNumber writes a number as encoding/json does.
func printNumber(f float64) string {
	if n, ok := integer(f); ok {
		return strconv.FormatInt(n, 10)
	}
	return string(mustJSON(f))
}
