package jinja

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"devicetwin/internal/jsonobject"
)

// Values are nil, bool, int64, float64, string, []any, map[string]any and undefined.

// undefined is what is not there. It is empty as output; of what it has, and as a number, it is an
// error.
type undefined struct{ what string }

func (u undefined) err() error { return fmt.Errorf("%s is not there", u.what) }

// maxString bounds each string that is made, in bytes.
const maxString = 256 << 10

var errTooLong = fmt.Errorf("a string of more than %d bytes", maxString)

// Scope is what templates read, one after the other.
type Scope struct {
	// Value is that of a name; one that is not known is not there.
	Value func(name string) (value any, known bool)
	// JSON is the value of a name that is a payload of JSON, encoded; nil: all are had by Value.
	JSON func(name string) (value jsonobject.Value, known bool)
	// Left is how many bytes of strings may still be made.
	Left int
}

// spend takes the bytes of a string that was made.
func (s *Scope) spend(v any) error {
	if made, ok := v.(string); ok {
		if s.Left -= len(made); s.Left < 0 {
			return errTooLong
		}
	}
	return nil
}

// Render evaluates the template. An error is that of a value that is not there, or not of
// the right kind.
func (t *Template) Render(s *Scope) (string, error) {
	var b strings.Builder
	if err := render(&b, t.parts, s); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

func render(b *strings.Builder, parts []part, s *Scope) error {
	for i := range parts {
		p := &parts[i]
		switch {
		case p.output != nil:
			v, err := p.output.value(s)
			if err != nil {
				return err
			}
			text, err := textOf(v)
			if err != nil {
				return err
			}
			if err := s.spend(text); err != nil {
				return err
			}
			b.WriteString(text)
		case p.choices != nil:
			if err := renderChoice(b, p.choices, s); err != nil {
				return err
			}
		default:
			b.WriteString(p.text)
		}
		if b.Len() > maxString {
			return errTooLong
		}
	}
	return nil
}

func renderChoice(b *strings.Builder, choices []choice, s *Scope) error {
	for _, c := range choices {
		holds := true
		if c.when != nil {
			v, err := c.when.value(s)
			if err != nil {
				return err
			}
			holds = truth(v)
		}
		if holds {
			return render(b, c.parts, s)
		}
	}
	return nil
}

type node interface{ value(s *Scope) (any, error) }

type literal struct{ of any }

func (n *literal) value(*Scope) (any, error) { return n.of, nil }

type variable struct{ name string }

func (n *variable) value(s *Scope) (any, error) {
	if v, known := s.Value(n.name); known {
		return v, nil
	}
	return undefined{n.name}, nil
}

// list has elements.
type list struct{ of []node }

func (n *list) value(s *Scope) (any, error) {
	all := make([]any, len(n.of))
	for i, e := range n.of {
		v, err := e.value(s)
		if err != nil {
			return nil, err
		}
		all[i] = v
	}
	return all, nil
}

// mapping has keys, which are strings here: others are spelled as output is.
type mapping struct{ keys, values []node }

func (n *mapping) value(s *Scope) (any, error) {
	all := make(map[string]any, len(n.keys))
	for i := range n.keys {
		key, err := n.keys[i].value(s)
		if err != nil {
			return nil, err
		}
		name, err := keyOf(key)
		if err != nil {
			return nil, err
		}
		if all[name], err = n.values[i].value(s); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// keyOf is a key of a mapping. That 1 and '1' are two keys is for values of kinds only that JSON does not have
// as keys: so what is written as a number is found by a number.
func keyOf(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case nil, bool, int64, float64:
		text, err := textOf(v)
		return "\x00" + text, err
	}
	return "", errors.New("a key that is not a string or a number")
}

// path is a member of a name, or of its members: value_json.a.b. Where the name is encoded JSON, the rest of
// it need not be decoded.
type path struct {
	*member // the same, as it is written
	name    string
	keys    []any // strings and integers
}

func (n *path) value(s *Scope) (any, error) {
	if s.JSON == nil {
		return n.member.value(s)
	}
	v, known := s.JSON(n.name)
	if !known {
		return nil, undefined{n.name}.err()
	}
	for i, key := range n.keys {
		member, there := lookUp(v, key)
		if !there && i < len(n.keys)-1 {
			return nil, noMember(key).err()
		}
		if v = member; !there {
			return noMember(key), nil
		}
	}
	return Decoded(v), nil
}

// lookUp is a member of encoded JSON, as memberOf is of what it decodes to.
func lookUp(of jsonobject.Value, key any) (v jsonobject.Value, there bool) {
	switch of.Kind() {
	case jsonobject.Object:
		name, ok := key.(string)
		for members := of.Members(); ok; {
			member, value, more := members.Next()
			if !more {
				return v, there
			}
			if member.Is(name) { // the last one holds
				v, there = value, true
			}
		}
	case jsonobject.Array:
		i, ok := indexOf(key)
		if ok && i < 0 {
			for elements := of.Elements(); ; i++ {
				if _, more := elements.Next(); !more {
					break
				}
			}
		}
		for elements := of.Elements(); ok && i >= 0; i-- {
			value, more := elements.Next()
			if !more || i == 0 {
				return value, more
			}
		}
	}
	return nil, false
}

// pathOf is a node as a path, if it is one.
func pathOf(n node) node {
	p := &path{}
	for at := n; ; {
		switch each := at.(type) {
		case *member:
			if p.member == nil {
				p.member = each
			}
			key, ok := each.key.(*literal)
			if !ok {
				return n
			}
			if i, isInt := key.of.(int64); isInt && i < -1<<20 {
				return n
			}
			switch key.of.(type) {
			case string, int64:
			default:
				return n
			}
			p.keys = append(p.keys, key.of)
			at = each.of
			continue
		case *variable:
			if p.member == nil {
				return n
			}
			slices.Reverse(p.keys)
			p.name = each.name
			return p
		}
		return n
	}
}

// member is that of a mapping or a list.
type member struct{ of, key node }

func (n *member) value(s *Scope) (any, error) {
	of, key, err := n.operands(s)
	if err != nil {
		return nil, err
	}
	return memberOf(of, key)
}

func (n *member) operands(s *Scope) (of, key any, err error) {
	if of, err = n.of.value(s); err != nil {
		return nil, nil, err
	}
	key, err = n.key.value(s)
	return of, key, err
}

func memberOf(of, key any) (any, error) {
	switch of := of.(type) {
	case undefined:
		return nil, of.err()
	case map[string]any:
		name, err := keyOf(key)
		if err != nil {
			return nil, err
		}
		if v, there := of[name]; there {
			return v, nil
		}
	case []any:
		if i, ok := indexOf(key); ok {
			if i < 0 {
				i += int64(len(of))
			}
			if 0 <= i && i < int64(len(of)) {
				return of[i], nil
			}
		}
	}
	return noMember(key), nil
}

// noMember is what there is at a key that is not there.
func noMember(key any) undefined {
	text, _ := textOf(key)
	return undefined{text}
}

// indexOf is the place in a list: written [0], or .0.
func indexOf(key any) (int64, bool) {
	switch key := key.(type) {
	case int64:
		return key, true
	case string:
		if len(key) > 0 && len(key) < 6 && strings.Trim(key, "0123456789") == "" {
			i := int64(0)
			for _, c := range key {
				i = 10*i + int64(c-'0')
			}
			return i, true
		}
	}
	return 0, false
}

// get is the method of a mapping, with what it gives if the key is not there.
type get struct {
	member
	otherwise node
}

func (n *get) value(s *Scope) (any, error) {
	of, key, err := n.operands(s)
	if err != nil {
		return nil, err
	}
	if _, ok := of.(map[string]any); !ok {
		return nil, errors.New("get of what is not a mapping")
	}
	v, err := memberOf(of, key)
	if _, missing := v.(undefined); !missing || err != nil {
		return v, err
	}
	if n.otherwise == nil {
		return nil, nil
	}
	return n.otherwise.value(s)
}

type condition struct{ then, when, otherwise node }

func (n *condition) value(s *Scope) (any, error) {
	v, err := n.when.value(s)
	switch {
	case err != nil:
		return nil, err
	case truth(v):
		return n.then.value(s)
	case n.otherwise == nil:
		return undefined{"the other case"}, nil
	}
	return n.otherwise.value(s)
}

type negation struct{ of node }

func (n *negation) value(s *Scope) (any, error) {
	v, err := n.of.value(s)
	return !truth(v), err
}

// truth is what a value is as a condition.
func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return false
}

type operation struct {
	operator    string
	left, right node
}

func (n *operation) value(s *Scope) (any, error) {
	left, err := n.left.value(s)
	if err != nil {
		return nil, err
	}
	switch n.operator {
	case "and":
		if !truth(left) {
			return left, nil
		}
		return n.right.value(s)
	case "or":
		if truth(left) {
			return left, nil
		}
		return n.right.value(s)
	}
	right, err := n.right.value(s)
	if err != nil {
		return nil, err
	}
	switch n.operator {
	case "==":
		return equal(left, right), nil
	case "!=":
		return !equal(left, right), nil
	case "<", "<=", ">", ">=":
		return compare(n.operator, left, right)
	case "in", "not in":
		found, err := contains(right, left)
		return found == (n.operator == "in"), err
	}
	v, err := calculate(n.operator, left, right)
	if err != nil {
		return nil, err
	}
	return v, s.spend(v)
}

func equal(a, b any) bool {
	if fa, ok := numberOf(a); ok {
		fb, ok := numberOf(b)
		return ok && fa == fb
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		s, ok := b.(string)
		return ok && s == a
	case undefined:
		_, ok := b.(undefined)
		return ok
	case []any:
		other, ok := b.([]any)
		if !ok || len(other) != len(a) {
			return false
		}
		for i := range a {
			if !equal(a[i], other[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		other, ok := b.(map[string]any)
		if !ok || len(other) != len(a) {
			return false
		}
		for key, v := range a {
			if w, there := other[key]; !there || !equal(v, w) {
				return false
			}
		}
		return true
	}
	return false
}

// numberOf is a value as a number: true is 1.
func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func compare(operator string, a, b any) (any, error) {
	order := 0
	fa, okA := numberOf(a)
	fb, okB := numberOf(b)
	sa, stringA := a.(string)
	sb, stringB := b.(string)
	switch {
	case okA && okB && (math.IsNaN(fa) || math.IsNaN(fb)):
		return false, nil
	case okA && okB && fa < fb, stringA && stringB && sa < sb:
		order = -1
	case okA && okB && fa > fb, stringA && stringB && sa > sb:
		order = 1
	case okA && okB, stringA && stringB:
	default:
		return nil, fmt.Errorf("%s of %s and %s", operator, kind(a), kind(b))
	}
	switch operator {
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	}
	return order >= 0, nil
}

func contains(in, v any) (bool, error) {
	switch in := in.(type) {
	case string:
		s, ok := v.(string)
		if !ok {
			return false, fmt.Errorf("in: %s in a string", kind(v))
		}
		return strings.Contains(in, s), nil
	case []any:
		for _, e := range in {
			if equal(e, v) {
				return true, nil
			}
		}
		return false, nil
	case map[string]any:
		found, err := memberOf(in, v)
		_, missing := found.(undefined)
		return !missing, err
	case undefined:
		return false, nil
	}
	return false, fmt.Errorf("in: %s has no elements", kind(in))
}

func joined(a, b any) (any, error) {
	left, err := textOf(a)
	if err != nil {
		return nil, err
	}
	right, err := textOf(b)
	if err != nil {
		return nil, err
	}
	if len(left)+len(right) > maxString {
		return nil, errTooLong
	}
	return left + right, nil
}

// calculate is arithmetic, and what joins two strings.
func calculate(operator string, a, b any) (any, error) {
	if operator == "~" {
		return joined(a, b)
	}
	if sa, ok := a.(string); ok && operator == "+" {
		if sb, ok := b.(string); ok {
			return joined(sa, sb)
		}
	}
	fa, okA := numberOf(a)
	fb, okB := numberOf(b)
	if !okA || !okB {
		return nil, fmt.Errorf("%s of %s and %s", operator, kind(a), kind(b))
	}
	var f float64
	switch operator {
	case "+":
		f = fa + fb
	case "-":
		f = fa - fb
	case "*":
		f = fa * fb
	case "**":
		f = math.Pow(fa, fb)
	default:
		if fb == 0 {
			return nil, errors.New("a division by zero")
		}
		f = divide(operator, fa, fb)
	}
	_, floatA := a.(float64)
	_, floatB := b.(float64)
	if whole := !floatA && !floatB && operator != "/" && (operator != "**" || fb >= 0); whole && math.Abs(f) <= 1<<53 {
		return int64(f), nil
	}
	return f, nil
}

// divide is a division, with Python's sign of // and %.
func divide(operator string, a, b float64) float64 {
	switch operator {
	case "//":
		return math.Floor(a / b)
	case "%":
		r := math.Mod(a, b)
		if r != 0 && (r < 0) != (b < 0) {
			r += b
		}
		return r
	}
	return a / b
}
