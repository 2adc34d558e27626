package devicefsm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"devicetwin/device"
	"devicetwin/internal/expression"
	"devicetwin/internal/text"
)

// Explain is why a message that is not Relevant, or that Pass left out, had no
// effect, if that may not be what was meant: a `when` (see WhenFaults), a guard or a `where` that
// reads only the message failed on it, or it is an event that the model does not
// know. The faults have neither At nor Topic, which are the message's. There are
// none if the model understood the message, and has no use for it.
func (m *Model) Explain(msg device.Message) []device.Fault {
	if msg.Channel == device.ChannelSystem || msg.Channel == device.ChannelTwin {
		return nil
	}
	if f, unknown := m.UnknownEvent(msg); unknown {
		return []device.Fault{f}
	}
	list := m.WhenFaults(msg)
	if name, ok := m.Classify(msg); ok {
		list = append(list, m.guardFaults(name, msg.Data)...)
	}
	faults := make([]device.Fault, len(list))
	for i, text := range list {
		faults[i] = device.Fault{Reason: device.FaultExpression, Detail: text, Value: jsonText(msg.Data)}
	}
	return faults
}

// UnknownEvent is the fault of a message that is an event which the model does not
// know. Like those of Explain it has neither At nor Topic.
func (m *Model) UnknownEvent(msg device.Message) (f device.Fault, unknown bool) {
	if msg.Channel != device.ChannelEvents || m.asksFor(msg) {
		return device.Fault{}, false
	}
	name, ok := m.Classify(msg)
	if !ok || m.Knows(name) {
		return device.Fault{}, false
	}
	return device.Fault{
		Reason: device.FaultUnknownEvent, Detail: fmt.Sprintf("model %s does not know the event %q", m.name, clip(name)), Value: jsonText(msg.Data),
	}, true
}

// asksFor reports whether a rule is for messages of this name, whatever its `when`.
func (m *Model) asksFor(msg device.Message) bool {
	return slices.ContainsFunc(m.rules, func(r rule) bool { return r.channel == msg.Channel && r.name == msg.Name })
}

// Knows reports whether an event can matter to the model: one of its rules,
// transitions or patterns is for it.
func (m *Model) Knows(event string) bool {
	return m.Takes(event) || slices.ContainsFunc(m.patterns, func(p *patternRule) bool { return p.matcher.Breakable() })
}

// Names reports whether a rule, a transition or a pattern is for exactly this event,
// and not for every one or every one of a kind.
func (m *Model) Names(event string) bool {
	return slices.ContainsFunc(m.rules, func(r rule) bool { return r.event == event }) ||
		slices.ContainsFunc(m.descriptors(), func(d descriptor) bool { return !d.wild && d.name == event })
}

// WhenFaults are the `when` that failed on a message, up to the one that holds: the
// message may have become no event, or another one than was meant. A message without
// the key that a `when` reads is not that event, which is not a fault: devices send
// several kinds of telemetry on one topic.
func (m *Model) WhenFaults(msg device.Message) []string {
	var list []string
	for i := range m.rules {
		r := &m.rules[i]
		if r.channel != msg.Channel || r.name != "" && r.name != msg.Name {
			continue
		}
		if r.when == nil {
			break
		}
		s := &scope{msg: msg.Data, edition: m.edition}
		holds, err := r.when.test(s)
		if err != nil && !r.when.lacks(s) {
			list = append(list, fmt.Sprintf("when %q of event %q: %v", r.when.source, r.event, err))
		}
		if holds {
			break
		}
	}
	return list
}

// guardFaults are the conditions on nothing but the event that failed, in any
// state.
func (m *Model) guardFaults(name string, data map[string]any) []string {
	var list []string
	try := func(e *expr, format string, of string) {
		if e == nil || !e.readsOnly("event") || len(list) >= maxFaults {
			return
		}
		if _, err := e.test(&scope{event: data, edition: m.edition}); err != nil {
			list = append(list, fmt.Sprintf(format, e.source, of, err))
		}
	}
	for _, p := range m.patterns {
		for i := range p.steps {
			if p.steps[i].event.matches(name) {
				try(p.steps[i].where, "where %q of pattern %q: %v", p.name)
			}
		}
	}
	for _, w := range m.windows {
		if w.event.matches(name) {
			try(w.where, "where %q of window %q: %v", w.name)
		}
	}
	if p := m.process; p.takes(name) {
		try(p.where, "where %q of process%s: %v", "")
	}
	for _, s := range m.states {
		for _, t := range s.on {
			if t.event.matches(name) {
				try(t.guard, "guard %q of state %q: %v", s.path)
			}
		}
	}
	return list
}

// explained is an error of an expression in the words of whoever sends the
// values: what was found, and what was expected.
func (e *expr) explained(s *scope, err error) error {
	if text := e.cause(e.root, s); text != "" {
		return errors.New(text)
	}
	return err
}

// notBool is the error of a condition that is something else.
func (e *expr) notBool(s *scope) error {
	if e.fast == nil {
		return errNotBool
	}
	v, st := e.fast(s)
	if st != done {
		return errNotBool
	}
	return fmt.Errorf("%w: %s", errNotBool, foundValue(e.root, v))
}

// cause finds the part of an expression that fails, inner ones first, and says why;
// "" if it cannot.
func (e *expr) cause(x ast.Expr, s *scope) string {
	n := e.compileFast(x)
	if n == nil {
		return ""
	}
	if _, st := n(s); st != failed && st != absent {
		return ""
	}
	switch x.Kind() {
	case ast.SelectKind:
		return e.causeOfSelect(x.AsSelect(), s)
	case ast.CallKind:
		return e.causeOfCall(x.AsCall(), s)
	}
	return ""
}

