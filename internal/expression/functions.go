package expression

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

// The functions that there are in addition to those of CEL. Most are of cel-go's
// libraries of extensions, at fixed versions and with one kind of number: where cel-go
// takes or gives an int, it is a number here.

// extensions names what is taken of cel-go's libraries: what suits JSON, and gives the
// same result in every release of Go.
var extensions = []string{
	"charAt", "indexOf", "lastIndexOf", "lowerAscii", "replace", "reverse", "split", "substring", "trim", "upperAscii",
	"distinct", "flatten", "slice",
	"math.abs", "math.ceil", "math.floor", "math.round", "math.sign", "math.sqrt", "math.trunc", "math.@max", "math.@min",
	"math.bitAnd", "math.bitNot", "math.bitOr", "math.bitShiftLeft", "math.bitShiftRight", "math.bitXor",
}

// extensionMacros are the macros of those libraries that are taken.
var extensionMacros = []string{"greatest", "least"}

func extensionOptions() ([]cel.EnvOption, error) {
	env, err := cel.NewCustomEnv(ext.Strings(ext.StringsVersion(3)), ext.Math(ext.MathVersion(2)), ext.Lists(ext.ListsVersion(2)))
	if err != nil {
		return nil, fmt.Errorf("load cel-go's extensions: %w", err)
	}
	var opts []cel.EnvOption
	for _, name := range extensions {
		f, err := withNumbers(env.Functions()[name])
		if err != nil {
			return nil, err
		}
		opts = append(opts, f)
	}
	for _, m := range env.Macros() {
		if slices.Contains(extensionMacros, m.Function()) {
			opts = append(opts, cel.Macros(m))
		}
	}
	return opts, nil
}

// withNumbers declares a function of cel-go with numbers in place of ints.
func withNumbers(f *decls.FunctionDecl) (cel.EnvOption, error) {
	bindings, err := f.Bindings()
	if err != nil {
		return nil, fmt.Errorf("adapt %s: %w", f.Name(), err)
	}
	var opts []cel.FunctionOpt
	seen := map[string]bool{}
	for _, o := range slices.SortedStableFunc(slices.Values(f.OverloadDecls()), byInts) {
		signature := fmt.Sprint(o.IsMemberFunction())
		args := make([]*cel.Type, len(o.ArgTypes()))
		for i, a := range o.ArgTypes() {
			args[i] = withoutInts(a)
			signature += " " + args[i].String()
		}
		if strings.Contains(signature, "uint") || strings.Contains(signature, "bytes") || seen[signature] {
			continue
		}
		seen[signature] = true
		call, err := bindingOf(bindings, o.ID(), f.Name())
		if err != nil {
			return nil, err
		}
		declare := cel.Overload
		if o.IsMemberFunction() {
			declare = cel.MemberOverload
		}
		opts = append(opts, declare(o.ID()+"_number", args, withoutInts(o.ResultType()), cel.FunctionBinding(
			bounded(f.Name(), takingNumbers(f.Name(), o.ArgTypes(), call)))))
	}
	return cel.Function(f.Name(), opts...), nil
}

// byInts puts overloads that take no int first, which win over their like.
func byInts(a, b *decls.OverloadDecl) int {
	ints := func(o *decls.OverloadDecl) int {
		if slices.ContainsFunc(o.ArgTypes(), func(t *cel.Type) bool { return withoutInts(t) != t }) {
			return 1
		}
		return 0
	}
	return ints(a) - ints(b)
}

// withoutInts is a type with number in place of int.
func withoutInts(t *cel.Type) *cel.Type {
	switch {
	case t.Kind() == types.IntKind:
		return cel.DoubleType
	case t.Kind() == types.ListKind && withoutInts(t.Parameters()[0]) != t.Parameters()[0]:
		return cel.ListType(withoutInts(t.Parameters()[0]))
	}
	return t
}

func bindingOf(bindings []*functions.Overload, id, name string) (functions.FunctionOp, error) {
	for _, key := range []string{id, name} {
		for _, b := range bindings {
			switch {
			case b.Operator != key:
			case b.Unary != nil:
				return func(args ...ref.Val) ref.Val { return b.Unary(args[0]) }, nil
			case b.Binary != nil:
				return func(args ...ref.Val) ref.Val { return b.Binary(args[0], args[1]) }, nil
			case b.Function != nil:
				return b.Function, nil
			}
		}
	}
	return nil, fmt.Errorf("cel-go has no implementation of %s", id)
}

