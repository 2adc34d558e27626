package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/device"
)

func TestEndpoints(t *testing.T) {
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		says                     []string
	}{
		{"list", "GET", "/v1/devices", "", nil, 200, []string{`"id":"pump-1"`, `"id":"truck-1"`, `"hall":"3"`}},
		{"list by query", "GET", "/v1/devices?query=state:quarantined+connection:offline", "", nil, 200, []string{`{"devices":[{"id":"pump-2"`}},
		{"list nothing", "GET", "/v1/devices?query=id:x", "", nil, 200, []string{`{"devices":[]}`}},
		{"bad query", "GET", "/v1/devices?query=stat:x+id:", "", nil, 400, []string{`"location":"query.query:1"`, `no field`, `"location":"query.query:11"`, "expected a value"}},
		{"limit too large", "GET", "/v1/devices?limit=1001", "", nil, 422, []string{"expected number <= 1000"}},
		{"unknown parameter", "GET", "/v1/devices?filter=x", "", nil, 422, []string{"unknown query parameter"}},
		{"foreign cursor", "GET", "/v1/devices?cursor=abcd", "", nil, 400, []string{"the cursor belongs to another query"}},
		{"get", "GET", "/v1/devices/pump-1", "", nil, 200, []string{`"state":"online"`, `"version":7`, `"interval":10`, `"duplicates":1`}},
		{"get, what had no effect", "GET", "/v1/devices/pump-1", "", nil, 200, []string{
			`"report_count":4`, `{"at":"2026-03-01T11:58:00Z","topic":"telemetry","reason":"expression","detail":"when `, `"value":"{\"temp\":\"95\"}","count":3}]`,
		}},
		{"get unknown", "GET", "/v1/devices/nobody", "", nil, 404, []string{"device nobody: unknown device"}},
		{"bad id", "GET", "/v1/devices/a%2Fb", "", nil, 422, []string{"path.id"}},
		{"why", "GET", "/v1/devices/pump-1/why", "", nil, 200, []string{`"event":"boot"`, `"guards":["event.credential == context.credential"]`, `"context_before":{"attempts":1}`, `"seq":4`, `"model_hash":"1660`}},
		{"why, one", "GET", "/v1/devices/pump-1/why?limit=1", "", nil, 200, []string{`"from":"awaiting_birth"`}},
		{"why nothing", "GET", "/v1/devices/pump-2/why", "", nil, 200, []string{`"transitions":[]`}},
		{"desired", "PATCH", "/v1/devices/pump-1/desired", `{"interval": 20}`, []string{"Content-Type: application/merge-patch+json"}, 200, []string{`"version":8`, `"changed":["interval"]`}},
		{"desired, as JSON", "PATCH", "/v1/devices/pump-1/desired?within=5m", `{"interval": 20}`, []string{`If-Match: "7"`}, 200, []string{`"version":8`}},
		{"wrong version", "PATCH", "/v1/devices/pump-1/desired", `{"interval": 20}`, []string{`If-Match: "6"`}, 412, []string{"the document has version 7, not 6"}},
		{"bad version", "PATCH", "/v1/devices/pump-1/desired", `{}`, []string{`If-Match: W/x`}, 400, []string{"expected a version"}},
		{"bad time", "PATCH", "/v1/devices/pump-1/desired?within=soon", `{}`, nil, 400, []string{"within", "5m"}},
		{"document too large", "PATCH", "/v1/devices/pump-1/desired", `{"x":"` + strings.Repeat("x", 9000) + `"}`, nil, 413, []string{"the limit is 8192"}},
		{"body too large", "PATCH", "/v1/devices/pump-1/desired", `{"x":"` + strings.Repeat("x", 128<<10) + `"}`, nil, 413, []string{"too large"}},
		{"patch that is not an object", "PATCH", "/v1/devices/pump-1/desired", `[1]`, nil, 422, []string{"expected object"}},
		{"patch that is not JSON", "PATCH", "/v1/devices/pump-1/desired", `{"a"`, nil, 400, []string{"body"}},
		{"no patch", "PATCH", "/v1/devices/pump-1/desired", "", nil, 400, []string{"request body is required"}},
		{"other content", "PATCH", "/v1/devices/pump-1/desired", `{}`, []string{"Content-Type: text/plain"}, 415, []string{"unknown content type"}},
		{"tags", "PUT", "/v1/devices/pump-1/tags", `{"hall":"4","owner":"ops"}`, nil, 200, []string{`{"hall":"4","owner":"ops"}`}},
		{"an empty number", "GET", "/v1/devices?limit=", "", nil, 422, []string{"the query parameter limit is empty, expected a value of type integer"}},
		{"a parameter twice, the first empty", "GET", "/v1/devices?limit=&limit=x", "", nil, 400, []string{"the query parameter limit is given 2 times"}},
		{"bad tags", "PUT", "/v1/devices/pump-1/tags", `{"a b":"x","c":""}`, nil, 422, []string{`tag \"a b\"`, `value of tag \"c\"`}},
		{"tags that are numbers", "PUT", "/v1/devices/pump-1/tags", `{"a":1}`, nil, 422, []string{"expected string"}},
		{"command", "POST", "/v1/devices/pump-1/commands", `{"name":"reboot","data":{"delay":12345678901234567890},"ttl":"1h"}`, nil, 201, []string{`"id":"c1"`, `"status":"waiting"`, `12345678901234567890`, `"expires":"2026-03-01T13:00:00Z"`}},
		{"command for days", "POST", "/v1/devices/pump-1/commands", `{"name":"reboot","ttl":"1d12h"}`, nil, 201, []string{`"expires":"2026-03-03T00:00:00Z"`}},
		{"command for the longest time", "POST", "/v1/devices/pump-1/commands", `{"name":"reboot","ttl":"30d"}`, nil, 201, []string{`"expires":"2026-03-31T12:00:00Z"`}},
		{"command for too long", "POST", "/v1/devices/pump-1/commands", `{"name":"reboot","ttl":"721h"}`, nil, 400, []string{`ttl \"721h\": expected a duration from 1s to 30d, such as 90s, 5m, 48h or 7d`}},
		{"command for too short", "POST", "/v1/devices/pump-1/commands", `{"name":"reboot","ttl":"999ms"}`, nil, 400, []string{"from 1s to 30d"}},
		{"desired, within a year", "PATCH", "/v1/devices/pump-1/desired?within=366d", `{"a":1}`, nil, 200, nil},
		{"desired, within more than that", "PATCH", "/v1/devices/pump-1/desired?within=366d1h", `{"a":1}`, nil, 400, []string{"from 1s to 366d"}},
		{"bad command", "POST", "/v1/devices/pump-1/commands", `{"name":"a/b","data":[],"tll":"1h"}`, nil, 422, []string{"body.name", "body.data", "body.tll"}},
		{"refused command", "POST", "/v1/devices/pump-1/commands", `{"name":"unheard-of"}`, nil, 409, []string{"the model knows no such command"}},
		{"unknown command", "GET", "/v1/devices/pump-1/commands/c9", "", nil, 404, []string{"no such command"}},
		{"event", "POST", "/v1/devices/pump-1/events", `{"name":"maintenance"}`, nil, 200, []string{`"from":"online"`, `"to":"maintenance"`}},
		{"null for what is optional", "POST", "/v1/devices/pump-1/commands", `{"name":"reboot","data":null,"ttl":null,"max_deliveries":null,"replace":null}`, nil, 201, nil},
		{"null for what is required", "POST", "/v1/devices/pump-1/events", `{"name":null}`, nil, 422, []string{"body.name"}},
		{"unknown event", "POST", "/v1/devices/pump-1/events", `{"name":"unheard-of"}`, nil, 422, []string{"model pump does not know the event", "an operator can send hello, maintenance"}},
		{"reserved event", "POST", "/v1/devices/pump-1/events", `{"name":"device.silent"}`, nil, 409, []string{"the service's own"}},
		{"reprovision", "POST", "/v1/devices/pump-1/reprovision", `{"reason":"stolen"}`, nil, 200, []string{`"to":"reprovisioning"`, `"by_model":true`}},
		{"reprovision without a body", "POST", "/v1/devices/pump-1/reprovision", "", nil, 200, []string{`"to":"reprovisioning"`}},
		{"delete", "DELETE", "/v1/devices/pump-2", "", nil, 204, nil},
		{"delete unknown", "DELETE", "/v1/devices/nobody", "", nil, 404, []string{"unknown device"}},
		{"delete with data, perhaps", "DELETE", "/v1/devices/pump-2?data=perhaps", "", nil, 422, []string{"data"}},
		{"unknown path", "GET", "/v2/devices", "", nil, 404, []string{"no such path"}},
		{"unknown method", "PUT", "/v1/devices/pump-1/why", "", nil, 405, []string{"this path takes GET"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start(t).call(tt.method, tt.path, tt.body, tt.headers...).check(t, tt.status, tt.says...)
		})
	}
}

