package devicefsm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

const (
	maxValueDepth = 32    // nesting of a JSON value
	maxValueSize  = 16384 // about the bytes of its JSON text; also of a whole context
)

var (
	errTooDeep  = fmt.Errorf("the value is nested deeper than %d", maxValueDepth)
	errTooLarge = fmt.Errorf("the value is larger than %d bytes", maxValueSize)
	errNotJSON  = errors.New("the result is not a JSON value")
)

// toJSON turns the result of an expression into plain JSON: size counts about
// the bytes so far.
func toJSON(v ref.Val, size *int, depth int) (any, error) {
	if depth > maxValueDepth {
		return nil, errTooDeep
	}
	*size += 8
	if *size > maxValueSize {
		return nil, errTooLarge
	}
	switch x := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(x), nil
	case types.String:
		if *size += len(x); *size > maxValueSize {
			return nil, errTooLarge
		}
		return string(x), nil
	case types.Double:
		return finite(float64(x))
	case types.Int:
		return finite(float64(x))
	case types.Uint:
		return finite(float64(x))
	case traits.Mapper:
		return mapToJSON(x, size, depth)
	case traits.Lister:
		list := []any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			e, err := toJSON(it.Next(), size, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		return list, nil
	}
	return nil, fmt.Errorf("%w, but a %s", errNotJSON, v.Type().TypeName())
}

func mapToJSON(m traits.Mapper, size *int, depth int) (any, error) {
	out := map[string]any{}
	for it := (orderedMap{m}).Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		key, ok := k.(types.String)
		if !ok {
			return nil, fmt.Errorf("%w: a mapping has a key of type %s; keys must be strings", errNotJSON, k.Type().TypeName())
		}
		*size += len(key)
		v, err := toJSON(m.Get(k), size, depth+1)
		if err != nil {
			return nil, err
		}
		out[string(key)] = v
	}
	return out, nil
}

func finite(f float64) (any, error) {
	if !isFinite(f) {
		return nil, fmt.Errorf("the result is %v, which is not a JSON number", f)
	}
	return f, nil
}

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

// writeJSON is a value as JSON for people to read: < > and & stand for themselves.
func writeJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
