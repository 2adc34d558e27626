package devicefsm

import (
	"maps"
	"slices"
	"strings"

	"devicetwin/source"
)

// expression compiles the expression at a node, or notes its faults there. Equal
// expressions at the same kind of place are compiled once.
func (l *loader) expression(n source.Node, at place) *expr {
	text, ok := n.Expression()
	if !ok {
		return nil
	}
	key := exprKey{at, text}
	c := l.exprs[key]
	if c == nil {
		c = &compiled{}
		c.expr, c.faults = compileExpr(at, text)
		l.exprs[key] = c
	}
	for _, f := range c.faults {
		n.FaultInside(f.Offset(text), f.Hint, "expression: %s", f.Message)
	}
	if c.expr == nil {
		return nil
	}
	l.refs = append(l.refs, exprRef{c.expr, n})
	return c.expr
}

// condition is an expression that evaluates to true or false.
func (l *loader) condition(n source.Node, at place) *expr {
	e := l.expression(n, at)
	if e != nil && !e.bool {
		n.Faultf("expression: %q does not evaluate to true or false", e.source)
		return nil
	}
	return e
}

// template is a JSON value whose strings are expressions.
func (l *loader) template(n source.Node) *template {
	switch {
	case !n.Exists() || n.IsNull():
		return &template{}
	case n.IsString():
		return &template{expr: l.expression(n, placeChart)}
	case n.IsList():
		t := &template{list: []*template{}}
		for _, e := range n.List() {
			t.list = append(t.list, l.template(e))
		}
		return t
	case n.IsMap():
		return l.objectTemplate(n)
	}
	return &template{value: n.Any()}
}

// objectTemplate is a template that gives a JSON object: a mapping of
// expressions, or one expression that gives a mapping. Absent is nil.
func (l *loader) objectTemplate(n source.Node) *template {
	switch {
	case !n.Exists() || n.IsNull():
		return nil
	case n.IsString():
		return l.template(n)
	case !n.IsMap():
		n.Faultf("expected a mapping of expressions, found %s", n.Kind())
		return nil
	}
	t := &template{isMap: true}
	for _, e := range n.Entries() {
		t.keys = append(t.keys, e.Key)
		t.of = append(t.of, l.template(e.Value))
	}
	return t
}

// resolveStateIn finds the states that stateIn('…') names.
func (l *loader) resolveStateIn() {
	for _, ref := range l.refs {
		for _, s := range ref.expr.states {
			found := l.m.byPath[canonicalPath(s.name)]
			if id, ok := strings.CutPrefix(s.name, "#"); ok {
				found = l.ids[id]
			}
			if found == nil {
				hint := source.DidYouMean(s.name, slices.Sorted(maps.Keys(l.m.byPath)))
				ref.node.FaultHint(hint, "stateIn: unknown state %q; expected a path from the root such as 'a.b', or '#id'", s.name)
				continue
			}
			s.index = found.index
		}
	}
}
