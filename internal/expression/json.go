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
func JSON(v ref.Val) (any, error) { return jsonWithin(v, MaxSize) }

// jsonWithin is JSON of a value of at most so many bytes.
func jsonWithin(v ref.Val, most int) (any, error) {
	return toJSON(v, &room{most: most, left: most}, 0)
}

// room is about how many bytes a result may have, and may have yet.
type room struct{ most, left int }

func (r *room) take(n int) error {
	if r.left -= n; r.left >= 0 {
		return nil
	}
	if r.most == MaxSize {
		return ErrTooLarge
	}
	return fmt.Errorf("the value is larger than %d bytes", r.most)
}

// toJSON is JSON of a part.
func toJSON(v ref.Val, room *room, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	if err := room.take(8); err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(x), nil
	case types.String:
		if err := room.take(len(x)); err != nil {
			return nil, err
		}
		return string(x), nil
	case types.Double:
		return finite(float64(x))
	case types.Int:
		return finite(float64(x))
	case types.Uint:
		return finite(float64(x))
	case traits.Mapper:
		return mapToJSON(x, room, depth)
	case traits.Lister:
		list := []any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			e, err := toJSON(it.Next(), room, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		return list, nil
	}
	return nil, fmt.Errorf("%w, but a %s", errNotJSON, v.Type().TypeName())
}

func mapToJSON(m traits.Mapper, room *room, depth int) (any, error) {
	out := map[string]any{}
	for it := (orderedMap{m}).Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		key, ok := k.(types.String)
		if !ok {
			return nil, fmt.Errorf("%w: a mapping has a key of type %s; keys must be strings", errNotJSON, k.Type().TypeName())
		}
		room.left -= len(key)
		v, err := toJSON(m.Get(k), room, depth+1)
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
