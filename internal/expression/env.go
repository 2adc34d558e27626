package expression

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// maxExpression is the longest expression in characters.
const maxExpression = 4096

// Options are what the expressions of one kind of place may read, in addition to the
// functions that all expressions have.
type Options struct {
	Values     []string // variables that may hold any JSON value
	Objects    []string // variables that hold JSON objects: another use is a fault
	Predicates []Predicate
	Times      []string // variables that hold timestamps
	// ZoneFault says what is wrong with the name of a time zone, or "". With it there are
	// functions that go by zones, and whoever evaluates has to give Zones.
	ZoneFault func(name string) string
}

// Predicate is a function of one string literal, such as stateIn('a.b'), that is true or
// false by more than its argument. Whoever plans an expression says what it is by; see
// Checked.Plan.
type Predicate struct {
	Name string
	// Usage is the fault of a call whose argument is not a string literal.
	Usage string
}

// Env is the language with the variables of one kind of place.
type Env struct {
	cel        *cel.Env
	variables  []string
	predicates []Predicate
	zoned      bool
	zoneFault  func(name string) string
}

// NewEnv makes an environment whose variables may hold any JSON value.
func NewEnv(variables ...string) (*Env, error) { return New(Options{Values: variables}) }

// New makes an environment. It costs about a millisecond. The error names each variable or
// predicate whose name an expression could not use.
func New(o Options) (*Env, error) {
	base, err := language()
	if err != nil {
		return nil, err
	}
	e := &Env{
		variables: slices.Concat(o.Values, o.Objects, o.Times), predicates: o.Predicates,
		zoned: o.ZoneFault != nil, zoneFault: o.ZoneFault,
	}
	if err := e.checkNames(base); err != nil {
		return nil, err
	}
	var opts []cel.EnvOption
	for _, name := range o.Values {
		opts = append(opts, cel.Variable(name, cel.DynType))
	}
	for _, name := range o.Objects {
		opts = append(opts, cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)))
	}
	for _, name := range o.Times {
		opts = append(opts, cel.Variable(name, cel.TimestampType))
	}
	if e.zoned {
		opts = append(opts, zonedOptions()...)
	}
	for _, p := range o.Predicates {
		opts = append(opts, cel.Function(p.Name, cel.Overload(p.Name+"_literal", []*cel.Type{cel.StringType}, cel.BoolType,
			cel.UnaryBinding(func(ref.Val) ref.Val { return types.NewErr("%s was not resolved", p.Name) }))))
	}
	if e.cel, err = base.Extend(opts...); err != nil {
		return nil, fmt.Errorf("make an environment of expressions: %w", err)
	}
	return e, nil
}

// checkNames reports names that are not identifiers, or that mean something already.
func (e *Env) checkNames(base *cel.Env) error {
	var errs []error
	seen := map[string]bool{}
	for _, name := range e.variables {
		switch {
		case seen[name]:
			errs = append(errs, fmt.Errorf("variable %q: named twice", name))
		case !isIdentifier(base, name):
			errs = append(errs, fmt.Errorf("variable %q: expected an identifier that is not a word of the language", name))
		}
		seen[name] = true
	}
	for _, p := range e.predicates {
		if !isIdentifier(base, p.Name) || base.HasFunction(p.Name) {
			errs = append(errs, fmt.Errorf("predicate %q: expected an identifier that is not a function of the language", p.Name))
		}
	}
	return errors.Join(errs...)
}

// isIdentifier reports whether a name means itself, and nothing that there is: int and
// string are types.
func isIdentifier(base *cel.Env, name string) bool {
	parsed, issues := base.Parse(name)
	if issues.Err() != nil {
		return false
	}
	root := parsed.NativeRep().Expr()
	_, known := base.CELTypeProvider().FindIdent(name)
	return root.Kind() == ast.IdentKind && root.AsIdent() == name && !known
}

// language is what all environments share. It is built once for the process: that costs
// milliseconds, and nothing can be changed in it.
var language = sync.OnceValues(func() (*cel.Env, error) {
	opts, err := baseOptions()
	if err != nil {
		return nil, fmt.Errorf("make the expression language: %w", err)
	}
	base, err := cel.NewCustomEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("make the expression language: %w", err)
	}
	return base, nil
})

