package expression

import (
	"math/big"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// rewrite turns integer literals into doubles, makes macros iterate over maps
// in the order of their keys, and collects the arguments of predicates.
func (c *Checked) rewrite(a *ast.AST) []Fault {
	var faults []Fault
	factory := ast.NewExprFactory()
	ids := ast.MaxID(a)
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.LiteralKind:
			switch v := x.AsLiteral().(type) {
			case types.Int:
				if v > maxExact || v < -maxExact {
					c.noteRounded(a, x.ID(), big.NewInt(int64(v)))
				}
				x.SetKindCase(factory.NewLiteral(x.ID(), types.Double(v)))
			case types.Uint:
				if v > maxExact {
					c.noteRounded(a, x.ID(), new(big.Int).SetUint64(uint64(v)))
				}
				x.SetKindCase(factory.NewLiteral(x.ID(), types.Double(v)))
			}
		case ast.ComprehensionKind:
			of := x.AsComprehension()
			ids++
			over := factory.NewCall(ids, OrderedFunction, of.IterRange())
			x.SetKindCase(factory.NewComprehensionTwoVar(x.ID(), over, of.IterVar(), of.IterVar2(), of.AccuVar(),
				of.AccuInit(), of.LoopCondition(), of.LoopStep(), of.Result()))
		case ast.CallKind:
			call := x.AsCall()
			if text := literalZoneFault(call); text != "" {
				faults = append(faults, faultAt(a, call.Args()[0].ID(), text))
			}
			if text, at := c.noteZone(call); text != "" {
				faults = append(faults, faultAt(a, at, text))
			}
			if text := c.noteAsk(call); text != "" {
				faults = append(faults, faultAt(a, x.ID(), text))
			}
		}
	}))
	return faults
}

// noteAsk notes a call of a predicate, or gives what is wrong with it.
func (c *Checked) noteAsk(call ast.CallExpr) string {
	predicate := c.env.predicate(call.FunctionName())
	if predicate == nil || call.IsMemberFunction() || len(call.Args()) != 1 {
		return ""
	}
	argument, ok := StringLiteral(call.Args()[0])
	if !ok {
		return predicate.Usage
	}
	if ask := (Ask{predicate.Name, argument}); !slices.Contains(c.Asks, ask) {
		c.Asks = append(c.Asks, ask)
	}
	return ""
}

// StringLiteral is the value of an expression that is a string literal.
func StringLiteral(x ast.Expr) (string, bool) {
	if x.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := x.AsLiteral().(types.String)
	return string(s), ok
}
