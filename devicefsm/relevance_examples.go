package devicefsm

import (
	"maps"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"devicetwin/device"
	"devicetwin/internal/expression"
)

// maxExamples bounds the messages that are tried for one event.
const maxExamples = 20_000

// mention is a field that conditions read, and the values around which their
// truth may change.
type mention struct {
	path   []string
	values []any
}

// examples are messages of an event around the values that its conditions and
// the rules of its channel mention: without each field, and below, at and above
// each number.
func (m *Model) examples(ec *eventClasses) []map[string]any {
	var fields []mention
	for _, c := range ec.conditions {
		fields = mentions(fields, c.of, "event")
	}
	rules := m.rulesOf(ec.name)
	for _, r := range m.rules {
		if r.when != nil && slices.ContainsFunc(rules, func(own rule) bool { return own.channel == r.channel }) {
			fields = mentions(fields, r.when, "msg")
		}
	}
	var list []map[string]any
	at := make([]int, len(fields)) // the value of each field; 0 for none
	for range maxExamples {
		data := map[string]any{}
		for i, f := range fields {
			if at[i] > 0 {
				set(data, f.path, f.values[at[i]-1])
			}
		}
		if len(rules) == 0 || slices.ContainsFunc(rules, func(r rule) bool {
			name, ok := m.Classify(device.Message{Channel: r.channel, Name: r.name, Data: data})
			return ok && name == ec.name
		}) {
			list = append(list, data)
		}
		if !next(at, fields) {
			break
		}
	}
	return list
}

// next counts on, the first field fastest.
func next(at []int, fields []mention) bool {
	for i := range at {
		if at[i]++; at[i] <= len(fields[i].values) {
			return true
		}
		at[i] = 0
	}
	return false
}

func set(data map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		inner, ok := data[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			data[key] = inner
		}
		data = inner
	}
	data[path[len(path)-1]] = value
}

// mentions adds the fields of a variable that an expression reads, with its
// literals: which is compared with which is not asked.
func mentions(fields []mention, e *expr, variable string) []mention {
	written, err := e.checked.Written()
	if err != nil {
		return fields
	}
	var paths [][]string
	values := map[any]bool{}
	ast.PostOrderVisit(written.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if path := pathOf(x, variable); len(path) > 0 {
			// The operand was visited before: a longer path takes its place.
			paths = slices.DeleteFunc(paths, func(p []string) bool { return slices.Equal(p, path[:len(path)-1]) })
			paths = append(paths, path)
		}
		if x.Kind() == ast.LiteralKind {
			around(values, x.AsLiteral())
		}
	}))
	if values[true] = true; len(values) == 1 {
		values[1.0], values["text"] = true, true
	}
	for _, path := range paths {
		i := slices.IndexFunc(fields, func(f mention) bool { return slices.Equal(f.path, path) })
		if i < 0 {
			i = len(fields)
			fields = append(fields, mention{path: path})
		}
		fields[i].values = withValues(fields[i].values, values)
	}
	return fields
}

// around adds a literal and its neighbours.
func around(values map[any]bool, literal any) {
	switch v := literal.(type) {
	case types.Int:
		around(values, types.Double(v))
	case types.Uint:
		around(values, types.Double(v))
	case types.Double:
		values[float64(v)-1], values[float64(v)], values[float64(v)+1] = true, true, true
	case types.String:
		values[string(v)], values[string(v)+"-"] = true, true
	case types.Bool:
		values[true], values[false] = true, true
	}
}

func withValues(list []any, values map[any]bool) []any {
	all := maps.Clone(values)
	for _, v := range list {
		all[v] = true
	}
	return slices.SortedFunc(maps.Keys(all), compareValues)
}

// compareValues orders false, true, numbers, strings.
func compareValues(a, b any) int {
	rank := func(v any) (int, float64, string) {
		switch x := v.(type) {
		case bool:
			if x {
				return 0, 1, ""
			}
			return 0, 0, ""
		case float64:
			return 1, x, ""
		case string:
			return 2, 0, x
		}
		return 3, 0, ""
	}
	ra, na, ta := rank(a)
	rb, nb, tb := rank(b)
	switch {
	case ra != rb:
		return ra - rb
	case na != nb:
		return map[bool]int{true: -1, false: 1}[na < nb]
	case ta < tb:
		return -1
	case ta > tb:
		return 1
	}
	return 0
}

// pathOf is the path of event.a.b or event['a'].b below a variable.
func pathOf(x ast.Expr, variable string) []string {
	var of ast.Expr
	key := ""
	switch x.Kind() {
	case ast.SelectKind:
		of, key = x.AsSelect().Operand(), x.AsSelect().FieldName()
	case ast.CallKind:
		call := x.AsCall()
		if call.FunctionName() != operators.Index || len(call.Args()) != 2 {
			return nil
		}
		text, ok := expression.StringLiteral(call.Args()[1])
		if !ok {
			return nil
		}
		of, key = call.Args()[0], text
	default:
		return nil
	}
	if of.Kind() == ast.IdentKind && of.AsIdent() == variable {
		return []string{key}
	}
	if path := pathOf(of, variable); path != nil {
		return append(path, key)
	}
	return nil
}

// ExampleMessages are messages around the values that the rules and the conditions of the
// model mention, of every event that its rules make; at most so many of each rule. They
// serve to compare what models do with messages.
func (m *Model) ExampleMessages(most int) []device.Message {
	var list []device.Message
	for _, ec := range m.classes.events {
		rules := m.rulesOf(ec.name)
		if len(rules) == 0 {
			continue
		}
		examples := m.examples(ec)
		for _, r := range rules {
			for _, data := range examples[:min(most, len(examples))] {
				list = append(list, device.Message{Channel: r.channel, Name: r.name, Data: data})
			}
		}
	}
	return list
}
