package text

import (
	"encoding/json"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// JSON is a value as JSON on one line, for people to read: < > and & stand for themselves. The keys
// of maps are sorted. An error says that the value cannot be JSON.
func JSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

var (
	plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+-]+)*$`)
	// Not every reader of YAML takes these for strings.
	reserved = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n)$`)
)

// YAML is a value of JSON (nil, bool, float64, string, []any, map[string]any) as YAML on one line, for
// people to read: a string has quotes only where it would not be one without, or not be that one, and
// a number is written so that package source reads the same one. The keys of maps are sorted. What
// cannot be JSON is null.
func YAML(v any) string {
	switch x := v.(type) {
	case string:
		if plain.MatchString(x) && !reserved.MatchString(x) {
			return x
		}
	case float64:
		return number(x)
	case map[string]any:
		parts := make([]string, 0, len(x))
		for _, k := range slices.Sorted(maps.Keys(x)) {
			parts = append(parts, YAML(k)+": "+YAML(x[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		parts := make([]string, len(x))
		for i, e := range x {
			parts[i] = YAML(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	s, err := JSON(v)
	if err != nil {
		return "null"
	}
	return s
}

// mostDigits is the size from which numbers have an exponent: up to it, an integer of either sign
// has room in 64 bits, and those that have none are read as strings.
const mostDigits = 1e18

// number is a number as JSON writes it, but with a fraction if it has an exponent or is a negative
// zero: a reader of YAML may take 5e-7 for a string, and -0 for 0.
func number(x float64) string {
	s, err := JSON(x)
	switch {
	case err != nil:
		return "null"
	case x == 0 && math.Signbit(x):
		return "-0.0"
	case math.Abs(x) >= mostDigits:
		s = strconv.FormatFloat(x, 'e', -1, 64)
	}
	if digits, exponent, ok := strings.Cut(s, "e"); ok && !strings.Contains(digits, ".") {
		return digits + ".0e" + exponent
	}
	return s
}
