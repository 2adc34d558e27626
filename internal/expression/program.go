package expression

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// Edition says by which rules an expression is evaluated. Where a fault of the language is
// corrected, what was begun under an earlier edition can keep to it.
type Edition int

const (
	// EditionFirst has numbers as IEEE 754 does: a result may be an infinity or not a number,
	// and string() writes a number as C's %g does.
	EditionFirst Edition = iota + 1
	// EditionNow is that of Env.Compile: a result that is not a finite number is an error, and
	// string() writes a number as JSON does.
	EditionNow
)

// costLimit bounds the work of one evaluation, in the units of cel-go: about one for each
// node visited. It is a few milliseconds.
const costLimit = 20_000

// Activation gives the values of variables by their names: JSON values as encoding/json
// decodes them; Go's integers count as numbers. Names that begin with @ are not variables:
// see NoteTo.
type Activation = interpreter.Activation

// Values are the values of variables.
type Values map[string]any

// ResolveName implements Activation.
func (v Values) ResolveName(name string) (any, bool) {
	value, ok := v[name]
	return value, ok
}

// Parent implements Activation.
func (Values) Parent() Activation { return nil }

// NoteTo is the name by which an evaluation asks its Activation for a DifferenceNoter.
const NoteTo = "@notes"

// DifferenceNoter takes note that another edition may give another result.
type DifferenceNoter interface{ NoteDifference() }

// Resolver gives what says whether a predicate holds, for each call of one in an expression.
type Resolver func(Ask) func(Activation) bool

// Program is an expression that can be evaluated.
type Program struct {
	checked *Checked
	program cel.Program
}

// Plan makes the program of an edition. An expression that asks predicates needs a resolver.
// The errors are about what the type check cannot see, such as a regular expression.
func (c *Checked) Plan(edition Edition, resolve Resolver) (*Program, error) {
	if len(c.Asks) > 0 && resolve == nil {
		return nil, fmt.Errorf("%s needs a meaning", c.Asks[0].Predicate)
	}
	p, err := c.env.cel.Program(c.ast, cel.CostLimit(costLimit), cel.CostTracking(callCosts{}),
		cel.EvalOptions(cel.OptOptimize), cel.CustomDecorator(c.decorate(edition, resolve)))
	if err != nil {
		return nil, err
	}
	return &Program{c, p}, nil
}

// Checked is the expression of the program.
func (p *Program) Checked() *Checked { return p.checked }

// Reads are the variables that the expression reads. Nobody may change them.
func (p *Program) Reads() map[string]bool { return p.checked.Reads }

// Eval gives nil, bool, float64, string, []any or map[string]any. See Absent and TooCostly
// for two of the errors.
func (p *Program) Eval(variables Activation) (any, error) {
	v, err := p.Value(variables)
	if err != nil {
		return nil, err
	}
	return JSON(v)
}

// EvalWithin is Eval of a result of about so many bytes of JSON text, instead of MaxSize.
func (p *Program) EvalWithin(variables Activation, bytes int) (any, error) {
	v, err := p.Value(variables)
	if err != nil {
		return nil, err
	}
	return jsonWithin(v, bytes)
}

// Value is the result as cel-go has it, which may be of a type that JSON does not have.
func (p *Program) Value(variables Activation) (ref.Val, error) {
	v, _, err := p.program.Eval(variables)
	return v, err
}

// Absent reports whether an evaluation failed because a key is missing.
func Absent(err error) bool { return strings.HasPrefix(err.Error(), "no such key: ") }

// TooCostly reports whether an evaluation was ended because it took too much work, which is
// not the same in all editions.
func TooCostly(err error) bool {
	var cancelled interpreter.EvalCancelledError
	return errors.As(err, &cancelled)
}
