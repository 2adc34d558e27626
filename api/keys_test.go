package api_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"devicetwin/api"
	"devicetwin/device"
)

// A key belongs to one request: for all pairs of operations, the second request with
// it is 422, and the first one again gets its response. Whatever a request says
// belongs to it: its path, query, headers and body.
func TestAKeyBelongsToOneRequest(t *testing.T) {
	type request struct{ method, path, body, header string }
	desired := func(query, body, header string) request {
		return request{"PATCH", "/v1/devices/pump-1/desired" + query, body, header}
	}
	command := func(body string) request { return request{"POST", "/v1/devices/pump-1/commands", body, "X: y"} }
	requests := map[string]request{
		"desired":                desired("", `{"a":1}`, "X: y"),
		"desired, another body":  desired("", `{"a":2}`, "X: y"),
		"desired, a shadow":      desired("?shadow=net", `{"a":1}`, "X: y"),
		"desired, in time":       desired("?within=5m", `{"a":1}`, "X: y"),
		"desired, of a version":  desired("", `{"a":1}`, `If-Match: "7"`),
		"tags":                   {"PUT", "/v1/devices/pump-1/tags", `{"hall":"4"}`, "X: y"},
		"other tags":             {"PUT", "/v1/devices/pump-1/tags", `{}`, "X: y"},
		"command":                command(`{"name":"reboot"}`),
		"another command":        command(`{"name":"locate"}`),
		"command with data":      command(`{"name":"reboot","data":{"a":1}}`),
		"command, three times":   command(`{"name":"reboot","max_deliveries":3}`),
		"command for an hour":    command(`{"name":"reboot","ttl":"1h"}`),
		"command that replaces":  command(`{"name":"reboot","replace":true}`),
		"cancel":                 {"DELETE", "/v1/devices/pump-1/commands/c1", "", "X: y"},
		"cancel another":         {"DELETE", "/v1/devices/pump-1/commands/c2", "", "X: y"},
		"event":                  {"POST", "/v1/devices/pump-1/events", `{"name":"maintenance"}`, "X: y"},
		"event with data":        {"POST", "/v1/devices/pump-1/events", `{"name":"maintenance","data":{"a":1}}`, "X: y"},
		"reprovision":            {"POST", "/v1/devices/pump-1/reprovision", "", "X: y"},
		"reprovision, as stolen": {"POST", "/v1/devices/pump-1/reprovision", `{"reason":"stolen"}`, "X: y"},
		"delete":                 {"DELETE", "/v1/devices/pump-1", "", "X: y"},
		"delete with the data":   {"DELETE", "/v1/devices/pump-1?data=true", "", "X: y"},
	}
	names := slices.Sorted(maps.Keys(requests))
	for _, first := range names {
		s := start(t)
		for i := range 2 {
			s.call("POST", "/v1/devices/pump-1/commands", fmt.Sprintf(`{"name":"to-cancel-%d"}`, i)).check(t, 201)
		}
		send := func(r request) answer { return s.call(r.method, r.path, r.body, "Idempotency-Key: k", r.header) }
		was := send(requests[first])
		was.check(t, was.status)
		if was.status >= 300 {
			t.Errorf("%s: %d %s", first, was.status, was.body)
		}
		for _, second := range names {
			got := send(requests[second])
			if second != first {
				got.check(t, 422, "idempotency key")
			} else if got.status != was.status || got.body != was.body || got.header.Get("ETag") != was.header.Get("ETag") || got.header.Get("Location") != was.header.Get("Location") {
				t.Errorf("%s again: %d %s, want %d %s", first, got.status, got.body, was.status, was.body)
			}
		}
	}
}

// A key is one caller's: whatever their names are, two callers do not share one.
func TestKeysOfTwoCallers(t *testing.T) {
	s := start(t, func(o *api.Options) { o.Auth = byToken{} })
	for _, request := range [][2]string{{"a/b", "c"}, {"a", "b/c"}, {"a%2Fb", "c"}, {"a", "b%2Fc"}} {
		s.call("POST", "/v1/devices/pump-1/commands", `{"name":"reboot"}`, "Authorization: Bearer "+request[0], "Idempotency-Key: "+request[1]).check(t, 201)
	}
	ids := map[string]bool{}
	for _, c := range s.fleet.Calls() {
		ids[c.ID] = true
	}
	var d api.Device
	s.fleet.Change(device.ID("pump-1"), func(has *api.Device) { d = *has })
	if len(ids) != 4 || len(d.Commands) != 4 {
		t.Errorf("operations %v, %d commands, want 4", ids, len(d.Commands))
	}
}

// byToken takes every token for its caller's name.
type byToken struct{}

func (byToken) Authenticate(_ context.Context, token string) (api.Caller, error) {
	return api.Caller{Name: token, Scopes: []api.Scope{api.ScopeAdmin}}, nil
}
