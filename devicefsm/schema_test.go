package devicefsm

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"devicetwin/internal/schema/schematest"
	"devicetwin/internal/testfile"
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
	"alarm":      {"$defs/alarm", `{alarms: {x: {begins: y, ends: z, zzz: 1}}, initial: a, states: {a: {}}}`},
	"pattern":    {"$defs/pattern", `{patterns: {x: {sequence: [y], zzz: 1}}, initial: a, states: {a: {}}}`},
	"step":       {"$defs/step/anyOf/1", `{patterns: {x: {sequence: [{event: y, zzz: 1}]}}, initial: a, states: {a: {}}}`},
	"window":     {"$defs/window", `{windows: {x: {event: y, aggregate: count, over: 1m, zzz: 1}}, initial: a, states: {a: {}}}`},
	"process":    {"$defs/process", `{process: {event: x, src: y, zzz: 1}, initial: a, states: {a: {}}}`},
	"retry":      {"$defs/process/properties/retry", `{process: {event: x, src: y, retry: {zzz: 1}}, initial: a, states: {a: {}}}`},
	"times":      {"$defs/step/anyOf/1/properties/times/anyOf/1", `{patterns: {x: {sequence: [{event: y, times: {zzz: 1}}]}}, initial: a, states: {a: {}}}`},
	"skip":       {"$defs/pattern/properties/skip/anyOf/1", `{patterns: {x: {sequence: [y], skip: {zzz: 1}}}, initial: a, states: {a: {}}}`},
}

// TestSchemaHasTheKeysOfLoad also finds a key without a word about it.
func TestSchemaHasTheKeysOfLoad(t *testing.T) {
	root := decodedSchema(t)
	for name, c := range unknownKey {
		_, err := Load("x.yaml", []byte(c.model))
		want := schematest.KeysOfLoad(t, c.model, err)
		var got []string
		switch name {
		case "action":
			for _, a := range root.At("$defs/action/anyOf").([]any) {
				got = append(got, a.(map[string]any)["required"].([]any)[0].(string))
			}
		case "raise", "command", "publish", "notify":
			for _, a := range root.At("$defs/action/anyOf").([]any) {
				if p, ok := a.(map[string]any)["properties"].(map[string]any)[name].(map[string]any); ok {
					if short, ok := p["anyOf"].([]any); ok {
						p = short[1].(map[string]any) // the other is a string
					}
					got = schematest.Keys(t, name, p)
				}
			}
		default:
			got = schematest.Keys(t, name, root.At(c.path))
		}
		slices.Sort(got)
		want = slices.Compact(want) // description is a key of the file and of its root state
		if !slices.Equal(got, want) {
			t.Errorf("%s: the schema has the keys %q, Load has %q", name, got, want)
		}
	}
}

func TestSchemaAcceptsWhatLoads(t *testing.T) {
	root := decodedSchema(t)
	more, _ := filepath.Glob("testdata/graph/*.yaml")
	for _, file := range append(testfile.Models(t, "../models"), more...) {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.Validate(source.Parse(file, src).Root().Any()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, c := range chartCases {
		if err := root.Validate(source.Parse(c.name, []byte(c.model)).Root().Any()); err != nil {
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
		if root.Validate(source.Parse("x", []byte(model)).Root().Any()) == nil {
			t.Errorf("accepted: %s", model)
		}
	}
}

func decodedSchema(t *testing.T) schematest.Validator {
	t.Helper()
	b, err := Schema()
	return schematest.Of(t, b, err)
}
