package schematest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Validator is a schema that was read. It knows the keywords that package schema writes; another
// one is an error of each validation.
type Validator map[string]any

// Read reads a schema.
func Read(schema []byte) (v Validator, err error) {
	if err := json.Unmarshal(schema, &v); err != nil {
		return nil, fmt.Errorf("read a schema: %w", err)
	}
	return v, nil
}

// At is the part of the schema at a path, such as $defs/step/anyOf/1; nil: there is none.
func (v Validator) At(path string) any {
	var at any = map[string]any(v)
	for _, key := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' }) {
		switch x := at.(type) {
		case map[string]any:
			at = x[key]
		case []any:
			at = x[key[0]-'0']
		}
	}
	return at
}

// Validate says why a value, as encoding/json decodes it, is not one of the schema.
func (v Validator) Validate(value any) error { return v.check(map[string]any(v), value, "") }

func (v Validator) check(s map[string]any, value any, at string) error {
	for key, arg := range s {
		var err error
		switch key {
		case "$ref":
			err = v.check(v["$defs"].(map[string]any)[strings.TrimPrefix(arg.(string), "#/$defs/")].(map[string]any), value, at)
		case "anyOf":
			err = v.anyOf(arg.([]any), value, at)
		case "type":
			if !hasType(arg, value) {
				err = fmt.Errorf("%s: %v is no %v", at, value, arg)
			}
		case "enum":
			if !slices.Contains(arg.([]any), value) {
				err = fmt.Errorf("%s: %v is not one of %v", at, value, arg)
			}
		case "pattern":
			if text, ok := value.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(text) {
				err = fmt.Errorf("%s: %q is no %v", at, text, arg)
			}
		case "minimum":
			if n, ok := value.(float64); ok && n < arg.(float64) {
				err = fmt.Errorf("%s: %v < %v", at, n, arg)
			}
		case "maximum":
			if n, ok := value.(float64); ok && n > arg.(float64) {
				err = fmt.Errorf("%s: %v > %v", at, n, arg)
			}
		case "minItems":
			if list, ok := value.([]any); ok && float64(len(list)) < arg.(float64) {
				err = fmt.Errorf("%s: %d items", at, len(list))
			}
		case "maxItems":
			if list, ok := value.([]any); ok && float64(len(list)) > arg.(float64) {
				err = fmt.Errorf("%s: %d items", at, len(list))
			}
		case "items":
			list, _ := value.([]any)
			for i, e := range list {
				err = errors.Join(err, v.check(arg.(map[string]any), e, fmt.Sprintf("%s[%d]", at, i)))
			}
		case "required":
			m, isMap := value.(map[string]any)
			for _, k := range arg.([]any) {
				if _, ok := m[k.(string)]; isMap && !ok {
					err = fmt.Errorf("%s: no %v", at, k)
				}
			}
		case "properties":
			err = v.object(s, value, at)
		case "additionalProperties":
			if _, ok := s["properties"]; !ok {
				err = v.object(s, value, at)
			}
		case "description", "title", "$schema", "$defs":
		default:
			err = fmt.Errorf("keyword %q: it is not known here", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v Validator) object(s map[string]any, value any, at string) error {
	m, _ := value.(map[string]any)
	known, _ := s["properties"].(map[string]any)
	for k, e := range m {
		of, ok := known[k].(map[string]any)
		if !ok {
			if of, ok = s["additionalProperties"].(map[string]any); !ok {
				return fmt.Errorf("%s: unknown key %q", at, k)
			}
		}
		if err := v.check(of, e, at+"."+k); err != nil {
			return err
		}
	}
	return nil
}

func (v Validator) anyOf(of []any, value any, at string) error {
	var all error
	for _, s := range of {
		err := v.check(s.(map[string]any), value, at)
		if err == nil {
			return nil
		}
		all = errors.Join(all, err)
	}
	return fmt.Errorf("%s: none fits: %w", at, all)
}

func hasType(want, value any) bool {
	list, ok := want.([]any)
	if !ok {
		list = []any{want}
	}
	for _, name := range list {
		switch x := value.(type) {
		case nil:
			ok = name == "null"
		case bool:
			ok = name == "boolean"
		case string:
			ok = name == "string"
		case float64:
			ok = name == "number" || name == "integer" && x == math.Trunc(x)
		case []any:
			ok = name == "array"
		case map[string]any:
			ok = name == "object"
		}
		if ok {
			return true
		}
	}
	return false
}
