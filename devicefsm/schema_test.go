package devicefsm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"devicetwin/source"
)

const schemaFile = "../models/model.schema.json"

func TestSchemaFile(t *testing.T) {
	got, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, schemaFile, string(got))
}

// unknownKey has, for each mapping of a model file, a model with a key in it
// that does not exist. Load then says which keys do.
var unknownKey = map[string]struct{ path, model string }{
	"model":      {"", `{zzz: 1, initial: a, states: {a: {}}}`},
	"state":      {"$defs/state/anyOf/1", `{initial: a, states: {a: {zzz: 1}}}`},
	"transition": {"$defs/transition/anyOf/1", `{initial: a, states: {a: {on: {x: {zzz: 1}}}}}`},
	"initial":    {"properties/initial/anyOf/1", `{initial: {zzz: 1, target: a}, states: {a: {}}}`},
	"invoke":     {"$defs/invoke", `{initial: a, states: {a: {invoke: {src: x, zzz: 1}}}}`},
	"action":     {"", `{initial: a, states: {a: {entry: {zzz: 1}}}}`},
	"raise":      {"raise", `{initial: a, states: {a: {entry: {raise: {event: x, zzz: 1}}}}}`},
	"command":    {"command", `{initial: a, states: {a: {entry: {command: {name: x, zzz: 1}}}}}`},
	"publish":    {"publish", `{initial: a, states: {a: {entry: {publish: {topic: x, zzz: 1}}}}}`},
	"notify":     {"notify", `{initial: a, states: {a: {entry: {notify: {to: x, zzz: 1}}}}}`},
	"liveness":   {"properties/liveness", `{liveness: {silent_after: 1s, zzz: 1}, initial: a, states: {a: {}}}`},
	"event":      {"$defs/event", `{events: {x: {channel: status, zzz: 1}}, initial: a, states: {a: {}}}`},
	"pattern":    {"$defs/pattern", `{patterns: {x: {sequence: [y], zzz: 1}}, initial: a, states: {a: {}}}`},
	"step":       {"$defs/step/anyOf/1", `{patterns: {x: {sequence: [{event: y, zzz: 1}]}}, initial: a, states: {a: {}}}`},
	"times":      {"$defs/step/anyOf/1/properties/times/anyOf/1", `{patterns: {x: {sequence: [{event: y, times: {zzz: 1}}]}}, initial: a, states: {a: {}}}`},
	"skip":       {"$defs/pattern/properties/skip/anyOf/1", `{patterns: {x: {sequence: [y], skip: {zzz: 1}}}, initial: a, states: {a: {}}}`},
}

// TestSchemaHasTheKeysOfLoad also finds a key without a word about it.
func TestSchemaHasTheKeysOfLoad(t *testing.T) {
	root := decodedSchema(t)
	for name, c := range unknownKey {
		want := keysThatLoadKnows(t, c.model)
		var got []string
		switch name {
		case "action":
			for _, a := range root.at(t, "$defs/action/anyOf").([]any) {
				got = append(got, a.(map[string]any)["required"].([]any)[0].(string))
			}
		case "raise", "command", "publish", "notify":
			for _, a := range root.at(t, "$defs/action/anyOf").([]any) {
				if p, ok := a.(map[string]any)["properties"].(map[string]any)[name].(map[string]any); ok {
					if short, ok := p["anyOf"].([]any); ok {
						p = short[1].(map[string]any) // the other is a string
					}
					got = properties(t, name, p)
				}
			}
		default:
			got = properties(t, name, root.at(t, c.path))
		}
		slices.Sort(got)
		slices.Sort(want)
		want = slices.Compact(want) // description is a key of the file and of its root state
		if !slices.Equal(got, want) {
			t.Errorf("%s: the schema has the keys %q, Load has %q", name, got, want)
		}
	}
}

func keysThatLoadKnows(t *testing.T, model string) []string {
	t.Helper()
	_, err := Load("x.yaml", []byte(model))
	var faults source.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			if _, list, ok := strings.Cut(f.Message, `"zzz"; expected one of `); ok {
				return strings.Split(list, ", ")
			}
		}
	}
	t.Fatalf("%s: no unknown key: %v", model, err)
	return nil
}

func properties(t *testing.T, name string, s any) []string {
	all := s.(map[string]any)["properties"].(map[string]any)
	for k, of := range all {
		if len(of.(map[string]any)) == 0 {
			t.Errorf("%s: nothing is said about key %q; add it to schema_words.go", name, k)
		}
	}
	return slices.Collect(maps.Keys(all))
}

func TestSchemaAcceptsWhatLoads(t *testing.T) {
	root := decodedSchema(t)
	files, _ := filepath.Glob("../models/*.yaml")
	more, _ := filepath.Glob("testdata/graph/*.yaml")
	for _, file := range append(files, more...) {
		if strings.HasSuffix(file, ".scenario.yaml") {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.validate(source.Parse(file, src).Root().Any()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, c := range chartCases {
		if err := root.validate(source.Parse(c.name, []byte(c.model)).Root().Any()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	root := decodedSchema(t)
	for _, model := range []string{
		`{}`, `[]`, `{states: {a: {onn: {}}}}`, `{states: {a: {on: {x: {targt: b}}}}}`, `{states: {a: {entry: {shout: x}}}}`,
		`{states: {a: {entry: {log: x, raise: y}}}}`, `{states: {a: {type: initial}}}`, `{states: {a: 5}}`,
		`{states: {}, events: {x: {channel: radio}}}`, `{states: {}, events: {x: {}}}`, `{states: {}, patterns: {p: {sequence: []}}}`,
		`{states: {}, patterns: {p: {sequence: [{event: x, times: 0}]}}}`, `{states: {}, liveness: {tolerance: 5s}}`,
		`{states: {}, liveness: {silent_after: soon}}`, `{states: {a: {invoke: {input: {}}}}}`,
	} {
		if root.validate(source.Parse("x", []byte(model)).Root().Any()) == nil {
			t.Errorf("accepted: %s", model)
		}
	}
}

// validator knows the part of JSON Schema that Schema uses.
type validator map[string]any

func decodedSchema(t *testing.T) validator {
	t.Helper()
	b, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var v validator
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v validator) at(t *testing.T, path string) any {
	t.Helper()
	var at any = map[string]any(v)
	for _, key := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' }) {
		switch x := at.(type) {
		case map[string]any:
			at = x[key]
		case []any:
			at = x[key[0]-'0']
		}
	}
	if at == nil {
		t.Fatalf("the schema has nothing at %s", path)
	}
	return at
}

func (v validator) validate(value any) error { return v.check(map[string]any(v), value, "") }

func (v validator) check(s map[string]any, value any, at string) error {
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
			err = fmt.Errorf("the test does not know %q", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v validator) object(s map[string]any, value any, at string) error {
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

func (v validator) anyOf(of []any, value any, at string) error {
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
