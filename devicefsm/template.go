package devicefsm

import (
	"errors"
	"fmt"

	"devicetwin/internal/expression"
)

// template is a JSON value whose strings are expressions: the value of assign,
// input and data. Its zero pointer is null.
type template struct {
	expr  *expr
	value any // with no expression anywhere inside
	list  []*template
	keys  []string // of a mapping, in document order
	of    []*template
	isMap bool
}

func (t *template) eval(s *scope) (any, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.expr != nil:
		v, err := t.expr.eval(s)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", t.expr.source, err)
		}
		return v, nil
	case t.isMap:
		m := make(map[string]any, len(t.keys))
		for i, k := range t.keys {
			v, err := t.of[i].eval(s)
			if err != nil {
				return nil, err
			}
			m[k] = v
		}
		return m, nil
	case t.list != nil:
		list := make([]any, len(t.list))
		for i, e := range t.list {
			v, err := e.eval(s)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	}
	return t.value, nil
}

var errNotObject = errors.New("the result is not a mapping")

// object is eval of what has to be a JSON object; without a template it is nil.
func (t *template) object(s *scope) (map[string]any, error) {
	v, err := t.eval(s)
	if err != nil || v == nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errNotObject
	}
	if jsonSize(m, maxValueSize) > maxValueSize {
		return nil, expression.ErrTooLarge
	}
	return m, nil
}
