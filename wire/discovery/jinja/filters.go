package jinja

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"devicetwin/internal/jsonobject"
)

// filter is a function of a value and of arguments; those that are not given are absent.
type filter struct {
	arguments []string
	required  int
	apply     func(v any, arguments []any) (any, error)
}

// absent is an argument that is not given.
type absent struct{}

// errMissing marks what is_defined found not to be there: there is no value at all.
var errMissing = errors.New("the value is not there")

var filterOf = map[string]*filter{
	"abs":        {nil, 0, func(v any, _ []any) (any, error) { return absolute(v) }},
	"count":      {nil, 0, func(v any, _ []any) (any, error) { return length(v) }},
	"default":    {[]string{"default_value", "boolean"}, 0, otherwise},
	"d":          {[]string{"default_value", "boolean"}, 0, otherwise},
	"float":      {[]string{"default"}, 0, toFloat},
	"from_json":  {nil, 0, func(v any, _ []any) (any, error) { return fromJSON(v) }},
	"int":        {[]string{"default", "base"}, 0, toInt},
	"is_defined": {nil, 0, func(v any, _ []any) (any, error) { return defined(v) }},
	"length":     {nil, 0, func(v any, _ []any) (any, error) { return length(v) }},
	"lower":      {nil, 0, func(v any, _ []any) (any, error) { return ofText(v, strings.ToLower) }},
	"multiply":   {[]string{"amount"}, 1, multiply},
	"replace":    {[]string{"old", "new"}, 2, replace},
	"round":      {[]string{"precision", "method"}, 0, round},
	"string":     {nil, 0, func(v any, _ []any) (any, error) { return ofText(v, func(s string) string { return s }) }},
	"to_json":    {nil, 0, func(v any, _ []any) (any, error) { return toJSON(v) }},
	"tojson":     {nil, 0, func(v any, _ []any) (any, error) { return toJSON(v) }},
	"trim":       {nil, 0, func(v any, _ []any) (any, error) { return ofText(v, strings.TrimSpace) }},
	"upper":      {nil, 0, func(v any, _ []any) (any, error) { return ofText(v, strings.ToUpper) }},
}

// application is a filter behind a value.
type application struct {
	of        node
	filter    *filter
	arguments []node // nil: not given
}

// filtered puts arguments at their places.
func filtered(t token, f *filter, of node, arguments []node, named map[string]node) (node, error) {
	if len(arguments) > len(f.arguments) {
		return nil, fmt.Errorf("at %d: %s with %d arguments is not supported", t.at, t.text, len(arguments))
	}
	a := &application{of: of, filter: f, arguments: make([]node, len(f.arguments))}
	copy(a.arguments, arguments)
	for i, name := range f.arguments {
		if n := named[name]; n != nil {
			a.arguments[i] = n
			delete(named, name)
		}
		if i < f.required && a.arguments[i] == nil {
			return nil, fmt.Errorf("at %d: %s without %s", t.at, t.text, name)
		}
	}
	for name := range named {
		return nil, fmt.Errorf("at %d: %s: the argument %s is not supported", t.at, t.text, name)
	}
	return a, nil
}

func (n *application) value(s *Scope) (any, error) {
	v, err := n.of.value(s)
	if err != nil {
		return nil, err
	}
	arguments := make([]any, len(n.arguments))
	for i, argument := range n.arguments {
		if argument == nil {
			arguments[i] = absent{}
			continue
		}
		if arguments[i], err = argument.value(s); err != nil {
			return nil, err
		}
	}
	if err := s.spend(v); err != nil { // it is read as a whole
		return nil, err
	}
	if v, err = n.filter.apply(v, arguments); err != nil {
		return nil, err
	}
	return v, s.spend(v)
}

func otherwise(v any, arguments []any) (any, error) {
	_, missing := v.(undefined)
	if flag, ok := arguments[1].(bool); ok && flag {
		missing = !truth(v)
	}
	if !missing {
		return v, nil
	}
	if _, not := arguments[0].(absent); not {
		return "", nil
	}
	return arguments[0], nil
}

func defined(v any) (any, error) {
	if _, missing := v.(undefined); missing {
		return nil, errMissing
	}
	return v, nil
}

// orDefault is the default of a conversion that failed.
func orDefault(what string, v any, otherwise any) (any, error) {
	if _, not := otherwise.(absent); not {
		return nil, fmt.Errorf("%s of %s", what, kind(v))
	}
	return otherwise, nil
}

func toFloat(v any, arguments []any) (any, error) {
	if f, ok := floatOf(v); ok {
		return f, nil
	}
	return orDefault("float", v, arguments[0])
}