func TestACommandsLife(t *testing.T) {
	s := start(t)
	sent := s.call("POST", "/v1/devices/pump-1/commands", `{"name":"reboot"}`)
	sent.check(t, 201)
	place := sent.header.Get("Location")
	s.call("GET", place, "").check(t, 200, `"status":"waiting"`, `"by":"anonymous"`)
	s.call("DELETE", place, "").check(t, 200, `"status":"cancelled"`)
	s.call("DELETE", place, "").check(t, 409, "cancelled already")
}

func TestVersionsAndKeys(t *testing.T) {
	s := start(t)
	first := s.call("PATCH", "/v1/devices/pump-1/desired", `{"a":1}`, "Idempotency-Key: k1")
	first.check(t, 200)
	tag := first.header.Get("ETag")
	again := s.call("PATCH", "/v1/devices/pump-1/desired", `{"a":1}`, "Idempotency-Key: k1")
	if again.body != first.body || again.header.Get("ETag") != tag || tag != `"8"` {
		t.Errorf("asked again with the same key: %s, ETag %s; want %s, %s", again.body, again.header.Get("ETag"), first.body, tag)
	}
	s.call("PATCH", "/v1/devices/pump-1/desired", `{"a":2}`, "If-Match: "+tag).check(t, 200, `"version":9`)
	s.call("PATCH", "/v1/devices/pump-1/desired?shadow=net", `{"a":2}`).check(t, 200, `"version":1`)
	calls := s.fleet.Calls()
	if calls[0] != (device.By{Who: "anonymous", ID: "anonymous/k1"}) || calls[2].ID == calls[3].ID {
		t.Errorf("operations %v", calls)
	}
}

