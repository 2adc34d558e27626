// Package schema makes JSON Schemas (draft 2020-12) of files that people write, for editors
// that complete and check while one types, from the same tables of keys as whatever loads the
// files. It knows what these schemas need, and no more.
package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Schema is one schema: its keywords.
type Schema map[string]any

// Words is the schema of each key of a mapping.
type Words map[string]Schema

// Ref is the schema with a name in $defs.
func Ref(name string) Schema { return Schema{"$ref": "#/$defs/" + name} }

// AnyOf is a value that one of some schemas accepts.
func AnyOf(of ...Schema) Schema { return Schema{"anyOf": of} }

// List is a list of items.
func List(items Schema) Schema { return Schema{"type": "array", "items": items} }

// OneOrList is an item, or a list of items.
func OneOrList(item Schema) Schema { return AnyOf(item, List(item)) }

// Map is a mapping with any keys.
func Map(values Schema) Schema { return Schema{"type": "object", "additionalProperties": values} }

// Enum is one of some strings.
func Enum(v []string) Schema { return Schema{"type": "string", "enum": v} }

// Whole is an integer, with its bounds.
func Whole(low, high int) Schema {
	return Schema{"type": "integer", "minimum": low, "maximum": high}
}

// Required is a mapping that has some keys. It changes s.
func Required(s Schema, keys ...string) Schema {
	s["required"] = keys
	return s
}

// RequiredOne is a mapping that has one of some keys, at least. It changes s.
func RequiredOne(s Schema, keys ...string) Schema {
	var of []Schema
	for _, key := range keys {
		of = append(of, Required(Schema{}, key))
	}
	s["anyOf"] = of
	return s
}

// Described gives a schema the sentence that an editor shows.
func Described(s Schema, description string) Schema {
	out := maps.Clone(s)
	out["description"] = description
	return out
}

// Keys are those of w, sorted.
func Keys(w Words) []string { return slices.Sorted(maps.Keys(w)) }

// Merged has the words of all.
func Merged(all ...Words) Words {
	out := Words{}
	for _, w := range all {
		maps.Copy(out, w)
	}
	return out
}

// WithKeys is a mapping with these keys and no others. A key without a word accepts anything.
func WithKeys(keys []string, w Words) Schema {
	properties := Schema{}
	for _, k := range keys {
		properties[k] = Schema{}
		if s, ok := w[k]; ok {
			properties[k] = s
		}
	}
	return Schema{"type": "object", "properties": properties, "additionalProperties": false}
}

// File is the schema of a file, as it is written: root with a title, a description, and the
// schemas to which Ref refers.
func File(root Schema, title, description string, defs Words) ([]byte, error) {
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"], root["description"] = title, description
	root["$defs"] = defs
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of %s: %w", title, err)
	}
	return append(b, '\n'), nil
}
