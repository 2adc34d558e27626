package devicefsm

import (
	"maps"
	"slices"

	"cel.dev/cel-go/common/ast"

	"devicetwin/source"
)

// conditionKeys hold expressions that decide something, by their place.
var conditionKeys = map[string]place{"guard": placeChart, "if": placeChart, "when": placeMessage, "where": placePattern}

// constants finds conditions that always hold, or never.
func (c *checker) constants() { c.conditions(c.root, "") }

func (c *checker) conditions(n source.Node, key string) {
	switch {
	case n.IsList():
		for _, e := range n.List() {
			c.conditions(e, key)
		}
	case n.IsMap():
		for _, e := range n.Entries() {
			switch {
			case plainKeys[e.Key] && !orderedKeys[key]:
				continue // values of the author's own
			case orderedKeys[key] || e.Value.IsMap() || e.Value.IsList():
				c.conditions(e.Value, inside(key, e.Key))
				continue
			}
			if at, ok := conditionKeys[e.Key]; ok {
				c.constant(e.Value, e.Key, at)
			}
		}
	}
}

// inside is the key that decides what the keys of a value mean: those below
// states, on and their like are names of the author's own.
func inside(key, child string) string {
	if orderedKeys[key] {
		return ""
	}
	return child
}

func (c *checker) constant(n source.Node, key string, at place) {
	e := c.expressionAt(n, at)
	switch {
	case c.isTrue(e):
		n.Faultf("%s %q is always true", key, e.source)
	case c.isFalse(e):
		n.Faultf("%s %q is always false", key, e.source)
	}
}

// expressionAt is the compiled expression at a node.
func (c *checker) expressionAt(n source.Node, at place) *expr {
	found := c.exprs[exprKey{at, n.Scalar()}]
	if found == nil {
		return nil
	}
	return found.expr
}

func (c *checker) isTrue(e *expr) bool  { return isConstant(e) && e.holds(&scope{}) }
func (c *checker) isFalse(e *expr) bool { return isConstant(e) && !e.holds(&scope{}) }

func isConstant(e *expr) bool { return e != nil && len(e.reads) == 0 }

// contextReads finds keys of the context that are read and never set.
func (c *checker) contextReads() {
	set := maps.Clone(c.m.context)
	if set == nil {
		set = map[string]any{}
	}
	known := true
	c.eachBlock(func(a action) {
		assign, ok := a.(assignAction)
		if !ok || assign.values == nil {
			return
		}
		if !assign.values.isMap {
			known = false // an expression gives the keys
		}
		for _, k := range assign.values.keys {
			set[k] = nil
		}
	})
	if !known {
		return
	}
	for _, r := range c.refs {
		for _, k := range contextKeys(r.expr) {
			if _, ok := set[k]; !ok {
				hint := source.DidYouMean(k, slices.Sorted(maps.Keys(set)))
				if hint == "" {
					hint = "give it an initial value: context: {" + k + ": null}"
				}
				r.node.FaultHint(hint, "context.%s is read but never set", k)
			}
		}
	}
}

// contextKeys are the keys of the context that an expression reads by name,
// without asking has() first.
func contextKeys(e *expr) []string {
	if !e.reads["context"] {
		return nil
	}
	written, err := e.checked.Written()
	if err != nil {
		return nil
	}
	keys, asked := map[string]bool{}, map[string]bool{}
	ast.PostOrderVisit(written.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() != ast.SelectKind {
			return
		}
		s := x.AsSelect()
		if of := s.Operand(); of.Kind() != ast.IdentKind || of.AsIdent() != "context" {
			return
		}
		if s.IsTestOnly() {
			asked[s.FieldName()] = true
		} else {
			keys[s.FieldName()] = true
		}
	}))
	maps.DeleteFunc(keys, func(k string, _ bool) bool { return asked[k] })
	return slices.Sorted(maps.Keys(keys))
}

// eachBlock calls f for every action of the chart.
func (c *checker) eachBlock(f func(action)) {
	var walk func([]action)
	walk = func(actions []action) {
		for _, a := range actions {
			f(a)
			if x, ok := a.(ifAction); ok {
				walk(x.yes)
				walk(x.no)
			}
		}
	}
	for _, s := range c.m.states {
		walk(s.entry)
		walk(s.exit)
		if s.initial != nil {
			walk(s.initial.actions)
		}
		for _, t := range s.allTransitions() {
			walk(t.actions)
		}
	}
}
