package schema_test

import (
	"encoding/json"
	"testing"

	"devicetwin/internal/schema"
	"devicetwin/internal/schema/schematest"
)

func TestValidate(t *testing.T) {
	root := schema.Required(schema.WithKeys([]string{"name", "size", "of", "tags", "any"}, schema.Words{
		"name": schema.Described(schema.Schema{"type": "string", "pattern": "^[a-z]+$"}, "A name."), "size": schema.Whole(1, 3), "of": schema.OneOrList(schema.Ref("kind")), "tags": schema.Map(schema.Schema{"type": "boolean"}),
	}), "name")
	b, err := schema.File(root, "test", "For a test.", schema.Words{"kind": schema.Enum([]string{"a", "b"})})
	if err != nil {
		t.Fatal(err)
	}
	v, err := schematest.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	for text, valid := range map[string]bool{
		`{"name":"x"}`: true, `{"name":"x","size":3,"of":["a","b"],"tags":{"t":true},"any":[{}]}`: true, `{"name":"x","of":"b"}`: true,
		`{}`: false, `[]`: false, `{"name":"X"}`: false, `{"name":"x","size":0}`: false, `{"name":"x","size":4}`: false, `{"name":"x","size":1.5}`: false,
		`{"name":"x","of":"c"}`: false, `{"name":"x","of":["a","c"]}`: false, `{"name":"x","tags":{"t":1}}`: false, `{"name":"x","more":1}`: false,
	} {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if err := v.Validate(value); (err == nil) != valid {
			t.Errorf("%s: %v", text, err)
		}
	}
	if (schematest.Validator{"oneOf": []any{}}).Validate(1.0) == nil {
		t.Error("an unknown keyword accepts everything")
	}
	if v.At("properties/of/anyOf/1/items") == nil || v.At("properties/none") != nil {
		t.Error("paths lead elsewhere")
	}
	if _, err := schematest.Read([]byte("[")); err == nil {
		t.Error("no schema was read")
	}
}