func TestPages(t *testing.T) {
	s := start(t)
	var ids []device.ID
	cursor := ""
	for range 3 {
		var page api.Page
		a := s.call("GET", "/v1/devices?limit=1&query=model:pump"+cursor, "")
		a.check(t, 200)
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Devices {
			ids = append(ids, d.ID)
		}
		if page.Cursor == "" {
			break
		}
		cursor = "&cursor=" + page.Cursor
		s.call("GET", "/v1/devices?limit=1"+cursor, "").check(t, 400, "belongs to another query")
	}
	if !slices.Equal(ids, []device.ID{"pump-1", "pump-2"}) {
		t.Errorf("devices %v", ids)
	}
}

func TestFaultsOfTheService(t *testing.T) {
	s := start(t)
	for _, tt := range []struct {
		fault  error
		status int
		says   string
	}{
		{device.ErrUnavailable, 503, "can't be reached now"},
		{context.DeadlineExceeded, 503, "can't be reached now"},
		{errors.New("secret: wrong types"), 500, "see the log for id "},
	} {
		s.fleet.Fail(tt.fault)
		for _, path := range []string{"/v1/devices", "/v1/devices/pump-1", "/v1/devices/pump-1/stream"} {
			a := s.call("GET", path, "")
			a.check(t, tt.status, tt.says)
			if retry := a.header.Get("Retry-After"); (retry != "") != (tt.status == 503) {
				t.Errorf("%v: Retry-After %q", tt.fault, retry)
			}
			if strings.Contains(a.body, "secret") {
				t.Errorf("the answer reveals internals: %s", a.body)
			}
			if id := a.header.Get("X-Request-Id"); id == "" || !strings.Contains(s.log.String(), id) {
				t.Errorf("the log does not know id %q:\n%s", id, s.log.String())
			}
		}
	}
}

