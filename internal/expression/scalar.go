package expression

import (
	"bytes"
	"cmp"
)

// Scalar is null, true or false, a number or a string: what most expressions read and give. To
// hold one costs no memory of its own.
type Scalar struct {
	Kind   ScalarKind
	Truth  bool    // of a Bool
	Number float64 // of a Number; it is finite
	Text   []byte  // of a String: UTF-8, which nobody may change
}

// ScalarKind is the type of a Scalar.
type ScalarKind uint8

// The types of scalars.
const (
	Null ScalarKind = iota
	Bool
	Number
	String
)

// ScalarOf is a value of JSON; false: it is a list or an object.
func ScalarOf(v any) (Scalar, bool) {
	switch v := v.(type) {
	case nil:
		return Scalar{}, true
	case bool:
		return Scalar{Kind: Bool, Truth: v}, true
	case float64:
		return Scalar{Kind: Number, Number: v}, true
	case string:
		return Scalar{Kind: String, Text: []byte(v)}, true
	}
	return Scalar{}, false
}

// Any is the value as Program.Eval gives it.
func (s Scalar) Any() any {
	switch s.Kind {
	case Bool:
		return s.Truth
	case Number:
		return s.Number
	case String:
		return string(s.Text)
	}
	return nil
}

// equal is ==: values of different types are not equal.
func (s Scalar) equal(o Scalar) bool {
	return s.Kind == o.Kind && s.Truth == o.Truth && s.Number == o.Number && bytes.Equal(s.Text, o.Text)
}

// compare orders two numbers or two strings; false: they are something else.
func (s Scalar) compare(o Scalar) (c int, ok bool) {
	switch {
	case s.Kind == Number && o.Kind == Number:
		return cmp.Compare(s.Number, o.Number), true
	case s.Kind == String && o.Kind == String:
		return bytes.Compare(s.Text, o.Text), true
	}
	return 0, false
}
