package twin

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Values are JSON as encoding/json reads it, with numbers as they were written
// (json.Number). They are shared between documents and never changed.
type object = map[string]any

var (
	errTrailing = errors.New("unexpected data after the JSON value")
	errNotJSON  = errors.New("not a JSON value")
	errTooDeep  = errors.New("nested too deeply")
)

// decode reads one JSON value and nothing after it. The decoder is deterministic,
// which the check of workflows cannot see.
//
//workflowcheck:ignore
func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if len(bytes.Trim(b[d.InputOffset():], " \t\r\n")) > 0 {
		return nil, errTrailing
	}
	return v, nil
}

func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	keys := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(keys)
	return keys
}

// equal compares numbers by value and everything else, deeply, as it is.
func equal(a, b any) bool {
	switch x := a.(type) {
	case object:
		y, ok := b.(object)
		return ok && equalObjects(x, y)
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, equal)
	case json.Number:
		y, ok := b.(json.Number)
		return ok && sameNumber(x, y)
	}
	switch b.(type) {
	case object, []any, json.Number:
		return false
	}
	return a == b
}

func equalObjects(a, b object) bool {
	if len(a) != len(b) {
		return false
	}
	for _, k := range sortedKeys(a) {
		if e, ok := b[k]; !ok || !equal(a[k], e) {
			return false
		}
	}
	return true
}

// difference is what has to be merged into reported so that it has all keys and
// values of desired; ok is false if nothing.
func difference(desired, reported any) (delta any, ok bool) {
	d, isObject := desired.(object)
	r, both := reported.(object)
	if !isObject || !both {
		return desired, !equal(desired, reported)
	}
	var out object
	for _, k := range sortedKeys(d) {
		part, differs := d[k], true
		if have, ok := r[k]; ok {
			part, differs = difference(d[k], have)
		}
		if differs {
			if out == nil {
				out = object{}
			}
			out[k] = part
		}
	}
	return out, out != nil
}

// plain copies a value with numbers as doubles.
func plain(v any) any {
	switch x := v.(type) {
	case json.Number:
		f, _ := x.Float64() // checked when it came in
		return f
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = plain(e)
		}
		return out
	case object:
		return plainObject(x)
	}
	return v
}

func plainObject(o object) object {
	out := make(object, len(o))
	for _, k := range sortedKeys(o) {
		out[k] = plain(o[k])
	}
	return out
}

// fromPlain copies what an expression made, with numbers as json.Number.
func fromPlain(v any, level int) (any, error) {
	if level > maxDepth {
		return nil, errTooDeep
	}
	switch x := v.(type) {
	case nil, bool:
		return x, nil
	case string:
		return strings.ToValidUTF8(x, "\uFFFD"), nil
	case float64:
		return fromFloat(x)
	case int:
		return json.Number(strconv.Itoa(x)), nil
	case int64:
		return json.Number(strconv.FormatInt(x, 10)), nil
	case json.Number:
		if !json.Valid([]byte(x)) {
			return nil, errNotJSON
		}
		return x, nil
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			var err error
			if out[i], err = fromPlain(e, level+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case object:
		out := make(object, len(x))
		for _, k := range sortedKeys(x) {
			e, err := fromPlain(x[k], level+1)
			if err != nil {
				return nil, err
			}
			out[strings.ToValidUTF8(k, "\uFFFD")] = e
		}
		return out, nil
	}
	return nil, errNotJSON
}

// fromFloat writes a double as ECMAScript does, as encoding/json.
func fromFloat(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errNotJSON
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		return json.Number(strings.Replace(s, "e-0", "e-", 1)), nil
	}
	return json.Number(strconv.FormatFloat(f, 'f', -1, 64)), nil
}
