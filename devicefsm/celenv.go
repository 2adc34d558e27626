package devicefsm

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// The expressions of a model are CEL over JSON values, and JSON has one kind of
// number. Instead of leaving authors to write 117.0 or int(x), the language has
// one kind of number too: integer literals are read as doubles (see rewrite),
// and the functions of the standard library that take or give an int are
// replaced by ones that take or give a double. Type checking, precedence,
// error absorption of && and ||, macros: all that is cel-go, unchanged.

// place says where an expression stands, and so which variables it may read.
type place int

const (
	placeMessage place = iota // events.*.when
	placeChart                // guards, actions, inputs and delays
	placePattern              // patterns.*.where
	places                    // how many there are
)

// variables lists what may be read at each place, all of them JSON objects.
var variables = [places][]string{
	placeMessage: {"msg"},
	placeChart:   {"event", "context", "twin"},
	placePattern: {"event", "matched"},
}

const (
	// costLimit bounds the work of one evaluation, in the units of cel-go: about
	// one for each node visited. It is a few milliseconds.
	costLimit = 20_000
	// maxExpression is the longest expression in characters.
	maxExpression = 4096

	fnOrdered = "@ordered" // wraps what a macro iterates over; see rewrite
	fnStateIn = "stateIn"
)

// environments are built once for the process: they cost milliseconds, and
// nothing can be changed in them.
var environments = sync.OnceValues(func() ([places]*cel.Env, error) {
	var all [places]*cel.Env
	opts, err := baseOptions()
	if err != nil {
		return all, fmt.Errorf("make the expression language: %w", err)
	}
	base, err := cel.NewCustomEnv(opts...)
	if err != nil {
		return all, fmt.Errorf("make the expression language: %w", err)
	}
	for p := range places {
		var opts []cel.EnvOption
		for _, name := range variables[p] {
			opts = append(opts, cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)))
		}
		if p == placeChart {
			opts = append(opts, cel.Function(fnStateIn,
				cel.Overload("state_in", []*cel.Type{cel.StringType}, cel.BoolType,
					cel.UnaryBinding(func(ref.Val) ref.Val { return types.NewErr("stateIn was not resolved") }))))
		}
		if all[p], err = base.Extend(opts...); err != nil {
			return all, fmt.Errorf("make the expression language: %w", err)
		}
	}
	return all, nil
})

// baseOptions are the language without variables.
func baseOptions() ([]cel.EnvOption, error) {
	extended, err := extensionOptions()
	if err != nil {
		return nil, err
	}
	times, err := timeOptions()
	if err != nil {
		return nil, err
	}
	return slices.Concat(coreOptions(), extended, times, listOptions()), nil
}

func coreOptions() []cel.EnvOption {
	var excluded []*env.Function
	for _, name := range append([]string{
		overloads.Size, operators.Modulo, operators.Index,
		overloads.TypeConvertInt, overloads.TypeConvertUint, overloads.TypeConvertBytes,
	}, timeParts...) {
		excluded = append(excluded, env.NewFunction(name))
	}
	number, text, any_ := cel.DoubleType, cel.StringType, cel.TypeParamType("A")
	list, mapping := cel.ListType(any_), cel.MapType(any_, cel.TypeParamType("B"))
	one := func(id string, arg, result *cel.Type, f func(ref.Val) ref.Val) cel.FunctionOpt {
		return cel.Overload(id, []*cel.Type{arg}, result, cel.UnaryBinding(f))
	}
	return []cel.EnvOption{
		cel.CustomTypeAdapter(jsonAdapter{}),
		cel.StdLib(cel.StdLibSubset(env.NewLibrarySubset().AddExcludedFunctions(excluded...))),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(64),
		cel.Function(operators.Modulo, cel.Overload("modulo_number", []*cel.Type{number, number}, number,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				return types.Double(math.Mod(float64(a.(types.Double)), float64(b.(types.Double))))
			}))),
		cel.Function(operators.Index,
			cel.Overload("index_list_number", []*cel.Type{list, number}, any_),
			cel.Overload("index_map_any", []*cel.Type{mapping, any_}, cel.TypeParamType("B"))),
		cel.Function(overloads.Size,
			one("size_text", text, number, sizeOf), one("size_list_any", list, number, sizeOf), one("size_map_any", mapping, number, sizeOf),
			cel.MemberOverload("text_size_number", []*cel.Type{text}, number, cel.UnaryBinding(sizeOf)),
			cel.MemberOverload("list_size_number", []*cel.Type{list}, number, cel.UnaryBinding(sizeOf)),
			cel.MemberOverload("map_size_number", []*cel.Type{mapping}, number, cel.UnaryBinding(sizeOf))),
		cel.Function(overloads.TypeConvertInt, one("int_of_number", number, number, truncate), one("int_of_text", text, number, truncate)),
		numberFunction("abs", math.Abs), numberFunction("floor", math.Floor),
		numberFunction("ceil", math.Ceil), numberFunction("round", math.Round),
		numberFunction2("min", math.Min), numberFunction2("max", math.Max),
		cel.Function(fnOrdered, one("ordered_any", any_, any_, ordered)),
	}
}

func numberFunction(name string, f func(float64) float64) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_number", []*cel.Type{cel.DoubleType}, cel.DoubleType,
		cel.UnaryBinding(func(v ref.Val) ref.Val { return types.Double(f(float64(v.(types.Double)))) })))
}

func numberFunction2(name string, f func(a, b float64) float64) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_numbers", []*cel.Type{cel.DoubleType, cel.DoubleType}, cel.DoubleType,
		cel.BinaryBinding(func(a, b ref.Val) ref.Val {
			return types.Double(f(float64(a.(types.Double)), float64(b.(types.Double))))
		})))
}

func sizeOf(v ref.Val) ref.Val {
	s, ok := v.(traits.Sizer)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	n, ok := s.Size().(types.Int)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	return types.Double(n)
}

// truncate is int(x): the whole part of a number, or of a string that holds one.
func truncate(v ref.Val) ref.Val {
	switch x := v.(type) {
	case types.Double:
		return types.Double(math.Trunc(float64(x)))
	case types.String:
		n, err := strconv.ParseFloat(string(x), 64)
		if err != nil {
			return types.NewErr("int: %q is not a number", string(x))
		}
		return types.Double(math.Trunc(n))
	}
	return types.MaybeNoSuchOverloadErr(v)
}

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
