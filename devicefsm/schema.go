package devicefsm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Schema is the JSON Schema (draft 2020-12) of the model file, for editors that
// complete and check while one types. It is made from the same tables of keys as
// Load. It knows less than Load: it does not check names that have to exist
// elsewhere in the file, nor what is inside expressions. Its output for this
// version is models/model.schema.json.
func Schema() ([]byte, error) {
	root := withKeys(slices.Concat(modelKeys, chartKeys), merged(modelWords, chartWords))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "devicetwin model"
	root["description"] = "What a device does: a statechart and event patterns. Reference: docs/models.md"
	root["required"] = []string{"states"}
	root["$defs"] = schema{
		"state":       anyOf(schema{"type": "null"}, withKeys(chartKeys, chartWords)),
		"transition":  anyOf(refTo("target"), withKeys(keysOf(transitionWords), transitionWords)),
		"transitions": anyOf(refTo("transition"), listOf(refTo("transition"))),
		"target":      schema{"type": []string{"string", "null"}, "description": "A sibling, .child, path a.b.c, or #id."},
		"targets":     anyOf(refTo("target"), listOf(refTo("target"))),
		"event":       required(withKeys(keysOf(eventWords), eventWords), "channel"),
		"pattern":     required(withKeys(patternKeys, patternWords), "sequence"),
		"step":        anyOf(schema{"type": "string"}, withKeys(stepKeys, stepWords)),
		"invoke":      required(withKeys(keysOf(invokeWords), invokeWords), "src"),
		"action":      schema{"anyOf": actionSchemas()},
		"actions":     anyOf(schema{"type": "null"}, refTo("action"), listOf(refTo("action"))),
		"expression":  schema{"type": []string{"string", "number", "boolean"}, "description": "A CEL expression."},
		"template":    schema{"description": "A JSON value whose strings are CEL expressions."},
		"object":      schema{"type": []string{"object", "string", "null"}, "description": "A mapping whose strings are CEL expressions, or an expression that gives a mapping."},
		"duration":    schema{"type": []string{"string", "integer"}, "pattern": "^[0-9]", "description": "Such as 90s, 5m, 36h, 30d or 1d12h."},
	}
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of the model file: %w", err)
	}
	return append(b, '\n'), nil
}

type schema map[string]any

// words is the schema of each key of a mapping.
type words map[string]schema

func refTo(name string) schema   { return schema{"$ref": "#/$defs/" + name} }
func anyOf(of ...schema) schema  { return schema{"anyOf": of} }
func listOf(items schema) schema { return schema{"type": "array", "items": items} }
func mapOf(values schema) schema { return schema{"type": "object", "additionalProperties": values} }
func enumOf(v []string) schema   { return schema{"type": "string", "enum": v} }

func whole(low, high int) schema {
	return schema{"type": "integer", "minimum": low, "maximum": high}
}

func required(s schema, keys ...string) schema {
	s["required"] = keys
	return s
}

// described gives a schema the sentence that an editor shows.
func described(s schema, description string) schema {
	out := maps.Clone(s)
	out["description"] = description
	return out
}

func merged(all ...words) words {
	out := words{}
	for _, w := range all {
		maps.Copy(out, w)
	}
	return out
}

func keysOf(w words) []string { return slices.Sorted(maps.Keys(w)) }

// withKeys is a mapping with these keys and no others.
func withKeys(keys []string, w words) schema {
	properties := schema{}
	for _, k := range keys {
		properties[k] = schema{}
		if s, ok := w[k]; ok {
			properties[k] = s
		}
	}
	return schema{"type": "object", "properties": properties, "additionalProperties": false}
}

// actionSchemas has one schema for each action: a mapping with the one key.
func actionSchemas() []schema {
	var all []schema
	for _, k := range actionKeys {
		if k == "if" {
			s := withKeys([]string{"if", "then", "else"}, words{
				"if":   described(refTo("expression"), "Decides between then and else."),
				"then": refTo("actions"), "else": refTo("actions"),
			})
			all = append(all, required(s, "if", "then"))
			continue
		}
		if k == "desire" {
			s := withKeys([]string{"desire", "within", "shadow"}, words{
				"desire": actionWords["desire"],
				"within": described(refTo("duration"), "How long the device may take to report the same, before twin.diverged is raised."),
				"shadow": described(anyText, "Name of the shadow; the classic one by default."),
			})
			all = append(all, required(s, "desire"))
			continue
		}
		all = append(all, required(withKeys([]string{k}, actionWords), k))
	}
	return all
}