func (e *expr) causeOfSelect(sel ast.SelectExpr, s *scope) string {
	if text := e.cause(sel.Operand(), s); text != "" {
		return text
	}
	v, _ := e.compileFast(sel.Operand())(s)
	if _, ok := v.(map[string]any); ok {
		return "no such key: " + sel.FieldName()
	}
	return foundValue(sel.Operand(), v) + ", expected an object"
}

func (e *expr) causeOfCall(call ast.CallExpr, s *scope) string {
	args := call.Args()
	if expression.IsZoned(call.FunctionName()) {
		return "" // cel-go says which zone is not known
	}
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	values := make([]any, len(args))
	for i, a := range args {
		if text := e.cause(a, s); text != "" {
			return text
		}
		var st status
		if values[i], st = e.compileFast(a)(s); st == failed {
			return "" // for a reason that cel-go knows
		}
	}
	expected, fits := "", func(any) bool { return false }
	switch call.FunctionName() {
	case operators.Index:
		if _, object := values[0].(map[string]any); object && isNumber(values[1]) {
			return "no such key: " + expression.NumberText(values[1].(float64))
		}
		return ""
	case operators.LogicalNot, operators.LogicalAnd, operators.LogicalOr, operators.Conditional:
		expected, fits = "true or false", func(v any) bool { _, ok := v.(bool); return ok }
		args = args[:min(len(args), 2)]
		if call.FunctionName() == operators.Conditional {
			args = args[:1]
		}
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, operators.Add:
		expected, fits = likeTheOther(args, values)
	case operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate:
		expected, fits = "a number", isNumber
	case overloads.Size:
		expected = "a string, an array or an object"
	default:
		return ""
	}
	for i, a := range args {
		if !fits(values[i]) {
			return foundValue(a, values[i]) + ", expected " + expected
		}
	}
	return notFiniteCause(call.FunctionName(), args, values)
}

// notFiniteCause says why the result of arithmetic on numbers is not one.
func notFiniteCause(function string, args []ast.Expr, values []any) string {
	switch {
	case function == operators.Negate || slices.ContainsFunc(values, func(v any) bool { return !isNumber(v) }):
		return ""
	case (function == operators.Divide || function == operators.Modulo) && values[1] == 0.0:
		if by := sourcePath(args[1]); unwrapped(args[1]).Kind() != ast.LiteralKind && by != unnamedValue {
			return expression.DivisionByZero + ": " + by + " is 0"
		}
		return expression.DivisionByZero
	}
	return expression.NotFinite(function)
}

func isNumber(v any) bool { _, ok := v.(float64); return ok }
func isString(v any) bool { _, ok := v.(string); return ok }

// likeTheOther is the type that both sides of a comparison need: that of a literal
// if there is one.
func likeTheOther(args []ast.Expr, values []any) (expected string, fits func(any) bool) {
	for i, a := range args {
		if unwrapped(a).Kind() == ast.LiteralKind && isString(values[i]) {
			return "a string", isString
		}
	}
	if literals := unwrapped(args[0]).Kind() == ast.LiteralKind || unwrapped(args[1]).Kind() == ast.LiteralKind; !literals && isString(values[0]) {
		return "a string", isString
	}
	return "a number", isNumber
}

// foundValue is a value with its type: `event.temp is a string ("95")`.
func foundValue(x ast.Expr, v any) string {
	switch v.(type) {
	case nil:
		return sourcePath(x) + " is null"
	case bool, float64, string:
		return fmt.Sprintf("%s is %s (%s)", sourcePath(x), device.TypeName(v), clip(jsonText(v)))
	}
	return sourcePath(x) + " is " + device.TypeName(v)
}

func unwrapped(x ast.Expr) ast.Expr {
	for x.Kind() == ast.CallKind && x.AsCall().FunctionName() == overloads.TypeConvertDyn {
		x = x.AsCall().Args()[0]
	}
	return x
}

// unnamedValue is what has no path.
const unnamedValue = "a value"

// sourcePath is how a value is written in a model; what is not a path is a value.
func sourcePath(x ast.Expr) string {
	x = unwrapped(x)
	switch x.Kind() {
	case ast.IdentKind:
		return x.AsIdent()
	case ast.SelectKind:
		return sourcePath(x.AsSelect().Operand()) + "." + x.AsSelect().FieldName()
	case ast.CallKind:
		call := x.AsCall()
		if call.FunctionName() == operators.Index && call.Args()[1].Kind() == ast.LiteralKind {
			return sourcePath(call.Args()[0]) + "[" + literalOf(call.Args()[1]) + "]"
		}
	case ast.LiteralKind:
		return literalOf(x)
	}
	return unnamedValue
}

func literalOf(x ast.Expr) string {
	switch v := x.AsLiteral().(type) {
	case types.String:
		return strconv.Quote(string(v))
	case types.Double:
		return expression.NumberText(float64(v))
	}
	return fmt.Sprint(x.AsLiteral().Value())
}

// jsonText is the beginning of a value as JSON.
func jsonText(v any) string {
	whole, err := text.JSON(v)
	if err != nil {
		return ""
	}
	return device.Clip(whole, device.MaxFaultValue)
}

// clip keeps what a device sent short in a fault.
func clip(s string) string { return device.Clip(s, 64) }