type panics struct{ *apitest.Backend }

func (panics) Device(context.Context, device.ID) (api.Device, error) { panic("a bug") }
func (panics) Delete(context.Context, device.ID, device.By) error    { panic("a bug") }

func TestPanics(t *testing.T) {
	s := start(t, func(o *api.Options) { o.Backend = panics{apitest.New()} })
	a := s.call("GET", "/v1/devices/pump-1", "")
	a.check(t, 500, "see the log for id "+a.header.Get("X-Request-Id"))
	if l := s.log.String(); !strings.Contains(l, "a bug") || !strings.Contains(l, a.header.Get("X-Request-Id")) {
		t.Errorf("log: %s", l)
	}
	s.call("DELETE", "/v1/devices/pump-1", "").check(t, 500)
	if l := s.audit.String(); !strings.Contains(l, `"what":"delete-device","device":"pump-1","result":"failed"`) {
		t.Errorf("audit: %s", l)
	}
}

type slow struct{ *apitest.Backend }

func (slow) Device(ctx context.Context, _ device.ID) (api.Device, error) {
	<-ctx.Done()
	return api.Device{}, ctx.Err()
}

func TestTimeout(t *testing.T) {
	s := start(t, func(o *api.Options) { o.Backend = slow{apitest.New()}; o.Timeout = time.Millisecond })
	s.call("GET", "/v1/devices/pump-1", "").check(t, 503)
	s.call("GET", "/v1/devices/pump-1/stream", "").check(t, 503)
}

// A page in a browser must not reach the API of its user's machine.
func TestBrowsersOfOthers(t *testing.T) {
	s := start(t)
	s.call("GET", "/v1/devices", "", "Host: evil.example:8080").check(t, 421, "localhost")
	for _, host := range []string{"localhost:8080", "127.0.0.1:1", "[::1]:8080", "localhost"} {
		s.call("GET", "/v1/devices", "", "Host: "+host).check(t, 200)
	}
	a := s.call("POST", "/v1/devices/pump-1/reprovision", "", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site")
	a.check(t, http.StatusForbidden, "page of another site")
	if len(s.fleet.Calls()) != 0 {
		t.Errorf("a request from another site: status %d, calls %v", a.status, s.fleet.Calls())
	}
}

var update = flag.Bool("update", false, "rewrite testdata")

// The document is what clients are generated from: a change of it is a change of
// the API, and has to be meant.
func TestOpenAPIDocument(t *testing.T) {
	s := start(t, withKeys)
	a := s.call("GET", "/openapi.json", "")
	a.check(t, 200, `"openapi": "3.1.0"`)
	const file = "testdata/openapi.json"
	if *update {
		if err := os.WriteFile(file, []byte(a.body+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if a.body+"\n" != string(golden) {
		t.Errorf("the document is not that of %s; if that is meant, run go test ./api -update and look at the difference", file)
	}
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Enum []device.FaultReason }
			}
		}
	}
	if err := json.Unmarshal(golden, &document); err != nil {
		t.Fatal(err)
	}
	if enum := document.Components.Schemas["Fault"].Properties["reason"].Enum; !slices.Equal(enum, device.FaultReasons()) {
		t.Errorf("reasons of faults %q, want %q", enum, device.FaultReasons())
	}
	operations := 0
	for path, methods := range document.Paths {
		for method, op := range methods {
			operations++
			if len(op.Security) != 1 || len(op.Security[0]["bearer"]) != 1 {
				t.Errorf("%s %s says no scope", method, path)
			}
		}
	}
	if operations != 42 {
		t.Errorf("%d operations, want 42", operations)
	}
}
