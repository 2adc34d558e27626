package api

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/danielgtaylor/huma/v2"
)

// Object is a JSON object as it was written: numbers keep all their digits. nil
// means that there is no object, and is omitted.
type Object json.RawMessage

// ObjectOf encodes a value as an Object; nil if it is not encoded as a JSON
// object.
func ObjectOf(v any) Object {
	raw, err := json.Marshal(v)
	if err != nil || len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	return raw
}

// Map is the object with its numbers as doubles; nil if there is no object.
func (o Object) Map() map[string]any {
	var m map[string]any
	if json.Unmarshal(o, &m) != nil {
		return nil
	}
	return m
}

// MarshalJSON implements json.Marshaler.
func (o Object) MarshalJSON() ([]byte, error) {
	if len(o) == 0 {
		return []byte("null"), nil
	}
	return o, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if string(raw) == "null" {
		*o = nil
		return nil
	}
	if len(raw) == 0 || raw[0] != '{' {
		return errors.New("expected an object")
	}
	*o = bytes.Clone(raw)
	return nil
}

// Schema implements huma.SchemaProvider.
func (Object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}
