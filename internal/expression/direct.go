package expression

import (
	"math"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// Direct evaluates an expression that only computes and compares scalars, such as
// payload.temp / 10 and has(payload.on) && payload.on != "", without cel-go and without
// memory of its own. It never has a result of its own: where the outcome is Unknown,
// Program.Eval says what it is, and else it would say the same.
type Direct func(Source) (Scalar, Outcome)

// Source has the values of variables, which need not be decoded before somebody asks for them.
type Source interface {
	// Look is what the names lead to from a variable. It is Unknown where a name leads into something else than an
	// object, and of a list or an object.
	Look(variable string, names []string) (Scalar, Outcome)
	// Has is whether the last of the names is there. It is Missing where what it is to be in is not there.
	Has(variable string, names []string) (bool, Outcome)
}

// Outcome says what is known of a result.
type Outcome uint8

const (
	// Known is a result.
	Known Outcome = iota
	// Missing is that of an evaluation that fails because a key is missing; see Absent.
	Missing
	// Unknown is any other.
	Unknown
)

// maxDirectText bounds the strings that are compared, in bytes: so an expression, which has at
// most so many operators as characters, stays below what its evaluation may cost.
const maxDirectText = 128

// Direct is nil where the expression has something in it that only cel-go evaluates. It is that
// of EditionNow.
func (c *Checked) Direct() Direct { return c.direct(c.AST().Expr()) }

func (c *Checked) direct(x ast.Expr) Direct {
	if variable, names, ok := c.pathOf(x); ok {
		return func(s Source) (Scalar, Outcome) { return s.Look(variable, names) }
	}
	switch x.Kind() {
	case ast.LiteralKind:
		return directLiteral(x)
	case ast.SelectKind:
		return c.directHas(x.AsSelect())
	case ast.CallKind:
		return c.directCall(x.AsCall())
	}
	return nil
}

func directLiteral(x ast.Expr) Direct {
	var value Scalar
	switch v := x.AsLiteral().(type) {
	case types.Bool:
		value = Scalar{Kind: Bool, Truth: bool(v)}
	case types.Double:
		value = Scalar{Kind: Number, Number: float64(v)}
	case types.String:
		value = Scalar{Kind: String, Text: []byte(v)}
	case types.Null:
	default:
		return nil
	}
	return func(Source) (Scalar, Outcome) { return value, Known }
}

// directHas is has(variable.names).
func (c *Checked) directHas(of ast.SelectExpr) Direct {
	variable, names, ok := c.pathOf(of.Operand())
	if !ok || !of.IsTestOnly() {
		return nil
	}
	names = append(slices.Clone(names), of.FieldName())
	return func(s Source) (Scalar, Outcome) {
		there, known := s.Has(variable, names)
		return Scalar{Kind: Bool, Truth: there}, known
	}
}

func (c *Checked) directCall(call ast.CallExpr) Direct {
	var args []Direct
	for _, x := range call.Args() {
		arg := c.direct(x)
		if arg == nil {
			return nil
		}
		args = append(args, arg)
	}
	name := call.FunctionName()
	switch {
	case call.IsMemberFunction():
		return nil
	case len(args) == 1:
		return directUnary(name, args[0])
	case len(args) == 2:
		return directBinary(name, args[0], args[1])
	case name == operators.Conditional:
		return directConditional(args[0], args[1], args[2])
	}
	return nil
}

// ofNumber are the functions of one number.
var ofNumber = map[string]func(float64) float64{
	operators.Negate:            func(n float64) float64 { return -n },
	overloads.TypeConvertInt:    math.Trunc,
	overloads.TypeConvertDouble: func(n float64) float64 { return n },
	"abs":                       math.Abs,
	"floor":                     math.Floor,
	"ceil":                      math.Ceil,
	"round":                     math.Round,
}

func directUnary(name string, arg Direct) Direct {
	if name == operators.LogicalNot {
		return func(s Source) (Scalar, Outcome) {
			v, known := boolean(arg(s))
			v.Truth = !v.Truth
			return v, known
		}
	}
	f := ofNumber[name]
	if f == nil {
		return nil
	}
	return func(s Source) (Scalar, Outcome) {
		v, known := arg(s)
		switch {
		case known != Known:
			return Scalar{}, known
		case v.Kind != Number:
			return Scalar{}, Unknown
		}
		return number(f(v.Number))
	}
}

// ofNumbers are the functions of two numbers.
var ofNumbers = map[string]func(a, b float64) float64{
	operators.Add:      func(a, b float64) float64 { return a + b },
	operators.Subtract: func(a, b float64) float64 { return a - b },
	operators.Multiply: func(a, b float64) float64 { return a * b },
	operators.Divide:   func(a, b float64) float64 { return a / b },
	operators.Modulo:   math.Mod,
	"min":              math.Min,
	"max":              math.Max,
}

// ofOrder are the operators that compare, by the order of what they compare.
var ofOrder = map[string]func(c int) bool{
	operators.Less:          func(c int) bool { return c < 0 },
	operators.LessEquals:    func(c int) bool { return c <= 0 },
	operators.Greater:       func(c int) bool { return c > 0 },
	operators.GreaterEquals: func(c int) bool { return c >= 0 },
}

func directBinary(name string, a, b Direct) Direct {
	switch name {
	case operators.LogicalAnd:
		return directLogic(a, b, false)
	case operators.LogicalOr:
		return directLogic(a, b, true)
	}
	f := directOperator(name)
	if f == nil {
		return nil
	}
	return func(s Source) (Scalar, Outcome) {
		x, known := a(s)
		if known != Known {
			return Scalar{}, known
		}
		y, known := b(s)
		if known != Known {
			return Scalar{}, known
		}
		return f(x, y)
	}
}

func directOperator(name string) func(x, y Scalar) (Scalar, Outcome) {
	if f := ofNumbers[name]; f != nil {
		return func(x, y Scalar) (Scalar, Outcome) {
			if x.Kind != Number || y.Kind != Number {
				return Scalar{}, Unknown
			}
			return number(f(x.Number, y.Number))
		}
	}
	if holds := ofOrder[name]; holds != nil {
		return func(x, y Scalar) (Scalar, Outcome) {
			c, ok := x.compare(y)
			return truth(holds(c)), unless(ok && short(x, y))
		}
	}
	if name == operators.Equals || name == operators.NotEquals {
		return func(x, y Scalar) (Scalar, Outcome) {
			return truth(x.equal(y) == (name == operators.Equals)), unless(short(x, y))
		}
	}
	return nil
}

// directLogic is && or ||: the absorbing value of either side wins over an error of the other.
func directLogic(a, b Direct, absorbing bool) Direct {
	return func(s Source) (Scalar, Outcome) {
		x, left := boolean(a(s))
		if left == Unknown || left == Known && x.Truth == absorbing {
			return x, left
		}
		y, right := boolean(b(s))
		if right == Known && y.Truth != absorbing {
			return y, left // it is not that which decides
		}
		return y, right
	}
}

func directConditional(condition, yes, no Direct) Direct {
	return func(s Source) (Scalar, Outcome) {
		v, known := boolean(condition(s))
		switch {
		case known != Known:
			return Scalar{}, known
		case v.Truth:
			return yes(s)
		}
		return no(s)
	}
}

// boolean is an operand that has to be true or false.
func boolean(v Scalar, known Outcome) (Scalar, Outcome) {
	return v, max(known, unless(known != Known || v.Kind == Bool))
}

// number is a result; where it is not finite, cel-go knows the error.
func number(f float64) (Scalar, Outcome) {
	return Scalar{Kind: Number, Number: f}, unless(Finite(f))
}

func truth(b bool) Scalar { return Scalar{Kind: Bool, Truth: b} }

func short(x, y Scalar) bool { return min(len(x.Text), len(y.Text)) <= maxDirectText }

// unless is Unknown unless what is said is so.
func unless(so bool) Outcome {
	if so {
		return Known
	}
	return Unknown
}
