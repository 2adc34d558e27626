package devicefsm

import (
	"slices"

	"devicetwin/internal/schema"
)

// Schema is the JSON Schema (draft 2020-12) of the model file, for editors that
// complete and check while one types. It is made from the same tables of keys as
// Load. It knows less than Load: it does not check names that have to exist
// elsewhere in the file, nor what is inside expressions. Its output for this
// version is models/model.schema.json.
func Schema() ([]byte, error) {
	root := schema.WithKeys(slices.Concat(modelKeys, chartKeys), schema.Merged(modelWords, chartWords))
	return schema.File(schema.Required(root, "states"), "devicetwin model", "What a device does: a statechart and event patterns. Reference: docs/models.md", schema.Words{
		"state":       schema.AnyOf(schema.Schema{"type": "null"}, schema.WithKeys(chartKeys, chartWords)),
		"transition":  schema.AnyOf(schema.Ref("target"), schema.WithKeys(schema.Keys(transitionWords), transitionWords)),
		"transitions": schema.AnyOf(schema.Ref("transition"), schema.List(schema.Ref("transition"))),
		"target":      schema.Schema{"type": []string{"string", "null"}, "description": "A sibling, .child, path a.b.c, or #id."},
		"targets":     schema.AnyOf(schema.Ref("target"), schema.List(schema.Ref("target"))),
		"event":       schema.Required(schema.WithKeys(schema.Keys(eventWords), eventWords), "channel"),
		"pattern":     schema.Required(schema.WithKeys(patternKeys, patternWords), "sequence"),
		"alarm":       schema.Required(schema.WithKeys(alarmKeys, alarmWords), "begins", "ends"),
		"eventNames":  schema.AnyOf(anyText, schema.List(anyText)),
		"window":      schema.Required(schema.WithKeys(windowKeys, windowWords), "event", "aggregate", "over"),
		"process":     schema.Required(schema.WithKeys(processKeys, processWords), "event", "src"),
		"step":        schema.AnyOf(schema.Schema{"type": "string"}, schema.WithKeys(stepKeys, stepWords)),
		"schedule":    schema.WithKeys(scheduleKeys, scheduleWords),
		"invoke":      schema.Required(schema.WithKeys(schema.Keys(invokeWords), invokeWords), "src"),
		"action":      schema.Schema{"anyOf": actionSchemas()},
		"actions":     schema.AnyOf(schema.Schema{"type": "null"}, schema.Ref("action"), schema.List(schema.Ref("action"))),
		"expression":  schema.Schema{"type": []string{"string", "number", "boolean"}, "description": "A CEL expression."},
		"template":    schema.Schema{"description": "A JSON value whose strings are CEL expressions."},
		"object":      schema.Schema{"type": []string{"object", "string", "null"}, "description": "A mapping whose strings are CEL expressions, or an expression that gives a mapping."},
		"duration":    schema.Schema{"type": []string{"string", "integer"}, "pattern": "^[0-9]", "description": "Such as 90s, 5m, 36h, 30d or 1d12h."},
	})
}

// actionSchemas has one schema for each action: a mapping with the one key.
func actionSchemas() []schema.Schema {
	var all []schema.Schema
	for _, k := range actionKeys {
		if k == "if" {
			s := schema.WithKeys([]string{"if", "then", "else"}, schema.Words{
				"if":   schema.Described(schema.Ref("expression"), "Decides between then and else."),
				"then": schema.Ref("actions"), "else": schema.Ref("actions"),
			})
			all = append(all, schema.Required(s, "if", "then"))
			continue
		}
		if k == "desire" {
			s := schema.WithKeys([]string{"desire", "within", "shadow"}, schema.Words{
				"desire": actionWords["desire"],
				"within": schema.Described(schema.Ref("duration"), "How long the device may take to report the same, before twin.diverged is raised."),
				"shadow": schema.Described(anyText, "Name of the shadow; the classic one by default."),
			})
			all = append(all, schema.Required(s, "desire"))
			continue
		}
		all = append(all, schema.Required(schema.WithKeys([]string{k}, actionWords), k))
	}
	return all
}
