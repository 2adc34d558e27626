package expression

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

const (
	MaxDepth = 32    // nesting of a result
	MaxSize  = 16384 // about the bytes of its JSON text
)

var (
	errTooDeep = fmt.Errorf("the value is nested deeper than %d", MaxDepth)
	// ErrTooLarge is that of a value beyond MaxSize.
	ErrTooLarge = fmt.Errorf("the value is larger than %d bytes", MaxSize)
	errNotJSON  = errors.New("the result is not a JSON value")
)

// JSON is the result of an expression as plain JSON: nil, bool, float64, string, []any or
// map[string]any. Anything else is an error, and so is what is too large.
func JSON(v ref.Val) (any, error) {
	size := 0
	return toJSON(v, &size, 0)
}

// toJSON is JSON of a part: size counts about the bytes so far.
func toJSON(v ref.Val, size *int, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	*size += 8
	if *size > MaxSize {
		return nil, ErrTooLarge
	}
	switch x := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(x), nil
	case types.String:
		if *size += len(x); *size > MaxSize {
			return nil, ErrTooLarge
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
	if !Finite(f) {
		return nil, fmt.Errorf("the result is %v, which is not a JSON number", f)
	}
	return f, nil
}
