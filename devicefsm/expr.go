package devicefsm

import (
	"errors"
	"fmt"
	"sync"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"devicetwin/internal/expression"
)

// expr is a compiled expression. Most expressions of a model are comparisons of
// fields, so those are compiled to closures (see fast.go), which never allocate
// for a test; everything else, and every error text, comes from cel-go.
type expr struct {
	source string
	place  place
	root   ast.Expr        // to explain a failure
	reads  map[string]bool // the variables that it reads; "stateIn" counts as one
	bool   bool            // the type check says that it is true or false, or cannot say
	fast   node            // nil where cel-go has to do it
	// readsMatch says that it may read event.matched, of an event that a pattern
	// raised.
	readsMatch bool
	// members are what it reads of the message.
	members members
	// conjuncts are the parts of a && b && c, or the expression itself.
	conjuncts []conjunct
	states    []*stateRef // arguments of stateIn, resolved when the chart is complete
	hours     []string    // arguments of inHours
	checked   *expression.Checked
	programs  [expression.EditionNow]plan // cel-go's, by edition; see program
}

// plan is a program of cel-go, made when it is first needed: for most expressions the
// closures do all the work.
type plan struct {
	once    sync.Once
	program *expression.Program
	err     error
}

// conjunct is a part of an expression that makes the whole false by being so.
type conjunct struct {
	fast    node
	reads   map[string]bool
	members members
}

// stateRef is the argument of stateIn('…').
type stateRef struct {
	name  string
	index int
}

// scope holds the variables of an evaluation. It is the activation that cel-go
// asks, so that no map is built for an expression.
type scope struct {
	event, context, twin, msg, matched map[string]any
	active                             stateSet
	run                                *run       // whose windows are read; nil: none
	clock                              *wallClock // nil where nothing is known of the time

	edition int  // by whose rules it is evaluated; 0 is the newest
	failed  bool // an expression did, in holds
	lenient bool // where a key is missing, it did not
	differs bool // another edition may give another result
}

// scopes spares the conditions of patterns, and the decisions on messages, an allocation
// each.
var scopes = sync.Pool{New: func() any { return new(scope) }}

func newScope() *scope { return scopes.Get().(*scope) }

// free gives the scope back: it must not be used any more.
func (s *scope) free() {
	*s = scope{}
	scopes.Put(s)
}

// ResolveName implements expression.Activation.
func (s *scope) ResolveName(name string) (any, bool) {
	switch name {
	case "event":
		return s.event, true
	case "context":
		return s.context, true
	case "twin":
		return s.twin, true
	case "msg":
		return s.msg, true
	case "matched":
		return s.matched, true
	case varWindows:
		return s.windows(), true
	case varNow:
		if s.clock != nil {
			return types.Timestamp{Time: fromMillis(s.clock.now)}, true
		}
	case expression.ZonesName:
		if s.clock != nil {
			return s.clock, true
		}
	case "@active":
		return s.active, true
	case expression.NoteTo:
		return s, true
	}
	return nil, false
}

// windows are those that the chart reads.
func (s *scope) windows() map[string]any {
	if s.run == nil {
		return nil
	}
	return s.run.readWindows()
}

// Parent implements expression.Activation.
func (s *scope) Parent() expression.Activation { return nil }

// NoteDifference implements expression.DifferenceNoter.
func (s *scope) NoteDifference() { s.differs = true }

// compileExpr parses and type-checks an expression for its place.
func compileExpr(at place, source string) (*expr, []expression.Fault) {
	envs, err := environments()
	if err != nil {
		return nil, []expression.Fault{expression.PlanFault(err)}
	}
	checked, faults := envs[at].Check(source)
	if faults != nil {
		return nil, faults
	}
	root := checked.AST().Expr()
	e := &expr{
		source: source, place: at, root: root, checked: checked, bool: checked.Condition,
		reads: checked.Reads, readsMatch: readsField(root, "event", "matched"), members: membersOf(root),
	}
	for _, ask := range checked.Asks {
		if ask.Predicate == fnInHours {
			e.hours = append(e.hours, ask.Argument)
			continue
		}
		e.states = append(e.states, &stateRef{name: ask.Argument, index: -1})
	}
	e.fast = e.compileFast(root)
	if parts := conjunctsOf(root); len(parts) == 1 {
		e.conjuncts = []conjunct{{e.fast, e.reads, e.members}}
	} else {
		e.conjuncts = make([]conjunct, len(parts))
		for i, part := range parts {
			e.conjuncts[i] = conjunct{fast: e.compileFast(part), reads: envs[at].Reads(part), members: membersOf(part)}
		}
	}
	if e.fast == nil {
		if _, err := e.planned(expression.EditionFirst); err != nil {
			return nil, []expression.Fault{expression.PlanFault(err)}
		}
	}
	return e, nil
}

