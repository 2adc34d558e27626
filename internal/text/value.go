package text

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
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
// people to read: a string has quotes only where it would not be one without, or not be that one. The
// keys of maps are sorted. What cannot be JSON is null.
func YAML(v any) string {
	switch x := v.(type) {
	case string:
		if plain.MatchString(x) && !reserved.MatchString(x) {
			return x
		}
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
