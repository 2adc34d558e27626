package twin

import (
	"encoding/json"
	"fmt"
	"maps"
)

// stamp is when the values of a subtree were set. It never changes.
type stamp struct {
	at   int64             // seconds since 1970, of everything below
	keys map[string]*stamp // nil unless an object's parts differ; then it has all its keys
}

func (s *stamp) child(key string) *stamp {
	if s == nil || s.keys == nil {
		return s
	}
	return s.keys[key]
}

// merge puts a patch other than null into a value: copies of what changes, the
// rest shared. Everything that the patch names gets the time at.
func merge(old any, times *stamp, patch any, at *stamp) (any, *stamp) {
	p, ok := patch.(object)
	if !ok {
		return patch, at
	}
	o, ok := old.(object)
	if !ok {
		o, times = nil, at
	}
	out := make(object, len(o)+len(p))
	maps.Copy(out, o)
	for _, k := range sortedKeys(p) {
		if p[k] == nil {
			delete(out, k)
		}
	}
	parts := make(map[string]*stamp, len(out))
	for _, k := range sortedKeys(out) {
		parts[k] = times.child(k)
	}
	for _, k := range sortedKeys(p) {
		if p[k] != nil {
			out[k], parts[k] = merge(o[k], times.child(k), p[k], at)
		}
	}
	return out, join(parts, at)
}

// join makes one stamp of those of an object's keys: one number if they are one.
func join(parts map[string]*stamp, empty *stamp) *stamp {
	var first *stamp
	for _, k := range sortedKeys(parts) {
		switch s := parts[k]; {
		case first == nil && s.keys == nil:
			first = s
		case s.keys != nil || s.at != first.at:
			return &stamp{keys: parts}
		}
	}
	if first == nil {
		return empty
	}
	return first
}

// append writes the protocol's metadata of a value, or of a part of one.
func (s *stamp) append(b []byte, v any) []byte {
	switch x := v.(type) {
	case object:
		b = append(b, '{')
		for i, k := range sortedKeys(x) {
			b = appendKey(b, i, k)
			b = s.child(k).append(b, x[k])
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ',')
			}
			b = s.append(b, e)
		}
		return append(b, ']')
	}
	b = append(b, `{"timestamp":`...)
	return append(appendValue(b, s.at), '}')
}

// value is the stored form: a number, or an object of stored forms.
func (s *stamp) value() any {
	if s.keys == nil {
		return s.at
	}
	out := make(object, len(s.keys))
	for _, k := range sortedKeys(s.keys) {
		out[k] = s.keys[k].value()
	}
	return out
}

// readStamp reads the stored form of the times of a value.
func readStamp(stored, of any) (*stamp, error) {
	switch x := stored.(type) {
	case json.Number:
		at, err := x.Int64()
		if err != nil {
			return nil, fmt.Errorf("%s is not a time in seconds", x)
		}
		return &stamp{at: at}, nil
	case object:
		o, ok := of.(object)
		if !ok || len(o) != len(x) || len(o) == 0 {
			return nil, fmt.Errorf("times do not match the values")
		}
		parts := make(map[string]*stamp, len(o))
		for _, k := range sortedKeys(o) {
			if _, ok := x[k]; !ok {
				return nil, fmt.Errorf("%q has no time", k)
			}
			part, err := readStamp(x[k], o[k])
			if err != nil {
				return nil, err
			}
			parts[k] = part
		}
		return join(parts, nil), nil
	}
	return nil, fmt.Errorf("times are neither a number nor an object")
}
