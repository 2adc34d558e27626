package devicefsm

import (
	"maps"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
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
	use := func(variable ast.Expr, name string) {
		if isMessage(variable) {
			known[variable] = true
			found.names[name] = true
		}
	}
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.SelectKind:
			use(x.AsSelect().Operand(), x.AsSelect().FieldName())
		case ast.CallKind:
			call := x.AsCall()
			if call.IsMemberFunction() || len(call.Args()) != 2 {
				return
			}
			switch name := call.FunctionName(); name {
			case operators.Index:
				if key, ok := literalText(call.Args()[1]); ok {
					use(call.Args()[0], key)
				}
			case operators.In:
				if key, ok := literalText(call.Args()[0]); ok {
					use(call.Args()[1], key)
				}
			}
		}
	}))
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(x ast.Expr) {
		if isMessage(x) && !known[x] {
			found.all = true
		}
	}))
	return found
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