// floatOf is a number, or a string that is one.
func floatOf(v any) (float64, bool) {
	if f, ok := numberOf(v); ok {
		return f, true
	}
	s, ok := v.(string)
	if !ok {
		return 0, false
	}
	s = strings.TrimSpace(s)
	if strings.ContainsAny(s, "xXpP_nN") { // hexadecimal; nan and infinity are not readings
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func toInt(v any, arguments []any) (any, error) {
	if _, not := arguments[1].(absent); !not {
		base, ok := arguments[1].(int64)
		s, isString := v.(string)
		if ok && isString && (base == 2 || base == 8 || base == 10 || base == 16) {
			s = strings.ToLower(strings.TrimSpace(s))
			for _, prefix := range map[int64][]string{2: {"0b"}, 8: {"0o"}, 16: {"0x"}}[base] {
				s = strings.TrimPrefix(s, prefix)
			}
			if i, err := strconv.ParseInt(s, int(base), 64); err == nil {
				return i, nil
			}
		}
		return orDefault("int", v, arguments[0])
	}
	if i, ok := v.(int64); ok {
		return i, nil
	}
	if s, ok := v.(string); ok {
		if i, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
			return i, nil
		}
	}
	if f, ok := floatOf(v); ok && math.Abs(f) <= 1<<53 {
		return int64(f), nil
	}
	return orDefault("int", v, arguments[0])
}

func round(v any, arguments []any) (any, error) {
	f, ok := floatOf(v)
	if !ok {
		return nil, fmt.Errorf("round of %s", kind(v))
	}
	precision := int64(0)
	if _, not := arguments[0].(absent); !not {
		if precision, ok = arguments[0].(int64); !ok || precision < 0 || precision > 15 {
			return nil, errors.New("round: expected a precision from 0 to 15")
		}
	}
	scale := math.Pow(10, float64(precision))
	switch arguments[1] {
	case absent{}, "common":
		f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'f', int(precision), 64), 64)
	case "ceil":
		f = math.Ceil(f*scale) / scale
	case "floor":
		f = math.Floor(f*scale) / scale
	case "half":
		f = math.RoundToEven(f*2) / 2
	default:
		return nil, errors.New("round: the method is not supported")
	}
	if precision == 0 && arguments[1] != "half" && math.Abs(f) <= 1<<53 {
		return int64(f), nil
	}
	return f, nil
}

func multiply(v any, arguments []any) (any, error) {
	f, ok := floatOf(v)
	by, ok2 := floatOf(arguments[0])
	if !ok || !ok2 {
		return nil, fmt.Errorf("multiply of %s", kind(v))
	}
	return f * by, nil
}

func absolute(v any) (any, error) {
	switch v := v.(type) {
	case int64:
		return max(v, -v), nil
	case float64:
		return math.Abs(v), nil
	}
	return nil, fmt.Errorf("abs of %s", kind(v))
}

func length(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return int64(utf8.RuneCountInString(v)), nil
	case []any:
		return int64(len(v)), nil
	case map[string]any:
		return int64(len(v)), nil
	}
	return nil, fmt.Errorf("length of %s", kind(v))
}

func ofText(v any, change func(string) string) (any, error) {
	text, err := textOf(v)
	return change(text), err
}

func replace(v any, arguments []any) (any, error) {
	text, err := textOf(v)
	if err != nil {
		return nil, err
	}
	from, okFrom := arguments[0].(string)
	to, okTo := arguments[1].(string)
	if !okFrom || !okTo || from == "" {
		return nil, errors.New("replace: expected two strings")
	}
	if len(text)+strings.Count(text, from)*max(0, len(to)-len(from)) > maxString {
		return nil, errTooLong
	}
	return strings.ReplaceAll(text, from, to), nil
}

func toJSON(v any) (any, error) {
	if u, missing := v.(undefined); missing {
		return nil, u.err()
	}
	b, err := json.Marshal(v)
	if len(b) > maxString {
		return nil, errTooLong
	}
	return string(b), err
}

// maxJSON is how deep a string of JSON may nest.
const maxJSON = 32

func fromJSON(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("from_json of %s", kind(v))
	}
	encoded, ok := jsonobject.ParseWithin([]byte(s), maxJSON)
	if !ok || !utf8.ValidString(s) {
		return nil, errors.New("from_json: not JSON")
	}
	return Decoded(encoded), nil
}

// Decoded is JSON of UTF-8 as templates see it: numbers without a fraction are integers.
func Decoded(v jsonobject.Value) any {
	switch v.Kind() {
	case jsonobject.Number:
		if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return i
		}
		return v.Number()
	case jsonobject.Array:
		all := []any{}
		for elements := v.Elements(); ; {
			e, ok := elements.Next()
			if !ok {
				return all
			}
			all = append(all, Decoded(e))
		}
	case jsonobject.Object:
		all := map[string]any{}
		for members := v.Members(); ; {
			name, value, ok := members.Next()
			if !ok {
				return all
			}
			all[name.Text()] = Decoded(value)
		}
	}
	return v.Decoded()
}

// tests are those behind is.
var tests = map[string]func(v any) bool{
	"defined":   func(v any) bool { _, missing := v.(undefined); return !missing },
	"undefined": func(v any) bool { _, missing := v.(undefined); return missing },
	"none":      func(v any) bool { return v == nil },
	"true":      func(v any) bool { return v == true },
	"false":     func(v any) bool { return v == false },
	"boolean":   func(v any) bool { _, ok := v.(bool); return ok },
	"number":    func(v any) bool { _, ok := numberOf(v); return ok },
	"string":    func(v any) bool { _, ok := v.(string); return ok },
	"mapping":   func(v any) bool { _, ok := v.(map[string]any); return ok },
}

type tested struct {
	of   node
	test func(v any) bool
	not  bool
}

func (n *tested) value(s *Scope) (any, error) {
	v, err := n.of.value(s)
	return n.test(v) != n.not, err
}

// textOf is a value as output: as Python spells it. A list or a mapping has no spelling that
// anybody would read.
func textOf(v any) (string, error) {
	switch v := v.(type) {
	case undefined:
		return "", nil
	case nil:
		return "None", nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return floatText(v), nil
	}
	return "", fmt.Errorf("%s as a string: add | tojson", kind(v))
}

func floatText(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strings.ToLower(strconv.FormatFloat(f, 'e', -1, 64))
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// kind names a value for people.
func kind(v any) string {
	switch v := v.(type) {
	case undefined:
		return v.what + ", which is not there"
	case nil:
		return "none"
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "a mapping"
}
