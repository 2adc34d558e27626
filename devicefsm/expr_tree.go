package devicefsm

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

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
