package devicefsm

import (
	"errors"
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

// decorate changes what cel-go plans: it puts the configuration behind stateIn, which
// cel-go can't know, and since the second edition a number becomes text as JSON writes
// it, and a result that is not a finite number is an error.
func (e *expr) decorate(edition int) interpreter.InterpretableDecorator {
	return func(i interpreter.Interpretable) (interpreter.Interpretable, error) {
		call, ok := i.(interpreter.InterpretableCall)
		if !ok {
			return i, nil
		}
		switch name := call.Function(); {
		case name == fnStateIn:
			return e.stateIn(call)
		case edition < EditionNow:
		case name == overloads.TypeConvertString:
			text := interpreter.NewCall(call.ID(), name, call.OverloadID(), []interpreter.InterpretableV2{textArgument{call.Args()[0]}}, textOf)
			return plainCall{text}, nil
		case givesNumber(name):
			return finiteCall{plainCall{call}, call}, nil
		}
		return i, nil
	}
}

func (e *expr) stateIn(call interpreter.InterpretableCall) (interpreter.Interpretable, error) {
	name, ok := call.Args()[0].(interpreter.InterpretableConst)
	if !ok {
		return nil, errors.New("stateIn takes a string literal")
	}
	text, _ := name.Value().(types.String)
	return stateInCall{id: call.ID(), state: e.state(string(text))}, nil
}

type stateInCall struct {
	id    int64
	state *stateRef
}

func (c stateInCall) ID() int64 { return c.id }

func (c stateInCall) Eval(vars interpreter.Activation) ref.Val {
	active, _ := vars.ResolveName("@active")
	set, _ := active.(stateSet)
	return types.Bool(set.has(c.state.index))
}

// plainCall hides that it is a call. cel-go would compute one of a constant while it
// plans, and a failure would then be one of the whole expression, whatever && and ||
// make of it.
type plainCall struct{ interpreter.InterpretableV2 }

// textArgument is the argument of string().
type textArgument struct{ interpreter.InterpretableV2 }

func (a textArgument) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := a.InterpretableV2.Exec(frame)
	if n, ok := v.(types.Double); ok && numberText(float64(n)) != oldNumberText(float64(n)) {
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
		return types.String(numberText(float64(x)))
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
	if !ok || isFinite(float64(n)) {
		return v
	}
	noteDifference(frame)
	name := c.call.Function()
	if name == operators.Divide || name == operators.Modulo {
		if by, ok := c.call.Args()[1].Exec(frame).(types.Double); ok && by == 0 {
			return types.NewErrWithNodeID(c.ID(), "%s", divisionByZero)
		}
	}
	return types.NewErrWithNodeID(c.ID(), "%s", notFinite(name))
}

func (c finiteCall) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, c.Exec)
}

const divisionByZero = "division by zero"

func notFinite(function string) string {
	if symbol, ok := operators.FindReverse(function); ok {
		function = symbol
	}
	return "the result of " + function + " is not a finite number"
}

// noteDifference notes that another edition may give another result.
func noteDifference(vars interpreter.Activation) {
	if v, ok := vars.ResolveName("@scope"); ok {
		if s, ok := v.(*scope); ok {
			s.differs = true
		}
	}
}

// givesNumber reports whether the result of a function may be a number.
func givesNumber(name string) bool { return givingNumbers()[name] }

// givingNumbers are the functions whose result may be a number.
var givingNumbers = sync.OnceValue(func() map[string]bool {
	numbers := map[string]bool{}
	envs, err := environments()
	if err != nil {
		return numbers
	}
	for name, f := range envs[placeMessage].Functions() { //workflowcheck:ignore // one map into another
		numbers[name] = slices.ContainsFunc(f.OverloadDecls(), func(o *decls.OverloadDecl) bool {
			return o.ResultType().IsExactType(cel.DoubleType)
		})
	}
	return numbers
})