// planned is the program of an edition.
func (e *expr) planned(edition expression.Edition) (*expression.Program, error) {
	p := &e.programs[edition-expression.EditionFirst]
	p.once.Do(func() { p.program, p.err = e.checked.Plan(edition, e.ask) })
	return p.program, p.err
}

// ask says by what a predicate holds.
func (e *expr) ask(call expression.Ask) func(expression.Activation) bool {
	if call.Predicate == fnInHours {
		return func(vars expression.Activation) bool {
			found, _ := vars.ResolveName(expression.ZonesName)
			clock, _ := found.(*wallClock)
			return clock != nil && clock.inHours(call.Argument)
		}
	}
	return e.stateIn(call)
}

// stateIn says whether the state of a call of stateIn is active.
func (e *expr) stateIn(call expression.Ask) func(expression.Activation) bool {
	state := e.state(call.Argument)
	return func(vars expression.Activation) bool {
		active, _ := vars.ResolveName("@active")
		set, _ := active.(stateSet)
		return set.has(state.index)
	}
}

func (e *expr) state(name string) *stateRef {
	for _, s := range e.states {
		if s.name == name {
			return s
		}
	}
	return nil
}

// errNotBool is the run-time fault of a guard that is something else.
var errNotBool = errors.New("the result is not true or false")

// test evaluates a condition. An error counts as false.
func (e *expr) test(s *scope) (bool, error) {
	if e.fast != nil {
		v, st := e.fast(s)
		if b, ok := v.(bool); st == done && ok {
			return b, nil
		}
	}
	v, err := e.slow(s)
	if err != nil {
		return false, e.explained(s, err)
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, e.notBool(s)
	}
	return bool(b), nil
}

// holds is test without the reason for an error, which costs more than the
// rest.
func (e *expr) holds(s *scope) bool {
	if e.fast != nil {
		v, st := e.fast(s)
		if st != punt {
			b, ok := v.(bool)
			s.failed = s.failed || st == done && !ok || st == failed || st == absent && !s.lenient
			return st == done && ok && b
		}
	}
	v, err := e.slow(s)
	s.failed = s.failed || err != nil && !(s.lenient && expression.Absent(err))
	return err == nil && v == types.True
}

// lacks reports whether an expression fails because a key is missing, and for no other
// reason.
func (e *expr) lacks(s *scope) bool {
	if e.fast != nil {
		if _, st := e.fast(s); st != punt {
			return st == absent
		}
	}
	_, err := e.slow(s)
	return err != nil && expression.Absent(err)
}

// eval returns the JSON value of the expression: nil, bool, float64, string,
// []any or map[string]any. Anything else, NaN and infinities are errors.
func (e *expr) eval(s *scope) (any, error) {
	if e.fast != nil {
		if v, st := e.fast(s); st == done {
			switch x := v.(type) {
			case float64:
				if expression.Finite(x) {
					return x, nil
				}
			case nil, bool, string:
				return x, nil
			}
		}
	}
	v, err := e.slow(s)
	if err != nil {
		return nil, e.explained(s, err)
	}
	return expression.JSON(v)
}

func (e *expr) slow(s *scope) (ref.Val, error) {
	p, err := e.program(s)
	if err != nil {
		return nil, fmt.Errorf("plan expression: %w", err)
	}
	v, err := p.Value(s)
	if err != nil && expression.TooCostly(err) {
		s.differs = true // what an expression costs is not the same in all editions
	}
	return v, err
}

// program is that of the edition that the scope goes by.
func (e *expr) program(s *scope) (*expression.Program, error) {
	if s.before(EditionNow) {
		return e.planned(expression.EditionFirst)
	}
	return e.planned(expression.EditionNow)
}

// readsOnly reports whether the expression reads nothing but the variable.
func (e *expr) readsOnly(name string) bool { return readsOnly(e.reads, name) }

func readsOnly(reads map[string]bool, name string) bool {
	return len(reads) == 0 || len(reads) == 1 && reads[name]
}
