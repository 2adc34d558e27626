package devicefsm

import (
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"devicetwin/internal/expression"
)

// A node is a part of an expression, compiled to a closure over plain JSON
// values. It computes what cel-go computes, or punts: a test compares the two
// on random expressions.
type node func(s *scope) (any, status)

type status uint8

const (
	done   status = iota // the value is right
	absent               // so does it, because a key is missing, and for no other reason
	failed               // cel-go gives an error
	punt                 // this code does not know: ask cel-go
)

// compileFast compiles an expression, or returns nil where it holds something
// that only cel-go does.
func (e *expr) compileFast(x ast.Expr) node {
	switch x.Kind() {
	case ast.LiteralKind:
		return fastLiteral(x)
	case ast.IdentKind:
		return fastVariable(x.AsIdent())
	case ast.SelectKind:
		return e.fastSelect(x.AsSelect())
	case ast.ListKind:
		return e.fastList(x.AsList())
	case ast.CallKind:
		return e.fastCall(x.AsCall())
	}
	return nil
}

func fastLiteral(x ast.Expr) node {
	var value any
	switch v := x.AsLiteral().(type) {
	case types.Bool:
		value = bool(v)
	case types.Double:
		value = float64(v)
	case types.String:
		value = string(v)
	case types.Null:
	default:
		return nil
	}
	return func(*scope) (any, status) { return value, done }
}

func fastVariable(name string) node {
	switch name {
	case "event":
		return func(s *scope) (any, status) { return s.event, done }
	case "context":
		return func(s *scope) (any, status) { return s.context, done }
	case "twin":
		return func(s *scope) (any, status) { return s.twin, done }
	case varWindows:
		return func(s *scope) (any, status) { return s.windows(), done }
	case "msg":
		return func(s *scope) (any, status) { return s.msg, done }
	case "matched":
		return func(s *scope) (any, status) { return s.matched, done }
	}
	return nil // a variable of a macro
}

func (e *expr) fastSelect(sel ast.SelectExpr) node {
	of, field := e.compileFast(sel.Operand()), sel.FieldName()
	if of == nil {
		return nil
	}
	if sel.IsTestOnly() {
		return func(s *scope) (any, status) {
			v, st := of(s)
			if st != done {
				return nil, st
			}
			m, ok := v.(map[string]any)
			if !ok {
				return nil, punt
			}
			_, ok = m[field]
			return ok, done
		}
	}
	return func(s *scope) (any, status) {
		v, st := of(s)
		if st != done {
			return nil, st
		}
		if m, ok := v.(map[string]any); ok {
			if v, ok = m[field]; ok {
				return v, done
			}
			return nil, absent
		}
		return nil, failUnlessForeign(v)
	}
}

// failUnlessForeign is failed for a JSON value that does not fit the operation
// and punt for a Go value of any other type.
func failUnlessForeign(v any) status {
	switch v.(type) {
	case nil, bool, float64, string, []any, map[string]any:
		return failed
	}
	return punt
}

func failUnlessForeign2(a, b any) status { return max(failUnlessForeign(a), failUnlessForeign(b)) }

func (e *expr) fastList(list ast.ListExpr) node {
	if len(list.OptionalIndices()) > 0 {
		return nil
	}
	elements := make([]any, 0, list.Size())
	for _, x := range list.Elements() {
		if x.Kind() != ast.LiteralKind {
			return nil
		}
		n := fastLiteral(x)
		if n == nil {
			return nil
		}
		v, _ := n(nil)
		elements = append(elements, v)
	}
	return func(*scope) (any, status) { return elements, done }
}

func (e *expr) fastCall(call ast.CallExpr) node {
	name := call.FunctionName()
	if name == fnStateIn && !call.IsMemberFunction() {
		text, ok := expression.StringLiteral(call.Args()[0])
		if !ok {
			return nil
		}
		state := e.state(text)
		return func(s *scope) (any, status) { return s.active.has(state.index), done }
	}
	if expression.IsZoned(name) && !call.IsMemberFunction() {
		return fastZoned(name, call.Args())
	}
	if name == fnInHours && !call.IsMemberFunction() {
		text, ok := expression.StringLiteral(call.Args()[0])
		if !ok {
			return nil
		}
		return func(s *scope) (any, status) { return s.clock != nil && s.clock.inHours(text), done }
	}
	var args []node
	if call.IsMemberFunction() {
		args = append(args, e.compileFast(call.Target()))
	}
	for _, a := range call.Args() {
		args = append(args, e.compileFast(a))
	}
	for _, a := range args {
		if a == nil {
			return nil
		}
	}
	if name == operators.Index && !canIndex(call.Args()[1]) {
		return nil // cel-go refuses it when it plans
	}
	switch len(args) {
	case 1:
		return fastUnary(name, args[0])
	case 2:
		return fastBinary(name, args[0], args[1])
	case 3:
		if name == operators.Conditional {
			return fastConditional(args[0], args[1], args[2])
		}
	}
	return nil
}

