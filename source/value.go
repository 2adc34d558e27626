package source

import (
	"math"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// String is a string; anything else is a fault.
func (n Node) String() string {
	switch v := n.node.(type) {
	case *ast.StringNode:
		return v.Value
	case *ast.LiteralNode:
		return v.Value.Value
	}
	n.expected("a string")
	return ""
}

// Scalar is a string, number or boolean as it is written; anything else is a
// fault.
func (n Node) Scalar() string {
	switch v := n.node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return n.String()
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return v.GetToken().Value
	}
	n.expected("a string, a number, true or false")
	return ""
}

// Expression is the text of an expression: a string, or a number or a boolean, which is one
// too. Not ok: it is anything else, which is a fault.
func (n Node) Expression() (text string, ok bool) {
	if !n.IsString() && n.Kind() != "a number" && n.Kind() != "true or false" {
		n.Faultf("expected an expression, found %s", n.Kind())
		return "", false
	}
	return n.Scalar(), true
}

// Float is a finite number; anything else is a fault.
func (n Node) Float() float64 {
	switch v := n.node.(type) {
	case *ast.IntegerNode:
		switch i := v.Value.(type) {
		case int64:
			return float64(i)
		case uint64:
			return float64(i)
		}
	case *ast.FloatNode:
		if !math.IsInf(v.Value, 0) && !math.IsNaN(v.Value) {
			return v.Value
		}
	}
	n.expected("a number")
	return 0
}

// Int is an integer from low to high; anything else is a fault, and reads as low.
func (n Node) Int(low, high int64) int64 {
	v, ok := n.node.(*ast.IntegerNode)
	if !ok {
		n.expected("an integer")
		return low
	}
	var i int64
	switch x := v.Value.(type) {
	case int64:
		i = x
	case uint64:
		i = int64(min(x, math.MaxInt64))
	}
	if i < low || i > high {
		n.Faultf("expected an integer from %d to %d, found %s", low, high, v.GetToken().Value)
		return low
	}
	return i
}

// Bool is true or false; anything else is a fault.
func (n Node) Bool() bool {
	v, ok := n.node.(*ast.BoolNode)
	if !ok {
		n.expected("true or false")
		return false
	}
	return v.Value
}

// Duration is a duration such as 90s, 5m, 1h30m or 30d; see ParseDuration.
// Anything else is a fault.
func (n Node) Duration() time.Duration {
	if n.node == nil {
		return 0
	}
	text := n.Scalar()
	d, err := ParseDuration(text)
	if err != nil && text != "" {
		n.Faultf("expected a duration such as 90s, 5m, 36h or 30d, found %q", text)
	}
	return d
}

// Any is the value as JSON would hold it: nil, bool, float64, string, []any or
// map[string]any.
func (n Node) Any() any {
	switch v := n.node.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.BoolNode:
		return v.Value
	case *ast.IntegerNode, *ast.FloatNode:
		return n.Float()
	case *ast.SequenceNode:
		list := make([]any, 0, len(v.Values))
		for _, e := range n.List() {
			list = append(list, e.Any())
		}
		return list
	case *ast.MappingNode, *ast.MappingValueNode:
		m := map[string]any{}
		for _, e := range n.Entries() {
			m[e.Key] = e.Value.Any()
		}
		return m
	}
	return n.String()
}
