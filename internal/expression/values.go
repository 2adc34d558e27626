package expression

import (
	"cmp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// jsonAdapter converts to CEL the values of a JSON document. Go integers become
// doubles, for callers that build messages by hand.
type jsonAdapter struct{}

func (a jsonAdapter) NativeToValue(v any) ref.Val {
	switch x := v.(type) {
	case nil:
		return types.NullValue
	case ref.Val:
		return x
	case bool:
		return types.Bool(x)
	case float64:
		return types.Double(x)
	case string:
		return types.String(x)
	case map[string]any:
		return types.NewStringInterfaceMap(a, x)
	case []any:
		return types.NewDynamicList(a, x)
	case int:
		return types.Double(x)
	case int32:
		return types.Double(x)
	case int64:
		return types.Double(x)
	case uint64:
		return types.Double(x)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// OrderedFunction wraps what a macro iterates over, in the trees of Checked.
const OrderedFunction = "@ordered"

// ordered makes the iteration over a map follow its keys: Go's map order
// differs from run to run, and a workflow must replay to the same bytes.
func ordered(v ref.Val) ref.Val {
	m, ok := v.(traits.Mapper)
	if !ok {
		return v
	}
	return orderedMap{Mapper: m}
}

// orderedMap hides whatever else the map can do, above all its Fold.
type orderedMap struct{ traits.Mapper }

func (m orderedMap) Iterator() traits.Iterator {
	var keys []ref.Val
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, func(a, b ref.Val) int {
		return cmp.Or(strings.Compare(a.Type().TypeName(), b.Type().TypeName()), compareKeys(a, b))
	})
	return types.NewRefValList(jsonAdapter{}, keys).Iterator()
}

func compareKeys(a, b ref.Val) int {
	if c, ok := a.(traits.Comparer); ok {
		if i, ok := c.Compare(b).(types.Int); ok {
			return int(i)
		}
	}
	return 0
}