// fastZoned is a call such as hour(now) or hour(now, 'Europe/Berlin').
func fastZoned(name string, args []ast.Expr) node {
	if args[0].Kind() != ast.IdentKind || args[0].AsIdent() != varNow {
		return nil
	}
	zone := ""
	if len(args) > 1 {
		zone, _ = expression.StringLiteral(args[1])
	}
	return func(s *scope) (any, status) {
		if s.clock == nil {
			return nil, failed
		}
		local, err := s.clock.Local(zone, fromMillis(s.clock.now))
		if err != nil {
			return nil, failed
		}
		return expression.ZonedValue(name, local), done
	}
}

// canIndex reports whether an index is not a literal, or is a number or a string.
func canIndex(x ast.Expr) bool {
	for x.Kind() == ast.CallKind && x.AsCall().FunctionName() == overloads.TypeConvertDyn {
		x = x.AsCall().Args()[0]
	}
	if x.Kind() != ast.LiteralKind {
		return x.Kind() != ast.ListKind && x.Kind() != ast.MapKind
	}
	switch x.AsLiteral().(type) {
	case types.Double, types.String:
		return true
	}
	return false
}

func fastUnary(name string, arg node) node {
	var f func(v any) (any, status)
	switch name {
	case operators.LogicalNot:
		f = func(v any) (any, status) {
			if b, ok := v.(bool); ok {
				return !b, done
			}
			return nil, failUnlessForeign(v)
		}
	case operators.Negate:
		return func(s *scope) (any, status) {
			v, st := arg(s)
			if st != done {
				return nil, st
			}
			if n, ok := v.(float64); ok {
				return s.checked(-n, done)
			}
			return nil, failUnlessForeign(v)
		}
	case overloads.Size:
		f = fastSize
	case overloads.TypeConvertDyn:
		return arg
	default:
		return nil
	}
	return func(s *scope) (any, status) {
		v, st := arg(s)
		if st != done {
			return nil, st
		}
		return f(v)
	}
}

func fastSize(v any) (any, status) {
	switch x := v.(type) {
	case string:
		return float64(utf8.RuneCountInString(x)), done
	case []any:
		return float64(len(x)), done
	case map[string]any:
		return float64(len(x)), done
	}
	return nil, failUnlessForeign(v)
}

func fastConditional(cond, yes, no node) node {
	return func(s *scope) (any, status) {
		v, st := cond(s)
		if st != done {
			return nil, st
		}
		b, ok := v.(bool)
		switch {
		case !ok:
			return nil, failUnlessForeign(v)
		case b:
			return yes(s)
		}
		return no(s)
	}
}

func fastBinary(name string, a, b node) node {
	switch name {
	case operators.LogicalAnd:
		return fastLogic(a, b, false)
	case operators.LogicalOr:
		return fastLogic(a, b, true)
	}
	f := fastOperator(name)
	if f == nil {
		return nil
	}
	computed := func(s *scope) (any, status) {
		x, st := a(s)
		if st == punt {
			return nil, punt
		}
		y, st2 := b(s)
		if st = max(st, st2); st != done {
			return nil, st
		}
		return f(x, y)
	}
	if !expression.GivesNumber(name) {
		return computed
	}
	return func(s *scope) (any, status) { return s.checked(computed(s)) }
}

// fastLogic is && or ||: the absorbing value of either side wins over an error
// of the other.
func fastLogic(a, b node, absorbing bool) node {
	return func(s *scope) (any, status) {
		x, st := a(s)
		if st == punt {
			return nil, punt
		}
		left, st := boolean(x, st)
		if st == done && left == absorbing {
			return absorbing, done
		}
		y, st2 := b(s)
		if st2 == punt {
			return nil, punt
		}
		right, st2 := boolean(y, st2)
		if st2 == done && (right == absorbing || st == done) {
			return right, done
		}
		return nil, max(st, st2)
	}
}

// boolean is the value of an operand that has to be true or false.
func boolean(v any, st status) (bool, status) {
	b, ok := v.(bool)
	if st == done && !ok {
		st = failed
	}
	return b, st
}
