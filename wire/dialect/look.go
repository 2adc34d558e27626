package dialect

import (
	"devicetwin/internal/expression"
	"devicetwin/internal/jsonobject"
)

// findMember is what the names lead to in a payload which is not decoded. It is not known where a
// name leads into something else than an object.
func (s *scope) findMember(names []string) (v jsonobject.Value, there, known bool) {
	if s.decoded || s.json == nil {
		return nil, false, false
	}
	v = s.json
	for i, name := range names {
		if v.Kind() != jsonobject.Object {
			return nil, false, false
		}
		if i == 0 {
			v, there = s.memberOfPayload(name)
		} else {
			v, there = memberOf(v, name)
		}
		if !there {
			return nil, false, true
		}
	}
	return v, true, true
}

// memberOf is that of an object of UTF-8: the last one, if there are several.
func memberOf(object jsonobject.Value, wanted string) (v jsonobject.Value, ok bool) {
	for members := object.Members(); ; {
		name, value, more := members.Next()
		if !more {
			return v, ok
		}
		if string(name.Raw()) == wanted {
			v, ok = value, true
		}
	}
}

// lookUpMember is what the names lead to from a variable which is decoded. It is not known where a
// name leads into something else than an object: what that means is the language's.
func (s *scope) lookUpMember(variable string, names []string) (v any, there, known bool) {
	switch {
	case variable == varPayload && s.decoded:
		v = s.payload
	case variable == varItem:
		v = s.item
	case variable == varInside:
		return s.lookInside(names)
	default:
		return nil, false, false
	}
	return lookUpIn(v, names)
}

// lookUpIn is what the names lead to from a value.
func lookUpIn(v any, names []string) (found any, there, known bool) {
	for _, name := range names {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false, false
		}
		if v, there = object[name]; !there {
			return nil, false, true
		}
	}
	return v, true, true
}

// compute is the value of a formula that only computes and compares scalars.
func (s *scope) compute(f *formula) (v expression.Scalar, there, known bool) {
	if f.direct == nil || f.readsInside && !s.part.read || f.readsPayload && s.json == nil && s.read() != nil {
		return v, false, false
	}
	v, outcome := f.direct(s)
	if outcome != expression.Known {
		v = expression.Scalar{}
	}
	return v, outcome == expression.Known, outcome != expression.Unknown
}

// Look implements expression.Source.
func (s *scope) Look(variable string, names []string) (v expression.Scalar, outcome expression.Outcome) {
	if variable == varTopic {
		return s.lookAtTopic(names)
	}
	if variable == varPayload {
		if found, there, known := s.findMember(names); known {
			if !there {
				return v, expression.Missing
			}
			return scalarOf(found)
		}
	}
	found, there, known := s.lookUpMember(variable, names)
	switch {
	case !known:
		return v, expression.Unknown
	case !there:
		return v, expression.Missing
	}
	v, ok := expression.ScalarOf(found)
	if !ok {
		return v, expression.Unknown
	}
	return v, expression.Known
}

func (s *scope) lookAtTopic(names []string) (v expression.Scalar, outcome expression.Outcome) {
	if len(names) == 1 {
		for i, name := range s.rule.topic.names {
			if name == names[0] {
				return expression.Scalar{Kind: expression.String, Text: []byte(s.values[i])}, expression.Known
			}
		}
	}
	return v, expression.Unknown
}

// scalarOf is a value of a payload that is not decoded.
func scalarOf(found jsonobject.Value) (v expression.Scalar, outcome expression.Outcome) {
	switch found.Kind() {
	case jsonobject.Null:
	case jsonobject.Bool:
		v = expression.Scalar{Kind: expression.Bool, Truth: found.Bool()}
	case jsonobject.Number:
		v = expression.Scalar{Kind: expression.Number, Number: found.Number()}
	case jsonobject.String:
		v = expression.Scalar{Kind: expression.String, Text: found.Raw()}
	default:
		return v, expression.Unknown
	}
	return v, expression.Known
}

// Has implements expression.Source.
func (s *scope) Has(variable string, names []string) (there bool, outcome expression.Outcome) {
	of, name := names[:len(names)-1], names[len(names)-1]
	if variable == varPayload {
		if object, there, known := s.findMember(of); known {
			switch {
			case !there:
				return false, expression.Missing
			case object.Kind() != jsonobject.Object:
				return false, expression.Unknown
			case len(of) == 0:
				_, there = s.memberOfPayload(name)
			default:
				_, there = memberOf(object, name)
			}
			return there, expression.Known
		}
	}
	v, there, known := s.lookUpMember(variable, of)
	if variable == varInside && len(of) == 0 && s.part.read {
		v, there, known = s.part.value, true, true
	}
	object, ok := v.(map[string]any)
	switch {
	case known && !there:
		return false, expression.Missing
	case !known || !ok:
		return false, expression.Unknown
	}
	_, there = object[name]
	return there, expression.Known
}