// Variables are the names of the variables: values, then objects, then timestamps.
func (e *Env) Variables() []string { return slices.Clone(e.variables) }

// FunctionNames are the functions that can be written, sorted, without operators and macros.
func (e *Env) FunctionNames() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(e.cel.Functions())), func(name string) bool {
		return strings.ContainsAny(name, "@_") || name == operators.OldIn || name == overloads.DeprecatedIn
	})
}

// CEL is the environment as cel-go has it, for whoever looks at its declarations. What it
// compiles has more kinds of numbers than one.
func (e *Env) CEL() *cel.Env { return e.cel }

// Check parses and type-checks an expression, and gives all of its faults that are found at
// once: those of the syntax hide the others.
func (e *Env) Check(source string) (*Checked, []Fault) {
	parsed, issues := e.cel.Parse(source)
	if issues.Err() != nil {
		return nil, e.faultsOf(source, issues)
	}
	c := &Checked{Source: source, env: e}
	if faults := c.rewrite(parsed.NativeRep()); faults != nil {
		return nil, faults
	}
	if c.ast, issues = e.cel.Check(parsed); issues.Err() != nil {
		return nil, e.faultsOf(source, issues)
	}
	kind := c.ast.OutputType().Kind()
	c.Condition = kind == types.BoolKind || kind == types.DynKind
	c.List = kind == types.ListKind || kind == types.DynKind
	c.Reads = e.Reads(c.AST().Expr())
	return c, nil
}

// Compile parses, type-checks and plans an expression by the rules of EditionNow. With
// faults there is no program.
func (e *Env) Compile(source string) (*Program, []Fault) {
	c, faults := e.Check(source)
	if faults != nil {
		return nil, faults
	}
	p, err := c.Plan(EditionNow, nil)
	if err != nil {
		return nil, []Fault{PlanFault(err)}
	}
	return p, nil
}

// Reads are the variables that a part of an expression reads, the predicates that it
// asks, and ZonesName if it goes by time zones. A variable of a macro that has the name of one counts as that one.
func (e *Env) Reads(x ast.Expr) map[string]bool {
	reads := map[string]bool{}
	ast.PostOrderVisit(x, ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.IdentKind:
			if name := x.AsIdent(); slices.Contains(e.variables, name) {
				reads[name] = true
			}
		case ast.CallKind:
			switch name := x.AsCall().FunctionName(); {
			case e.predicate(name) != nil:
				reads[name] = true
			case e.zoned && IsZoned(name):
				reads[ZonesName] = true
			}
		}
	}))
	return reads
}

func (e *Env) predicate(name string) *Predicate {
	for i := range e.predicates {
		if e.predicates[i].Name == name {
			return &e.predicates[i]
		}
	}
	return nil
}

// Checked is an expression that can be planned.
type Checked struct {
	Source string
	// Condition says that the result is true or false, or that the type check cannot say.
	Condition bool
	// List says that the result is a list, or that the type check cannot say.
	List bool
	// Reads are the variables that it reads, the predicates that it asks, and ZonesName if it
	// goes by time zones.
	Reads map[string]bool
	// Zones are the names of these zones, each once; "" is that of the host.
	Zones []string
	// Asks are the calls of predicates, each once, in the order of the expression.
	Asks []Ask
	// Rounded are integer literals beyond 2^53, which a number does not hold: they count as
	// the nearest number that there is.
	Rounded []Fault

	env *Env
	ast *cel.Ast
}

// Ask is a call of a predicate.
type Ask struct{ Predicate, Argument string }

// AST is the tree that is evaluated: its integer literals are doubles, and macros iterate
// over calls of OrderedFunction. Nobody may change it.
func (c *Checked) AST() *ast.AST { return c.ast.NativeRep() }

// Written is the tree as it is written, parsed again: its literals have the types of CEL.
func (c *Checked) Written() (*ast.AST, error) {
	parsed, issues := c.env.cel.Parse(c.Source)
	if err := issues.Err(); err != nil { // it was parsed before
		return nil, err
	}
	return parsed.NativeRep(), nil
}

// noteRounded notes an integer literal that a number does not hold.
func (c *Checked) noteRounded(a *ast.AST, id int64, i *big.Int) {
	if text := Rounded(i); text != "" {
		c.Rounded = append(c.Rounded, faultAt(a, id, text))
	}
}
