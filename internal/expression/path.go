package expression

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// Path is what an expression reads that does nothing but read a member, such as
// payload.dev.eui and payload["dev"].eui: the variable, and the names that lead to it. An
// expression that is a variable has no names. It is false for any other.
//
// So whoever has the values can look it up without an evaluation. Where each name leads to
// a member of an object, the result is the same.
func (c *Checked) Path() (variable string, names []string, ok bool) {
	return c.pathOf(c.AST().Expr())
}

// pathOf is Path of a part.
func (c *Checked) pathOf(x ast.Expr) (variable string, names []string, ok bool) {
	for {
		switch x.Kind() {
		case ast.IdentKind:
			slices.Reverse(names)
			variable = x.AsIdent()
			return variable, names, slices.Contains(c.env.variables, variable)
		case ast.SelectKind, ast.CallKind:
			name := ""
			if x, name, ok = member(x); !ok {
				return "", nil, false
			}
			names = append(names, name)
		default:
			return "", nil, false
		}
	}
}

// member is what v.name or v["name"] reads: v, and the name.
func member(x ast.Expr) (of ast.Expr, name string, ok bool) {
	if x.Kind() == ast.SelectKind {
		s := x.AsSelect()
		return s.Operand(), s.FieldName(), !s.IsTestOnly()
	}
	call := x.AsCall()
	if call.FunctionName() != operators.Index || len(call.Args()) != 2 || call.Args()[1].Kind() != ast.LiteralKind {
		return nil, "", false
	}
	text, ok := call.Args()[1].AsLiteral().(types.String)
	return call.Args()[0], string(text), ok
}

// False reports whether the expression is written as false.
func (c *Checked) False() bool {
	x := c.AST().Expr()
	return x.Kind() == ast.LiteralKind && x.AsLiteral() == types.False
}

// Binds reports whether a macro in the expression has a variable of that name, as in
// list.map(name, name.x): what reads it there does not read the variable of the environment.
func (c *Checked) Binds(variable string) (binds bool) {
	ast.PostOrderVisit(c.AST().Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() == ast.ComprehensionKind {
			of := x.AsComprehension()
			binds = binds || of.IterVar() == variable || of.IterVar2() == variable
		}
	}))
	return binds
}

// Members are the names of members of a variable that the expression reads or asks for, as far
// as they are written in it: each once, sorted. All says that it reads nothing else of the
// variable, so that its result is the same where that has no other members.
//
// A variable of a macro that has the same name counts as that one.
func (c *Checked) Members(variable string) (names []string, all bool) {
	is := func(x ast.Expr) bool { return x.Kind() == ast.IdentKind && x.AsIdent() == variable }
	bare := 0 // what reads the variable, less what reads a member of it
	ast.PostOrderVisit(c.AST().Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.IdentKind:
			if is(x) {
				bare++
			}
		case ast.SelectKind:
			if s := x.AsSelect(); is(s.Operand()) {
				names = append(names, s.FieldName())
				bare--
			}
		case ast.CallKind:
			if of, name, ok := member(x); ok && is(of) {
				names = append(names, name)
				bare--
			}
		}
	}))
	slices.Sort(names)
	return slices.Compact(names), bare == 0
}
