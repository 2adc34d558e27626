package expression

import (
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// textCost is what a character of a string costs: that of cel-go.
const textCost = 0.1

// workOf is what a call of a function of ours costs, in the units of costLimit, by its
// arguments alone, so that it can be refused before it is done. It is 0 for a function that
// is not ours.
func workOf(name string, args []ref.Val) float64 {
	switch name {
	case "charAt", "lowerAscii", "upperAscii", "trim", "substring":
		return 1 + textCost*size(args[0])
	case "reverse", "slice", "sum", "mean", "math.@max", "math.@min":
		return 1 + size(args[0])*costOfOne(args[0])
	case "min", "max":
		if len(args) == 1 { // of a list: those of two numbers are older than this
			return 1 + size(args[0])
		}
	case "indexOf", "lastIndexOf":
		return 1 + textCost*size(args[0])*max(1, size(args[1]))
	case "split":
		return 1 + size(args[0])
	case "replace":
		return 1 + textCost*(size(args[0])+replacedSize(args))
	case "join":
		return 1 + joinWork(args)
	case "sort":
		n := size(args[0])
		return 1 + n*math.Log2(n+1)
	case "distinct":
		n := size(args[0])
		return 1 + n*n
	}
	return 0
}

// bounded refuses a call that costs more than an expression may, and one with arguments
// that the function is not for.
func bounded(name string, call functions.FunctionOp) functions.FunctionOp {
	unsuitable := func([]ref.Val) string { return "" }
	switch {
	case slices.Contains(timeParts, name):
		unsuitable = unsuitableZone
	case name == "math.bitShiftLeft":
		unsuitable = unsuitableShift
	}
	return func(args ...ref.Val) ref.Val {
		if workOf(name, args) > costLimit {
			return types.NewErr("%s: too much work for one expression", name)
		}
		if text := unsuitable(args); text != "" {
			return types.NewErr("%s: %s", name, text)
		}
		return call(args...)
	}
}

// unsuitableShift says so if bits would be lost: those of cel-go's int are 64.
func unsuitableShift(args []ref.Val) string {
	n, _ := args[0].(types.Double)
	by, _ := args[1].(types.Double)
	if math.Abs(math.Ldexp(float64(n), int(min(by, 64)))) > maxExact {
		return beyondExact
	}
	return ""
}

// callCosts implements cost.ActualCostEstimator.
type callCosts struct{}

func (callCosts) CallCost(name, _ string, args []ref.Val, _ ref.Val) *uint64 {
	work := workOf(name, args)
	if work == 0 || len(args) == 0 {
		return nil
	}
	c := uint64(min(work, 2*costLimit))
	return &c
}

// size is the length of a string or a list; of anything else 1.
func size(v ref.Val) float64 {
	switch x := v.(type) {
	case types.String:
		return float64(len(x))
	case traits.Lister:
		if n, ok := x.Size().(types.Int); ok {
			return float64(n)
		}
	}
	return 1
}

func costOfOne(v ref.Val) float64 {
	if _, ok := v.(types.String); ok {
		return textCost
	}
	return 1
}

// replacedSize is the length of what replace gives.
func replacedSize(args []ref.Val) float64 {
	if len(args) < 3 {
		return 0
	}
	in, ok := args[0].(types.String)
	old, ok2 := args[1].(types.String)
	if !ok || !ok2 {
		return 0
	}
	n := float64(strings.Count(string(in), string(old)))
	if limit, ok := args[len(args)-1].(types.Double); ok && limit >= 0 {
		n = min(n, float64(limit))
	}
	return size(in) + n*max(0, size(args[2])-size(old))
}

func joinWork(args []ref.Val) float64 {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return 0
	}
	n := size(list)
	if n > costLimit {
		return n
	}
	text := 0.0
	for it := list.Iterator(); it.HasNext() == types.True; {
		text += size(it.Next())
	}
	if len(args) > 1 {
		text += n * size(args[1])
	}
	return n + textCost*text
}
