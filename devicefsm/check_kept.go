package devicefsm

import (
	"fmt"
	"math"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"devicetwin/devicefsm/pattern"
	"devicetwin/internal/expression"
	"devicetwin/source"
)

// keptOf is how many events of a step are kept, and why not more.
type keptOf struct {
	step    string
	taken   int // that the step takes at most; pattern.Unbounded
	maxKept int // of the pattern
}

// fewest is the bound that counts.
func (k *keptOf) fewest() int {
	if k.taken == pattern.Unbounded {
		return k.maxKept
	}
	return min(k.maxKept, k.taken)
}

// reason says which bound it is, and what would lift it.
func (k *keptOf) reason() (why, hint string) {
	if k.taken != pattern.Unbounded && k.taken <= k.maxKept {
		return fmt.Sprintf("step %q takes at most %s", k.step, events(k.taken)), ""
	}
	return fmt.Sprintf("of step %q at most %s are kept", k.step, events(k.maxKept)), "max_kept, up to " + fmt.Sprint(maxKeptEvents)
}

func events(n int) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}

// keptInChart looks at the expressions of the chart. A step of their name may be one
// of several patterns: it takes the largest bound.
func (c *checker) keptInChart() {
	for _, ref := range c.refs {
		if ref.expr.place != placeChart || !ref.expr.readsMatch {
			continue
		}
		c.keptIn(ref.node, ref.expr, func(step string) *keptOf {
			var most *keptOf
			for _, p := range c.m.patterns {
				if k := p.keptOf(step); k != nil && (most == nil || k.fewest() > most.fewest()) {
					most = k
				}
			}
			return most
		})
	}
}

// keptOf is nil for what is not a step that takes events.
func (p *patternRule) keptOf(step string) *keptOf {
	i := slices.IndexFunc(p.steps, func(s *patternStep) bool { return s.name == step })
	if i < 0 || p.steps[i].takes == 0 {
		return nil
	}
	return &keptOf{step: step, taken: p.steps[i].takes, maxKept: p.maxKept}
}

// keptIn finds comparisons of the number of matched events that the bounds of their
// pattern decide.
func (c *checker) keptIn(n source.Node, e *expr, bound func(step string) *keptOf) {
	of := func(x ast.Expr) *keptOf {
		if step, ok := stepOf(x); ok {
			return bound(step)
		}
		return nil
	}
	ast.PostOrderVisit(e.root, ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() != ast.CallKind || len(x.AsCall().Args()) != 2 {
			return
		}
		call := x.AsCall()
		name, a, b := call.FunctionName(), call.Args()[0], call.Args()[1]
		if name == operators.Index {
			if i, ok := literalNumber(b); ok {
				if k := of(a); k != nil && i >= float64(k.fewest()) {
					why, hint := k.reason()
					n.FaultHint(hint, "%s[%s] never exists: %s", sourcePath(a), expression.NumberText(i), why)
				}
			}
			return
		}
		if number, ok := literalNumber(a); ok { // 10 <= size(…)
			c.compared(n, turned[name], b, number, of)
		} else if number, ok := literalNumber(b); ok {
			c.compared(n, name, a, number, of)
		}
	}))
}

// turned is the comparison with its sides exchanged.
var turned = map[string]string{
	operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals, operators.Greater: operators.Less,
	operators.GreaterEquals: operators.LessEquals, operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals,
}

// compared looks at a comparison of a size with a number.
func (c *checker) compared(n source.Node, name string, size ast.Expr, number float64, of func(ast.Expr) *keptOf) {
	list, ok := sizeArgument(size)
	if !ok {
		return
	}
	k := of(filtered(list))
	if k == nil || turned[name] == "" {
		return
	}
	most := k.fewest()
	always, never := truths(name, number, most)
	text := fmt.Sprintf("%s %s %s", sizeText(list), symbols[name], expression.NumberText(number))
	why, hint := k.reason()
	switch {
	case never:
		n.FaultHint(hint, "%s is never true: %s", text, why)
	case always && k.taken != most:
		// With more events it could be false: that is why it was written.
		if without, _ := truths(name, number, math.MaxInt16); !without {
			n.FaultHint(hint, "%s is always true: %s", text, why)
		}
	}
}

var symbols = map[string]string{
	operators.Less: "<", operators.LessEquals: "<=", operators.Greater: ">",
	operators.GreaterEquals: ">=", operators.Equals: "==", operators.NotEquals: "!=",
}

func sizeText(list ast.Expr) string {
	if path := sourcePath(list); path != unnamedValue {
		return "size(" + path + ")"
	}
	return "size(" + sourcePath(filtered(list)) + "…)"
}

// truths is whether a comparison is true, or false, of all numbers from 0 to most.
func truths(name string, with float64, most int) (always, never bool) {
	always, never = true, true
	for i := range most + 1 {
		n, holds := float64(i), false
		switch name {
		case operators.Less:
			holds = n < with
		case operators.LessEquals:
			holds = n <= with
		case operators.Greater:
			holds = n > with
		case operators.GreaterEquals:
			holds = n >= with
		case operators.Equals:
			holds = n == with
		case operators.NotEquals:
			holds = n != with
		}
		always, never = always && holds, never && !holds
	}
	return always, never
}

// filtered is the list that filter and map go over, which has as many elements or more.
func filtered(x ast.Expr) ast.Expr {
	for x.Kind() == ast.ComprehensionKind && x.AsComprehension().AccuInit().Kind() == ast.ListKind {
		x = x.AsComprehension().IterRange()
		if x.Kind() == ast.CallKind && x.AsCall().FunctionName() == expression.OrderedFunction {
			x = x.AsCall().Args()[0]
		}
	}
	return x
}

// stepOf is the step in matched.step or event.matched.step.
func stepOf(x ast.Expr) (step string, ok bool) {
	of, name, asked, ok := memberOf(x)
	if !ok || asked {
		return "", false
	}
	if path := sourcePath(of); path != "matched" && path != "event.matched" && path != `event["matched"]` {
		return "", false
	}
	return name, true
}
