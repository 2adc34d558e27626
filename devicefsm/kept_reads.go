package devicefsm

import (
	"maps"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"devicetwin/internal/expression"
)

// reads is what expressions read of a JSON value: all of it, or, of an object, some of
// its keys.
type reads struct {
	all bool
	of  map[string]*reads
}

// key is what is read of the value of a key.
func (r *reads) key(name string) *reads {
	if r.of == nil {
		r.of = map[string]*reads{}
	}
	if r.of[name] == nil {
		r.of[name] = &reads{}
	}
	return r.of[name]
}

// add takes over what is read according to another one.
func (r *reads) add(other *reads) {
	r.all = r.all || other.all
	for k, v := range other.of { //workflowcheck:ignore // one map into another
		r.key(k).add(v)
	}
}

// stepReads is what is read of the events that a step took.
type stepReads struct {
	event reads
	// whole says that it matters how many there are: size(), a macro over them, an
	// index that is computed. The last one by its index does not count as such: it is
	// always kept.
	whole bool
	// last is the largest index that is written as a number, plus one.
	last int
}

func (s *stepReads) add(other *stepReads) {
	s.event.add(&other.event)
	s.whole = s.whole || other.whole
	s.last = max(s.last, other.last)
}

// matchReads is what is read of `matched`, or of event.matched: by step, and of any step.
type matchReads struct {
	any stepReads
	of  map[string]*stepReads
}

func (m *matchReads) step(name string) *stepReads {
	if m.of[name] == nil {
		m.of[name] = &stepReads{}
	}
	return m.of[name]
}

// kept is what has to be kept of the events of a step.
func (m *matchReads) kept(step string) *stepReads {
	all := &stepReads{}
	all.add(&m.any)
	if own := m.of[step]; own != nil {
		all.add(own)
	}
	return all
}

// value is what a part of an expression may be, as far as matched events are concerned.
type value struct {
	event, matched bool
	steps          []*stepReads // the list of the events of one of these steps
	inside         []*reads     // an event, or something inside of one
	elements       *value       // a list of these
}

func either(a, b value) value {
	out := value{
		event: a.event || b.event, matched: a.matched || b.matched,
		steps: union(a.steps, b.steps), inside: union(a.inside, b.inside), elements: a.elements,
	}
	switch {
	case a.elements != nil && b.elements != nil:
		both := either(*a.elements, *b.elements)
		out.elements = &both
	case b.elements != nil:
		out.elements = b.elements
	}
	return out
}

