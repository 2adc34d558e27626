package devicefsm

import (
	"math/big"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// rewrite turns integer literals into doubles, makes macros iterate over maps
// in the order of their keys, and collects the arguments of stateIn.
func (e *expr) rewrite(a *ast.AST) []exprFault {
	var faults []exprFault
	factory := ast.NewExprFactory()
	ids := ast.MaxID(a)
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.LiteralKind:
			switch v := x.AsLiteral().(type) {
			case types.Int:
				e.noteRounded(a, x.ID(), big.NewInt(int64(v)))
				x.SetKindCase(factory.NewLiteral(x.ID(), types.Double(v)))
			case types.Uint:
				e.noteRounded(a, x.ID(), new(big.Int).SetUint64(uint64(v)))
				x.SetKindCase(factory.NewLiteral(x.ID(), types.Double(v)))
			}
		case ast.ComprehensionKind:
			c := x.AsComprehension()
			ids++
			over := factory.NewCall(ids, fnOrdered, c.IterRange())
			x.SetKindCase(factory.NewComprehensionTwoVar(x.ID(), over, c.IterVar(), c.IterVar2(), c.AccuVar(),
				c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()))
		case ast.CallKind:
			call := x.AsCall()
			if text := literalZoneFault(call); text != "" {
				loc := a.SourceInfo().GetStartLocation(call.Args()[0].ID())
				faults = append(faults, exprFault{loc.Line(), loc.Column(), text})
			}
			if call.FunctionName() != fnStateIn || call.IsMemberFunction() || len(call.Args()) != 1 {
				return
			}
			name, ok := literalText(call.Args()[0])
			if !ok {
				loc := a.SourceInfo().GetStartLocation(x.ID())
				faults = append(faults, exprFault{loc.Line(), loc.Column(), "stateIn takes the path of a state as a string literal, such as stateIn('connector.charging')"})
				return
			}
			if e.state(name) == nil {
				e.states = append(e.states, &stateRef{name: name, index: -1})
			}
		}
	}))
	return faults
}

// noteRounded notes an integer literal that a number does not hold; see Check.
func (e *expr) noteRounded(a *ast.AST, id int64, i *big.Int) {
	if text := roundedText(i); text != "" {
		loc := a.SourceInfo().GetStartLocation(id)
		e.rounded = append(e.rounded, exprFault{loc.Line(), loc.Column(), text})
	}
}

func literalText(x ast.Expr) (string, bool) {
	if x.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := x.AsLiteral().(types.String)
	return string(s), ok
}

func (e *expr) state(name string) *stateRef {
	for _, s := range e.states {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (e *expr) readsOf(x ast.Expr) map[string]bool {
	reads := map[string]bool{}
	ast.PostOrderVisit(x, ast.NewExprVisitor(func(x ast.Expr) {
		switch {
		case x.Kind() == ast.IdentKind && slices.Contains(variables[e.place], x.AsIdent()):
			reads[x.AsIdent()] = true
		case x.Kind() == ast.CallKind && x.AsCall().FunctionName() == fnStateIn:
			reads[fnStateIn] = true
		}
	}))
	return reads
}

// readsField reports whether a variable is read other than by fields of other
// names.
func readsField(x ast.Expr, variable, field string) bool {
	all, others := 0, 0
	isVariable := func(x ast.Expr) bool { return x.Kind() == ast.IdentKind && x.AsIdent() == variable }
	ast.PostOrderVisit(x, ast.NewExprVisitor(func(x ast.Expr) {
		switch {
		case isVariable(x):
			all++
		case x.Kind() == ast.SelectKind && isVariable(x.AsSelect().Operand()) && x.AsSelect().FieldName() != field:
			others++
		}
	}))
	return all > others
}

func conjunctsOf(x ast.Expr) []ast.Expr {
	if x.Kind() == ast.CallKind && x.AsCall().FunctionName() == operators.LogicalAnd {
		var parts []ast.Expr
		for _, arg := range x.AsCall().Args() {
			parts = append(parts, conjunctsOf(arg)...)
		}
		return parts
	}
	return []ast.Expr{x}
}
