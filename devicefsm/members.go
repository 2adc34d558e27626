package devicefsm

import (
	"maps"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"devicetwin/internal/expression"
)

// members are the members of the message that an expression reads, of the variables
// msg and event; all says that it may read any.
type members struct {
	names map[string]bool
	all   bool
}

// membersOf finds out what an expression reads of the message. A variable that is used
// in any way but event.name, has(event.name), event['name'] or 'name' in event may
// be read as a whole.
func membersOf(root ast.Expr) members {
	found := members{names: map[string]bool{}}
	known := map[ast.Expr]bool{} // uses of a variable of which the member is known
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(x ast.Expr) {
		if variable, name, _, ok := memberOf(x); ok && isMessage(variable) {
			known[variable] = true
			found.names[name] = true
		}
	}))
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(x ast.Expr) {
		if isMessage(x) && !known[x] {
			found.all = true
		}
	}))
	return found
}

// memberOf is the member that an expression reads of another one by its name: a in x.a and
// x['a'], and, asked only whether it is there, in has(x.a) and 'a' in x.
func memberOf(x ast.Expr) (of ast.Expr, name string, asked, ok bool) {
	switch x.Kind() {
	case ast.SelectKind:
		sel := x.AsSelect()
		return sel.Operand(), sel.FieldName(), sel.IsTestOnly(), true
	case ast.CallKind:
		call := x.AsCall()
		if call.IsMemberFunction() || len(call.Args()) != 2 {
			break
		}
		switch a, b := call.Args()[0], call.Args()[1]; call.FunctionName() {
		case operators.Index:
			name, ok = expression.StringLiteral(b)
			return a, name, false, ok
		case operators.In:
			name, ok = expression.StringLiteral(a)
			return b, name, true, ok
		}
	}
	return nil, "", false, false
}

func isMessage(x ast.Expr) bool {
	return x.Kind() == ast.IdentKind && (x.AsIdent() == "event" || x.AsIdent() == "msg")
}

// Reads are the members of a message's data that decide whether it is an event and
// which, whether it is Relevant, and its Class: what Pass and MayLeaveOut look at. With
// these members alone they decide as with all of them. All says that it may be any
// member. Messages on ChannelStatus and ChannelAck are always relevant, and are not
// looked at here.
func (m *Model) Reads() (names []string, all bool) {
	reads := members{names: map[string]bool{}}
	for i := range m.rules {
		if when := m.rules[i].when; when != nil {
			reads.add(when.members)
		}
	}
	for _, p := range m.patterns {
		for i := range p.steps {
			reads.addGuard(p.steps[i].where)
		}
	}
	for _, w := range m.windows {
		reads.addGuard(w.where)
	}
	if m.process != nil {
		reads.addGuard(m.process.where)
	}
	for _, s := range m.states {
		for _, t := range slices.Concat(s.on, s.always) {
			reads.addGuard(t.guard)
		}
	}
	return slices.Sorted(maps.Keys(reads.names)), reads.all
}

func (r *members) add(of members) {
	r.all = r.all || of.all
	maps.Copy(r.names, of.names)
}

// addGuard adds what is looked at of a guard: all of it if it reads only the event,
// else the parts that do.
func (r *members) addGuard(guard *expr) {
	switch {
	case guard == nil:
	case guard.readsOnly("event"):
		r.add(guard.members)
	default:
		for _, c := range guard.conjuncts {
			if c.fast != nil && readsOnly(c.reads, "event") {
				r.add(c.members)
			}
		}
	}
}
