package dialect

import (
	"fmt"
	"slices"

	"devicetwin/internal/expression"
	"devicetwin/internal/jsonobject"
	"devicetwin/source"
	"devicetwin/wire"
)

// Names of the variables of formulas.
const (
	varPayload = "payload"
	varTopic   = "topic" // the variables in the topic
	varItem    = "item"  // the element of each
	varInside  = "inside"
)

// formula is an expression of a dialect.
type formula struct {
	at      source.Node
	what    string // it is, in refusals
	program *expression.Program
	// Of one that does nothing but read a member, as most do, the variable and the names that
	// lead to it: it is looked up, without an evaluation.
	variable string
	names    []string
	// direct evaluates one that only computes and compares scalars; nil: only program does.
	direct expression.Direct
	// readsPayload: an evaluation needs the payload decoded; with members, only these of it.
	readsPayload bool
	readsInside  bool
	members      []string
}

// language is that of formulas of messages.
var language = newLanguage(varPayload, varTopic, varItem, varInside)

func newLanguage(variables ...string) *expression.Env {
	env, err := expression.NewEnv(variables...)
	if err != nil {
		panic(err) // it does not depend on anything
	}
	return env
}

// formula is nil where there is none, or where it has a fault.
func (l *loader) formula(n source.Node, what string) *formula {
	if !n.Exists() {
		return nil
	}
	text, ok := n.Expression()
	if !ok {
		return nil
	}
	program, faults := l.language.Compile(text)
	for _, f := range faults {
		n.FaultInside(f.Offset(text), f.Hint, "expression: %s", f.Message)
	}
	if program == nil {
		return nil
	}
	f := &formula{at: n, what: what, program: program, readsPayload: program.Reads()[varPayload], readsInside: program.Reads()[varInside]}
	if members, all := program.Checked().Members(varPayload); all {
		f.members = members
	}
	if variable, names, ok := program.Checked().Path(); ok && variable != varTopic {
		f.variable, f.names = variable, names
	} else {
		f.direct = program.Checked().Direct()
	}
	return f
}

// condition is a formula that is true or false, as far as one can know.
func (l *loader) condition(n source.Node) *formula {
	f := l.formula(n, "when")
	if f != nil && !f.program.Checked().Condition {
		n.Faultf("when: expected a condition, which is true or false")
	}
	if f != nil && f.program.Checked().False() {
		n.Faultf("when: it never holds")
	}
	return f
}

// list is a formula that is a list, as far as one can know.
func (l *loader) list(n source.Node) *formula {
	f := l.formula(n, "each")
	if f != nil && !f.program.Checked().List {
		n.Faultf("each: expected a list")
	}
	return f
}

// reads reports whether the formula reads a variable. One that a macro calls the same is not it.
func (f *formula) reads(variable string) bool {
	return f != nil && f.program.Reads()[variable] && !f.program.Checked().Binds(variable)
}

// checkTopic notes what the formula reads of topics and none of them has.
func (f *formula) checkTopic(known []string, topics string) {
	names, _ := f.program.Checked().Members(varTopic)
	for _, name := range names {
		if !slices.Contains(known, name) {
			f.at.FaultHint(source.DidYouMean(name, known), "topic.%s: expected a variable of the topic %s", name, topics)
		}
	}
}

// maxResult bounds what an expression gives, in about bytes of JSON: as much as a payload
// may have.
const maxResult = wire.MaxPayloadLimit

// eval is the value of a formula; not there: it reads a member that is not there.
func (s *scope) eval(f *formula) (v any, there bool, err error) {
	if found, there, known := s.find(f); known {
		if there {
			v = found.Decoded()
		}
		return v, there, nil
	}
	if f.readsInside {
		if err := s.readInside(); err != nil {
			return nil, false, err
		}
	}
	if scalar, there, known := s.compute(f); known {
		return scalar.Any(), there, nil
	}
	if f.readsPayload && !s.readMembers(f) {
		if err := s.read(); err != nil {
			return nil, false, err
		}
	}
	if v, there, known := s.lookUp(f); known {
		return v, there, nil
	}
	v, err = f.program.EvalWithin(s, maxResult)
	switch {
	case err == nil:
		return v, true, nil
	case expression.Absent(err):
		return nil, false, nil
	}
	return nil, false, wire.Refuse(wire.ReasonBadPayload, "%s: %s%s", f.what, whyNot(err), s.listRead(f))
}

// whyNot is why an expression has no value. What cel-go calls an overload, nobody looks for in a payload.
func whyNot(err error) string {
	const overload = "no such overload"
	if err.Error() == overload {
		return "a value is of another type than the expression needs (" + overload + ")"
	}
	return err.Error()
}

// listRead says, for a refusal, which list a formula takes for an object; "": none.
func (s *scope) listRead(f *formula) string {
	for _, variable := range []struct {
		name  string
		value any
	}{{varPayload, s.payload}, {varItem, s.item}} {
		names, _ := f.program.Checked().Members(variable.name)
		if _, list := variable.value.([]any); list && len(names) > 0 {
			return fmt.Sprintf(" (%s is a list)", variable.name)
		}
	}
	return ""
}

// find is the value, encoded, of a formula that reads a member of a payload which is not
// decoded. It is not known where a name leads into something else than an object.
func (s *scope) find(f *formula) (v jsonobject.Value, there, known bool) {
	if f.variable != varPayload {
		return nil, false, false
	}
	return s.findMember(f.names)
}

// lookUp is eval of a formula that reads a member.
func (s *scope) lookUp(f *formula) (v any, there, known bool) {
	if f.variable == "" {
		return nil, false, false
	}
	return s.lookUpMember(f.variable, f.names)
}

// ResolveName implements expression.Activation.
func (s *scope) ResolveName(name string) (any, bool) {
	switch name {
	case varPayload:
		return s.payload, true
	case varItem:
		return s.item, true
	case varInside:
		return s.part.value, true
	case varTopic:
		if s.variables == nil {
			s.variables = make(map[string]any, len(s.values))
			for i, name := range s.rule.topic.names {
				s.variables[name] = s.values[i]
			}
		}
		return s.variables, true
	}
	return nil, false
}

// Parent implements expression.Activation.
func (s *scope) Parent() expression.Activation { return nil }

// kindOf names the type of a value.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "an object"
}
