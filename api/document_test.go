package api_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"devicetwin/api"
	"devicetwin/device"
)

// document is what tests read of the OpenAPI document.
type document struct {
	Paths map[string]map[string]struct {
		OperationID string
		Security    []map[string][]string
		Responses   map[string]struct {
			Content map[string]struct{ Schema schema }
		}
		RequestBody struct {
			Content map[string]struct{ Schema schema }
		}
	}
	Components struct{ SecuritySchemes map[string]any }
}

type schema struct {
	Type, Pattern        string
	MinLength, MaxLength int
	MaxProperties        int
	AdditionalProperties json.RawMessage // a schema, or a boolean
	PropertyNames        *schema
	Properties           map[string]schema
	Items                *schema
	OneOf                []schema
	Enum                 []string
	Ref                  string `json:"$ref"`
}

func documentOf(t *testing.T, s *service) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(s.call("GET", "/openapi.json", "").body), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The document of an API names tokens, and what is answered without one, if it asks
// for them; and the answer to another host's name if it does not.
func TestTheDocumentSaysWhetherTokensAreAskedFor(t *testing.T) {
	for tokens, s := range map[bool]*service{false: start(t), true: start(t, withKeys)} {
		d := documentOf(t, s)
		if has := len(d.Components.SecuritySchemes) > 0; has != tokens {
			t.Errorf("tokens %v: schemes %v", tokens, d.Components.SecuritySchemes)
		}
		for path, methods := range d.Paths {
			for method, op := range methods {
				for status, want := range map[string]bool{"401": tokens, "403": tokens, "421": !tokens} {
					if _, has := op.Responses[status]; has != want {
						t.Errorf("tokens %v: %s %s answers %s: %v", tokens, method, path, status, has)
					}
				}
				if (len(op.Security) > 0) != tokens {
					t.Errorf("tokens %v: %s %s has security %v", tokens, method, path, op.Security)
				}
			}
		}
	}
}

// The bounds of tags in the document are those of device.CheckTags.
func TestTheDocumentHasTheBoundsOfTags(t *testing.T) {
	tags := documentOf(t, start(t)).Paths["/v1/devices/{id}/tags"]["put"].RequestBody.Content["application/json"].Schema
	var value schema
	if err := json.Unmarshal(tags.AdditionalProperties, &value); err != nil {
		t.Fatal(err)
	}
	key := tags.PropertyNames
	if tags.MaxProperties != device.MaxTags || value.MinLength != 1 || value.MaxLength != device.MaxTagValue ||
		value.Pattern == "" || key == nil || key.MinLength != 1 || key.MaxLength != device.MaxTagKey || key.Pattern == "" {
		t.Errorf("tags %+v, values %+v, keys %+v", tags, value, key)
	}
	s := start(t)
	longest := strings.Repeat("v", device.MaxTagValue)
	s.call("PUT", "/v1/devices/pump-1/tags", `{"`+strings.Repeat("k", device.MaxTagKey)+`":"`+longest+`"}`).check(t, 200)
	s.call("PUT", "/v1/devices/pump-1/tags", `{"k":"`+longest+`v"}`).check(t, 422, "value of tag")
	s.call("PUT", "/v1/devices/pump-1/tags", `{"`+strings.Repeat("k", device.MaxTagKey+1)+`":"v"}`).check(t, 422, "expected 1 to 64")
}

// A stream is described as its events, each with its type and its data.
func TestTheDocumentDescribesStreams(t *testing.T) {
	stream := documentOf(t, start(t)).Paths["/v1/devices/{id}/stream"]["get"].Responses["200"].Content["text/event-stream"].Schema
	if stream.Type != "array" || stream.Items == nil {
		t.Fatalf("stream %+v", stream)
	}
	data := map[string]string{}
	for _, event := range stream.Items.OneOf {
		data[event.Properties["event"].Enum[0]] = strings.TrimPrefix(event.Properties["data"].Ref, "#/components/schemas/") + event.Properties["data"].Type
		if _, id := event.Properties["id"]; id == (event.Properties["event"].Enum[0] == api.EventEnd) {
			t.Errorf("event %+v: has an id %v", event, id)
		}
	}
	want := map[string]string{
		api.EventSnapshot: "Device", api.EventState: "StateChange", api.EventTwin: "TwinChange", api.EventCommand: "Command",
		api.EventConnection: "ConnectionChange", api.EventTags: "object", api.EventProblem: "Trouble", api.EventGone: "object", api.EventEnd: "Trouble",
	}
	if !maps.Equal(data, want) {
		t.Errorf("events %v, want %v", data, want)
	}
}
