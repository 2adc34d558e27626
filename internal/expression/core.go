package expression

import (
	"math"
	"slices"
	"strconv"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

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
		cel.Function(OrderedFunction, one("ordered_any", any_, any_, ordered)),
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
