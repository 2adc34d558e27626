package expression

import (
	"fmt"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// decorate changes what cel-go plans: it puts what the resolver says behind the calls of
// predicates, which cel-go can't know, and since the second edition a number becomes text as
// JSON writes it, and a result that is not a finite number is an error.
func (c *Checked) decorate(edition Edition, resolve Resolver) interpreter.InterpretableDecorator {
	return func(i interpreter.Interpretable) (interpreter.Interpretable, error) {
		call, ok := i.(interpreter.InterpretableCall)
		if !ok {
			return i, nil
		}
		switch name := call.Function(); {
		case c.env.predicate(name) != nil:
			return predicateOf(call, resolve)
		case IsZoned(name):
			return zonedCall{call}, nil
		case edition < EditionNow:
		case name == overloads.TypeConvertString:
			text := interpreter.NewCall(call.ID(), name, call.OverloadID(), []interpreter.InterpretableV2{textArgument{call.Args()[0]}}, textOf)
			return plainCall{text}, nil
		case GivesNumber(name):
			return finiteCall{plainCall{call}, call}, nil
		}
		return i, nil
	}
}

func predicateOf(call interpreter.InterpretableCall, resolve Resolver) (interpreter.Interpretable, error) {
	argument, ok := call.Args()[0].(interpreter.InterpretableConst)
	if !ok {
		return nil, fmt.Errorf("%s takes a string literal", call.Function())
	}
	text, _ := argument.Value().(types.String)
	return predicateCall{id: call.ID(), holds: resolve(Ask{call.Function(), string(text)})}, nil
}

type predicateCall struct {
	id    int64
	holds func(Activation) bool
}

func (c predicateCall) ID() int64 { return c.id }

func (c predicateCall) Eval(vars interpreter.Activation) ref.Val { return types.Bool(c.holds(vars)) }

// plainCall hides that it is a call. cel-go would compute one of a constant while it
// plans, and a failure would then be one of the whole expression, whatever && and ||
// make of it.
type plainCall struct{ interpreter.InterpretableV2 }

// textArgument is the argument of string().
type textArgument struct{ interpreter.InterpretableV2 }

func (a textArgument) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := a.InterpretableV2.Exec(frame)
	if n, ok := v.(types.Double); ok && NumberText(float64(n)) != oldNumberText(float64(n)) {
		noteDifference(frame)
	}
	return v
}

func (a textArgument) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, a.Exec)
}

// textOf is string(x).
func textOf(args ...ref.Val) ref.Val {
	switch x := args[0].(type) {
	case types.Double:
		return types.String(NumberText(float64(x)))
	case types.String, types.Bool, types.Bytes, types.Duration, types.Timestamp:
		return x.ConvertToType(types.StringType)
	}
	return types.MaybeNoSuchOverloadErr(args[0])
}

// finiteCall is a call whose result may be a number.
type finiteCall struct {
	plainCall
	call interpreter.InterpretableCall
}

func (c finiteCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := c.call.Exec(frame)
	n, ok := v.(types.Double)
	if !ok || Finite(float64(n)) {
		return v
	}
	noteDifference(frame)
	name := c.call.Function()
	if name == operators.Divide || name == operators.Modulo {
		if by, ok := c.call.Args()[1].Exec(frame).(types.Double); ok && by == 0 {
			return types.NewErrWithNodeID(c.ID(), "%s", DivisionByZero)
		}
	}
	return types.NewErrWithNodeID(c.ID(), "%s", NotFinite(name))
}

func (c finiteCall) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, c.Exec)
}

// DivisionByZero is the error of / and % by 0.
const DivisionByZero = "division by zero"

// NotFinite is the error of a function or an operator whose result is not a finite number.
func NotFinite(function string) string {
	if symbol, ok := operators.FindReverse(function); ok {
		function = symbol
	}
	return "the result of " + function + " is not a finite number"
}

// noteDifference notes that another edition may give another result.
func noteDifference(vars interpreter.Activation) {
	if v, ok := vars.ResolveName(NoteTo); ok {
		if n, ok := v.(DifferenceNoter); ok {
			n.NoteDifference()
		}
	}
}

// GivesNumber reports whether the result of a function of the language may be a number.
func GivesNumber(function string) bool { return givingNumbers()[function] }

// givingNumbers are the functions whose result may be a number.
var givingNumbers = sync.OnceValue(func() map[string]bool {
	numbers := map[string]bool{}
	base, err := language()
	if err != nil {
		return numbers
	}
	for name, f := range base.Functions() { //workflowcheck:ignore // one map into another
		numbers[name] = slices.ContainsFunc(f.OverloadDecls(), func(o *decls.OverloadDecl) bool {
			return o.ResultType().IsExactType(cel.DoubleType)
		})
	}
	return numbers
})