// union has each one once: macros over macros would multiply them.
func union[T comparable](a, b []T) []T {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// matchReader finds what an expression reads of matched events.
type matchReader struct {
	to   *matchReads
	at   place
	vars map[string]value // of macros
}

// addExpr adds what an expression reads.
func (m *matchReads) addExpr(e *expr) {
	r := matchReader{to: m, at: e.place}
	r.use(r.visit(e.root))
}

// use notes that all of a value is read.
func (r *matchReader) use(v value) {
	if v.event || v.matched {
		r.to.any.whole, r.to.any.event.all = true, true
	}
	for _, s := range v.steps {
		s.whole, s.event.all = true, true
	}
	for _, i := range v.inside {
		i.all = true
	}
	if v.elements != nil {
		r.use(*v.elements)
	}
}

func (r *matchReader) visit(x ast.Expr) value {
	switch x.Kind() {
	case ast.IdentKind:
		return r.variable(x.AsIdent())
	case ast.SelectKind:
		sel := x.AsSelect()
		v := r.member(r.visit(sel.Operand()), sel.FieldName(), sel.IsTestOnly())
		if sel.IsTestOnly() {
			return value{}
		}
		return v
	case ast.CallKind:
		return r.call(x.AsCall())
	case ast.ListKind:
		all := value{}
		for _, e := range x.AsList().Elements() {
			all = either(all, r.visit(e))
		}
		return value{elements: &all}
	case ast.MapKind:
		for _, e := range x.AsMap().Entries() {
			r.use(r.visit(e.AsMapEntry().Key()))
			r.use(r.visit(e.AsMapEntry().Value()))
		}
	case ast.ComprehensionKind:
		return r.macro(x.AsComprehension())
	}
	return value{}
}

func (r *matchReader) variable(name string) value {
	if v, ok := r.vars[name]; ok {
		return v
	}
	return value{event: r.at == placeChart && name == "event", matched: r.at == placePattern && name == "matched"}
}

// member is that of one name; asked says that only its presence is read.
func (r *matchReader) member(of value, name string, asked bool) value {
	out := value{matched: of.event && name == "matched"}
	if of.matched {
		out.steps = append(out.steps, r.to.step(name))
	}
	for _, i := range of.inside {
		key := i.key(name)
		key.all = key.all || asked
		out.inside = append(out.inside, key)
	}
	return out
}

func (r *matchReader) call(call ast.CallExpr) value {
	args := call.Args()
	if call.IsMemberFunction() {
		args = slices.Concat([]ast.Expr{call.Target()}, args)
	}
	switch name := call.FunctionName(); {
	case name == operators.Index && len(args) == 2:
		return r.index(args[0], args[1])
	case name == operators.In && len(args) == 2:
		if key, ok := expression.StringLiteral(args[0]); ok {
			of := r.visit(args[1])
			r.member(of, key, true)
			r.use(value{steps: of.steps, elements: of.elements})
			return value{}
		}
	case name == overloads.Size && len(args) == 1:
		of := r.visit(args[0])
		for _, s := range of.steps {
			s.whole = true
		}
		r.use(value{inside: of.inside})
		return value{}
	case (name == overloads.TypeConvertDyn || name == expression.OrderedFunction) && len(args) == 1:
		return r.visit(args[0])
	case name == operators.Conditional && len(args) == 3:
		r.use(r.visit(args[0]))
		return either(r.visit(args[1]), r.visit(args[2]))
	case name == operators.Add && len(args) == 2:
		return r.sum(either(r.visit(args[0]), r.visit(args[1])))
	}
	for _, a := range args {
		r.use(r.visit(a))
	}
	return value{}
}

// sum is that of two lists; of anything else, all is read.
func (r *matchReader) sum(v value) value {
	r.use(value{event: v.event, matched: v.matched, inside: v.inside})
	elements := v.eachElement()
	return value{elements: &elements}
}

// eachElement is what the elements of a list may be, where all of them are looked at.
func (v value) eachElement() value {
	all := value{}
	for _, s := range v.steps {
		s.whole = true
		all.inside = append(all.inside, &s.event)
	}
	if v.elements != nil {
		all = either(all, *v.elements)
	}
	return all
}

func (r *matchReader) index(list, at ast.Expr) value {
	of := r.visit(list)
	if key, ok := expression.StringLiteral(at); ok {
		return r.member(of, key, false)
	}
	last := isLastOf(list, at)
	if !last {
		r.use(r.visit(at))
	}
	r.use(value{event: of.event, inside: of.inside})
	out := value{}
	if of.matched {
		out.steps = append(out.steps, &r.to.any)
	}
	n, isNumber := literalNumber(at)
	for _, s := range of.steps {
		switch {
		case last:
		case isNumber && n >= 0 && n < maxIndex:
			s.last = max(s.last, int(n)+1)
		default:
			s.whole = true
		}
		out.inside = append(out.inside, &s.event)
	}
	if of.elements != nil {
		out = either(out, *of.elements)
	}
	return out
}

// maxIndex is beyond every list of matched events.
const maxIndex = 1 << 16

// isLastOf reports whether an index is size(list) - 1.
func isLastOf(list, at ast.Expr) bool {
	if at.Kind() != ast.CallKind || at.AsCall().FunctionName() != operators.Subtract {
		return false
	}
	args := at.AsCall().Args()
	if n, ok := literalNumber(args[1]); !ok || n != 1 {
		return false
	}
	of, ok := sizeArgument(args[0])
	path := sourcePath(list)
	return ok && path != unnamedValue && sourcePath(of) == path
}

// sizeArgument is the argument of size(x) or x.size().
func sizeArgument(x ast.Expr) (ast.Expr, bool) {
	if x.Kind() != ast.CallKind || x.AsCall().FunctionName() != overloads.Size {
		return nil, false
	}
	call := x.AsCall()
	if call.IsMemberFunction() {
		return call.Target(), true
	}
	return call.Args()[0], len(call.Args()) == 1
}

func literalNumber(x ast.Expr) (float64, bool) {
	x = unwrapped(x)
	if x.Kind() != ast.LiteralKind {
		return 0, false
	}
	n, ok := x.AsLiteral().(types.Double)
	return float64(n), ok
}

// macro follows a macro: what it reads of each element, and what it makes of them.
func (r *matchReader) macro(c ast.ComprehensionExpr) value {
	over := r.visit(c.IterRange())
	r.use(value{event: over.event, inside: over.inside})
	element := over.eachElement()
	if over.matched && c.HasIterVar2() { // with one variable, only the names of the steps
		element = either(element, value{steps: []*stepReads{&r.to.any}})
	}
	accu := r.visit(c.AccuInit())
	outer := r.vars
	defer func() { r.vars = outer }()
	with := func(accu value, loop bool) {
		r.vars = map[string]value{}
		maps.Copy(r.vars, outer)
		r.vars[c.AccuVar()] = accu
		switch {
		case !loop:
		case c.HasIterVar2():
			r.vars[c.IterVar()], r.vars[c.IterVar2()] = value{}, element
		default:
			r.vars[c.IterVar()] = element
		}
	}
	// Once is enough: no macro reads inside of what it accumulates.
	with(accu, true)
	r.use(r.visit(c.LoopCondition()))
	with(either(accu, r.visit(c.LoopStep())), false)
	return r.visit(c.Result())
}
