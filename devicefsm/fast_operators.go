package devicefsm

import (
	"math"
	"strings"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
)

func fastOperator(name string) func(a, b any) (any, status) {
	switch name {
	case operators.Equals:
		return fastEqual
	case operators.NotEquals:
		return func(a, b any) (any, status) {
			v, st := fastEqual(a, b)
			eq, _ := v.(bool)
			return !eq, st
		}
	case operators.Less:
		return fastCompare(func(c int) bool { return c < 0 })
	case operators.LessEquals:
		return fastCompare(func(c int) bool { return c <= 0 })
	case operators.Greater:
		return fastCompare(func(c int) bool { return c > 0 })
	case operators.GreaterEquals:
		return fastCompare(func(c int) bool { return c >= 0 })
	case operators.Add:
		return fastAdd
	case operators.Subtract:
		return fastArithmetic(func(a, b float64) float64 { return a - b })
	case operators.Multiply:
		return fastArithmetic(func(a, b float64) float64 { return a * b })
	case operators.Divide:
		return fastArithmetic(func(a, b float64) float64 { return a / b })
	case operators.Modulo:
		return fastArithmetic(math.Mod)
	case "min":
		return fastArithmetic(math.Min)
	case "max":
		return fastArithmetic(math.Max)
	case operators.In:
		return fastIn
	case operators.Index:
		return fastIndex
	case overloads.Contains:
		return fastText(strings.Contains)
	case overloads.StartsWith:
		return fastText(strings.HasPrefix)
	case overloads.EndsWith:
		return fastText(strings.HasSuffix)
	}
	return nil
}

func fastEqual(a, b any) (any, status) {
	switch x := a.(type) {
	case float64:
		if y, ok := b.(float64); ok {
			return x == y, done
		}
	case string:
		if y, ok := b.(string); ok {
			return x == y, done
		}
	case bool:
		if y, ok := b.(bool); ok {
			return x == y, done
		}
	case nil:
		if b == nil {
			return true, done
		}
	default:
		return nil, punt
	}
	switch b.(type) {
	case nil, bool, float64, string, []any, map[string]any:
		return false, done // of different kinds
	}
	return nil, punt
}

func fastCompare(holds func(c int) bool) func(a, b any) (any, status) {
	return func(a, b any) (any, status) {
		switch x := a.(type) {
		case float64:
			if y, ok := b.(float64); ok {
				switch {
				case x < y:
					return holds(-1), done
				case x > y:
					return holds(1), done
				case x == y:
					return holds(0), done
				}
				return nil, punt // one is NaN
			}
		case string:
			if y, ok := b.(string); ok {
				return holds(strings.Compare(x, y)), done
			}
		case bool:
			if _, ok := b.(bool); ok {
				return nil, punt
			}
		}
		if isNaN(a) || isNaN(b) {
			return nil, punt // false, but not for every kind of the other
		}
		return nil, failUnlessForeign2(a, b)
	}
}

func isNaN(v any) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}

func fastAdd(a, b any) (any, status) {
	switch x := a.(type) {
	case float64:
		if y, ok := b.(float64); ok {
			return x + y, done
		}
	case string:
		if y, ok := b.(string); ok {
			return x + y, done
		}
	case []any:
		return nil, punt
	}
	return nil, failUnlessForeign2(a, b)
}

func fastArithmetic(f func(a, b float64) float64) func(a, b any) (any, status) {
	return func(a, b any) (any, status) {
		x, ok := a.(float64)
		y, ok2 := b.(float64)
		if !ok || !ok2 {
			return nil, failUnlessForeign2(a, b)
		}
		return f(x, y), done
	}
}

func fastText(f func(s, t string) bool) func(a, b any) (any, status) {
	return func(a, b any) (any, status) {
		x, ok := a.(string)
		y, ok2 := b.(string)
		if !ok || !ok2 {
			return nil, failUnlessForeign2(a, b)
		}
		return f(x, y), done
	}
}

func fastIn(a, b any) (any, status) {
	switch x := b.(type) {
	case []any:
		for _, e := range x {
			eq, st := fastEqual(a, e)
			if st != done {
				return nil, punt
			}
			if eq == true {
				return true, done
			}
		}
		return false, done
	case map[string]any:
		if key, ok := a.(string); ok {
			_, found := x[key]
			return found, done
		}
	}
	return nil, punt
}

func fastIndex(a, b any) (any, status) {
	switch x := a.(type) {
	case map[string]any:
		if key, ok := b.(string); ok {
			if v, ok := x[key]; ok {
				return v, done
			}
			return nil, absent
		}
		if isNumber(b) {
			return nil, absent // the keys of JSON are strings
		}
	case []any:
		if n, ok := b.(float64); ok {
			if i := int(n); n >= 0 && n < float64(len(x)) && float64(i) == n {
				return x[i], done
			}
			return nil, failed
		}
	}
	return nil, punt
}
