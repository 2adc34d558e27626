package devicefsm

import (
	"maps"
	"slices"

	"devicetwin/internal/expression"
)

// maxValueSize is about the most bytes of the JSON text of a value, and of a whole context.
const maxValueSize = expression.MaxSize

// jsonSize is about the length of a value's JSON text; it stops counting
// beyond limit.
func jsonSize(v any, limit int) int {
	switch x := v.(type) {
	case string:
		return len(x) + 8
	case []any:
		n := 8
		for _, e := range x {
			if n += jsonSize(e, limit-n); n > limit {
				break
			}
		}
		return n
	case map[string]any:
		n := 8
		for _, k := range slices.Sorted(maps.Keys(x)) {
			if n += len(k) + jsonSize(x[k], limit-n); n > limit {
				break
			}
		}
		return n
	}
	return 8
}