// takingNumbers calls a function of cel-go: numbers become ints where it takes ints, and
// its ints become numbers.
func takingNumbers(name string, takes []*cel.Type, call functions.FunctionOp) functions.FunctionOp {
	return func(args ...ref.Val) ref.Val {
		ints := make([]ref.Val, len(args))
		for i, a := range args {
			ints[i] = a
			if n, ok := a.(types.Double); ok && takes[i].Kind() == types.IntKind {
				f := float64(n)
				if math.Trunc(f) != f || math.Abs(f) > maxExact {
					return types.NewErr("%s: expected an integer, found %s", name, NumberText(f))
				}
				ints[i] = types.Int(f)
			}
		}
		return numberOf(name, call(ints...))
	}
}

func numberOf(name string, v ref.Val) ref.Val {
	i, ok := v.(types.Int)
	switch {
	case !ok:
		return v
	case i > maxExact || i < -maxExact:
		return types.NewErr("%s: %s", name, beyondExact)
	}
	return types.Double(i)
}

const beyondExact = "the result is beyond 2^53"

// listOptions are the functions on lists of numbers, and join, which also takes them.
func listOptions() []cel.EnvOption {
	numbers, any_ := cel.ListType(cel.DoubleType), cel.ListType(cel.TypeParamType("A"))
	fold := func(name string, f func(list []float64) (float64, bool)) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_list", []*cel.Type{numbers}, cel.DoubleType, cel.FunctionBinding(
			bounded(name, func(args ...ref.Val) ref.Val { return foldNumbers(name, args[0], f) }))))
	}
	return []cel.EnvOption{
		fold("min", func(list []float64) (float64, bool) { return foldOf(list, math.Min) }),
		fold("max", func(list []float64) (float64, bool) { return foldOf(list, math.Max) }),
		fold("sum", func(list []float64) (float64, bool) { return sumOf(list), true }),
		fold("mean", func(list []float64) (float64, bool) { return sumOf(list) / float64(len(list)), len(list) > 0 }),
		cel.Function("sort", cel.MemberOverload("list_sort_any", []*cel.Type{any_}, any_, cel.FunctionBinding(bounded("sort", sorted)))),
		cel.Function("join",
			cel.MemberOverload("list_join_any", []*cel.Type{any_}, cel.StringType, cel.FunctionBinding(bounded("join", join))),
			cel.MemberOverload("list_join_any_string", []*cel.Type{any_, cel.StringType}, cel.StringType, cel.FunctionBinding(bounded("join", join)))),
	}
}

func foldNumbers(name string, v ref.Val, f func([]float64) (float64, bool)) ref.Val {
	var list []float64
	for it := v.(traits.Lister).Iterator(); it.HasNext() == types.True; {
		e := it.Next()
		n, ok := e.(types.Double)
		if !ok {
			return types.NewErr("%s: expected a list of numbers, found a %s in it", name, e.Type().TypeName())
		}
		list = append(list, float64(n))
	}
	result, ok := f(list)
	if !ok {
		return types.NewErr("%s: the list is empty", name)
	}
	return types.Double(result)
}

func foldOf(list []float64, f func(a, b float64) float64) (float64, bool) {
	if len(list) == 0 {
		return 0, false
	}
	result := list[0]
	for _, n := range list[1:] {
		result = f(result, n)
	}
	return result, true
}

func sumOf(list []float64) float64 {
	sum := 0.0
	for _, n := range list {
		sum += n
	}
	return sum
}

// sorted orders a list of numbers, of strings, of timestamps or of durations. Equal ones
// keep their order, which sort of cel-go does not promise.
func sorted(args ...ref.Val) ref.Val {
	list := args[0].(traits.Lister)
	var all []ref.Val
	for it := list.Iterator(); it.HasNext() == types.True; {
		e := it.Next()
		if _, ok := e.(traits.Comparer); !ok || e.Type() != firstOf(all, e).Type() {
			return types.NewErr("sort: expected a list of numbers or of strings, found a %s in it", e.Type().TypeName())
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, compareKeys)
	return types.NewRefValList(jsonAdapter{}, all)
}

func firstOf(list []ref.Val, otherwise ref.Val) ref.Val {
	if len(list) > 0 {
		return list[0]
	}
	return otherwise
}

// join writes the elements of a list with a separator between them: strings, and what
// string() makes of the others.
func join(args ...ref.Val) ref.Val {
	separator := ""
	if len(args) > 1 {
		separator = string(args[1].(types.String))
	}
	var parts []string
	for it := args[0].(traits.Lister).Iterator(); it.HasNext() == types.True; {
		e := it.Next()
		text, ok := textOf(e).(types.String)
		if !ok {
			return types.NewErr("join: expected strings or numbers, found a %s", e.Type().TypeName())
		}
		parts = append(parts, string(text))
	}
	return types.String(strings.Join(parts, separator))
}
