package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/device"
)

// withModels gives the service a registry.
func withModels(models *apitest.Models) func(*api.Options) {
	return func(o *api.Options) { o.Models = models }
}

func pushBody(t *testing.T, file, source, note string) string {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"file": file, "source": source, "note": note})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestModels(t *testing.T) {
	const third = "model: pump\ninitial: x\nstates: {x: {}}\n"
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		says                     []string
	}{
		{"list", "GET", "/v1/models", "", nil, 200, []string{`{"revision":4,"models":[{"name":"fan","kind":"device","revision":3,"default":1,"default_hash":"`, `"newest":2,"versions":2}]}`}},
		{"show", "GET", "/v1/models/pump", "", nil, 200, []string{`"name":"pump"`, `"revision":2`, `"who":"ann","note":"as delivered"`, `"note":"hot at a lower temperature"`}},
		{"show unknown", "GET", "/v1/models/tank", "", nil, 404, []string{`there is no model \"tank\"`}},
		{"bad name", "GET", "/v1/models/a%20b", "", nil, 422, []string{"path.name"}},
		{"a version", "GET", "/v1/models/pump/versions/2", "", nil, 200, []string{`"version":2`, `"source":"model: pump\ninitial: online\nstates: {online: {}, hot: {}}\n"`, `"default":false`, `"who":"ann"`, `"at":"2026-03-01T12:00:00Z"`}},
		{"the default version", "GET", "/v1/models/pump/versions/1", "", nil, 200, []string{`"default":true`}},
		{"a version that is not there", "GET", "/v1/models/pump/versions/3", "", nil, 404, []string{"model pump has no version 3"}},
		{"digits of a hash that are too few", "GET", "/v1/models/pump/versions/abcdef0", "", nil, 404, nil},
		{"push", "POST", "/v1/models", pushBody(t, "pump.yaml", third, "why"), nil, 200, []string{`"revision":5`, `"model":"pump","version":3`, `"created":true`}},
		{"push what is there", "POST", "/v1/models", pushBody(t, "pump.yaml", "model: pump\ninitial: online\nstates: {online: {}}\n", ""), nil, 200, []string{`"version":1`, `"created":false`}},
		{"push of another revision", "POST", "/v1/models", pushBody(t, "pump.yaml", third, ""), []string{`If-Match: "1"`}, 412, []string{"revision 1 was expected, and it is 2"}},
		{"push with faults", "POST", "/v1/models", pushBody(t, "pump.yaml", "model: pump\nFAULT", ""), nil, 422, []string{
			"the model has faults", `{"message":"expected no FAULT (remove it)","location":"body.source:2:1"}`, `{"message":"the file has a fault","location":"body.source"}`,
		}},
		{"push of a path", "POST", "/v1/models", pushBody(t, "models/pump.yaml", third, ""), nil, 422, []string{"body.file"}},
		{"push without a source", "POST", "/v1/models", `{"file":"pump.yaml"}`, nil, 422, []string{"source"}},
		{"push of much", "POST", "/v1/models", pushBody(t, "pump.yaml", "model: pump\n#"+strings.Repeat("\x7f", 256<<10-20), ""), nil, 200, []string{`"version":3`}},
		{"push of too much", "POST", "/v1/models", pushBody(t, "pump.yaml", strings.Repeat("x", 2<<20), ""), nil, 413, []string{"too large"}},
		{"push of a version that is a word", "POST", "/v1/models", pushBody(t, "pump.yaml", third, ""), []string{`If-Match: W/x`}, 400, []string{"expected a version"}},
		{"default", "PUT", "/v1/models/pump/default", `{"version":2,"note":"better"}`, []string{`If-Match: "2"`}, 200, []string{`"revision":5`, `"version":2`, `"created":true`}},
		{"default of another revision", "PUT", "/v1/models/pump/default", `{"version":2}`, []string{`If-Match: "1"`}, 412, []string{"revision 1 was expected"}},
		{"default that is not there", "PUT", "/v1/models/pump/default", `{"version":9}`, nil, 404, []string{"has no version 9"}},
		{"default without a version", "PUT", "/v1/models/pump/default", `{}`, nil, 422, []string{"version"}},
		{"remove", "DELETE", "/v1/models/pump/versions/2?note=unused", "", nil, 200, []string{`"version":2`}},
		{"remove the default", "DELETE", "/v1/models/pump/versions/1", "", nil, 409, []string{"version 1 of model pump is its default"}},
		{"rules", "GET", "/v1/model-rules", "", nil, 200, []string{`{"revision":4,"sources":{"mqtt":{"model":"pump","rules":[{"pattern":"fan-*","model":"fan"}]}}}`}},
		{"set rules", "PUT", "/v1/model-rules", `{"sources":{"mqtt":{"model":"fan","rules":null}},"kinds":null,"note":"all fans"}`, []string{`If-Match: "4"`}, 200, []string{`{"revision":5,"created":true}`}},
		{"set rules of another source", "PUT", "/v1/model-rules", `{"sources":{"amqp":{"model":"fan"}}}`, nil, 422, []string{`source \"amqp\"`}},
		{"set rules that are not complete", "PUT", "/v1/model-rules", `{"sources":{"mqtt":{"rules":[{"pattern":"a"}]}}}`, nil, 422, []string{"model"}},
		{"changes", "GET", "/v1/model-changes?limit=2", "", nil, 200, []string{`{"changes":[{"at":"2026-03-01T12:00:00Z","who":"ann","what":"rules","revision":4},{"at":"2026-03-01T12:00:00Z","who":"ann","what":"push","model":"fan"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := start(t, withModels(apitest.FleetModels())).call(tt.method, tt.path, tt.body, tt.headers...)
			a.check(t, tt.status, tt.says...)
			if tt.name == "changes" && strings.Count(a.body, `"at"`) != 2 {
				t.Errorf("more than the limit: %s", a.body)
			}
		})
	}
}

// A revision that was read protects the next change, whoever made one in between.
func TestRevisionsOfModels(t *testing.T) {
	s := start(t, withModels(apitest.FleetModels()))
	read := s.call("GET", "/v1/models/pump", "")
	tag := read.header.Get("ETag")
	changed := s.call("PUT", "/v1/models/pump/default", `{"version":2}`, "If-Match: "+tag)
	changed.check(t, 200)
	s.call("PUT", "/v1/models/pump/default", `{"version":1}`, "If-Match: "+tag).check(t, 412)
	s.call("PUT", "/v1/models/pump/default", `{"version":1}`, "If-Match: "+changed.header.Get("ETag")).check(t, 200)
	rules := s.call("GET", "/v1/model-rules", "").header.Get("ETag")
	s.call("PUT", "/v1/model-rules", `{}`, "If-Match: "+rules).check(t, 200)
	s.call("PUT", "/v1/model-rules", `{}`, "If-Match: "+rules).check(t, 412)
}

// Lists, queries, counts, transitions and migrations name versions by their numbers; without a
// registry they have hashes, as before.
func TestVersionsAreNamed(t *testing.T) {
	models := apitest.FleetModels()
	s := start(t, withModels(models))
	third := s.call("POST", "/v1/models", pushBody(t, "pump.yaml", "model: pump\ninitial: x\nstates: {x: {}}\n", ""))
	var pushed api.ModelChanged
	if err := json.Unmarshal([]byte(third.body), &pushed); err != nil || pushed.Version != 3 {
		t.Fatal(third.body, err)
	}
	s.fleet.Change("pump-2", func(d *api.Device) { d.ModelHash = apitest.HotPumpHash })
	s.fleet.Put(api.Device{ID: "pump-3", Model: "pump", ModelHash: pushed.Hash, State: "x", Connection: device.Online})
	s.fleet.Put(api.Device{ID: "pump-4", Model: "pump", ModelHash: pushed.Hash, State: "x", Connection: device.Online})
	for id, version := range map[string]string{"pump-1": `"model_version":1`, "pump-2": `"model_version":2`, "pump-3": `"model_version":3`} {
		s.call("GET", "/v1/devices/"+id, "").check(t, 200, version)
		s.call("GET", "/v1/devices?query=id:"+id, "").check(t, 200, version)
	}
	if a := s.call("GET", "/v1/devices/truck-1", ""); strings.Contains(a.body, "model_version") {
		t.Errorf("a model that the registry does not have: %s", a.body)
	}
	s.call("GET", "/v1/devices/pump-1/why", "").check(t, 200, `"model":"pump"`, `"model_version":1`)
	for query, n := range map[string]int{
		"model:pump@1": 1, "model:pump@2": 1, "model:pump@3": 2, "model:pump": 4, "NOT+model:pump@3": 3, "(model:pump@1+OR+model:pump@2)+state:online": 1,
	} {
		s.call("GET", "/v1/device-count?query="+query, "").check(t, 200, fmt.Sprintf(`{"count":%d}`, n))
	}
	s.call("GET", "/v1/entities?query=model:pump@2", "").check(t, 200, `"id":"pump-2"`)
	s.call("GET", "/v1/devices?query=model:pump@4", "").check(t, 400, "the registry has no version pump@4")
	s.call("GET", "/v1/devices?query=model:pump@x", "").check(t, 400, "query.query:7", "NAME@NUMBER")
	s.call("GET", "/v1/models?devices=true", "").check(t, 200, `"running":[{"version":1,"devices":1},{"version":2,"devices":1},{"version":3,"devices":2}]`)
	s.call("GET", "/v1/models/pump?devices=true", "").check(t, 200, `"note":"as delivered","devices":1}`, `"devices":2}`)
	if a := s.call("GET", "/v1/models", ""); strings.Contains(a.body, "running") {
		t.Errorf("not to be counted: %s", a.body)
	}
	text, err := json.Marshal(map[string]any{"plan": "pump", "from": apitest.PumpHash, "to": pushed.Hash, "states": map[string]string{"online": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	plan := fmt.Sprintf(`{"plan":%q}`, text)
	s.call("POST", "/v1/devices/pump-1/migration", plan).check(t, 200, `"from_version":1,"to_version":3`)
	s.call("GET", "/v1/devices/pump-1/why?limit=1", "").check(t, 200, `"from_version":1,"to_version":3`, `"model_version":3`)
	s.call("POST", "/v1/migrations", plan).check(t, 201, `"from_version":1,"to_version":3`)

	s.fleet.Fail(fmt.Errorf("count: %w", device.ErrUnavailable))
	s.call("GET", "/v1/models?devices=true", "").check(t, 503)
	s.call("GET", "/v1/models", "").check(t, 200)
	for name, change := range map[string]func(*api.Options){"none": func(*api.Options) {}, "down": withModels(models)} {
		models.Fail(fmt.Errorf("ask: %w", device.ErrUnavailable))
		s := start(t, change)
		if a := s.call("GET", "/v1/devices/pump-1", ""); a.status != 200 || strings.Contains(a.body, "model_version") || !strings.Contains(a.body, apitest.PumpHash) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if a := s.call("GET", "/v1/devices?query=model:pump@1", ""); a.status != map[string]int{"none": 400, "down": 503}[name] {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// With one key a change is made once; another change with it is refused.
func TestKeysOfModels(t *testing.T) {
	models := apitest.FleetModels()
	s := start(t, withModels(models))
	first := s.call("PUT", "/v1/models/pump/default", `{"version":2}`, "Idempotency-Key: k")
	first.check(t, 200, `"created":true`)
	again := s.call("PUT", "/v1/models/pump/default", `{"version":2}`, "Idempotency-Key: k")
	if again.status != 200 || again.body != first.body || again.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("again: %d %s, want %s", again.status, again.body, first.body)
	}
	s.call("DELETE", "/v1/models/pump/versions/1", "", "Idempotency-Key: k").check(t, 422, "idempotency key")
	if calls := models.Calls(); calls[0] != (device.By{Who: "anonymous", ID: "anonymous/k"}) {
		t.Errorf("operations %v", calls)
	}
}

// Without a registry every request says so, and the service logs no error.
func TestNoRegistry(t *testing.T) {
	broken := apitest.NewModels()
	broken.Fail(fmt.Errorf("ask: %w", api.ErrNoRegistry))
	for name, change := range map[string]func(*api.Options){"none": func(*api.Options) {}, "not begun": withModels(broken)} {
		s := start(t, change)
		for _, r := range modelRequests {
			s.call(r.method, r.path, r.body).check(t, 409, "there is no registry of models", "--model-registry")
		}
		if log := s.log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("%s: the service logged\n%s", name, log)
		}
	}
}

// modelRequests are all operations on models.
var modelRequests = []struct {
	method, path, body string
	changes            bool
}{
	{"GET", "/v1/models", "", false},
	{"GET", "/v1/models/pump", "", false},
	{"GET", "/v1/models/pump/versions/1", "", false},
	{"GET", "/v1/model-rules", "", false},
	{"GET", "/v1/model-changes", "", false},
	{"POST", "/v1/models", `{"file":"a.yaml","source":"x"}`, true},
	{"PUT", "/v1/models/pump/default", `{"version":2}`, true},
	{"DELETE", "/v1/models/pump/versions/2", "", true},
	{"PUT", "/v1/model-rules", `{}`, true},
}

// Whoever may read may read models; who changes them needs the scope admin, and is in the audit.
func TestScopesOfModels(t *testing.T) {
	for _, r := range modelRequests {
		for _, token := range []string{"r", "o", "a", "n"} {
			models := apitest.FleetModels()
			s := start(t, withKeys, withModels(models))
			a := s.call(r.method, r.path, r.body, "Authorization: Bearer "+token)
			may := token == "a" || !r.changes && token != "n"
			if may != (a.status == 200) || !may && a.status != 403 {
				t.Errorf("%s %s by %s: status %d %s", r.method, r.path, threeCallers[token].Name, a.status, a.body)
			}
			if audited := strings.Contains(s.audit.String(), `"msg":"change"`); audited != r.changes {
				t.Errorf("%s %s by %s: audit %s", r.method, r.path, threeCallers[token].Name, s.audit.String())
			}
			if !may && len(models.Calls()) != 0 {
				t.Errorf("%s %s by %s changed something", r.method, r.path, threeCallers[token].Name)
			}
		}
	}
	s := start(t, withKeys, withModels(apitest.FleetModels()))
	s.call("PUT", "/v1/models/pump/default", `{"version":2,"note":"better"}`, "Authorization: Bearer a").check(t, 200)
	if log := s.audit.String(); !strings.Contains(log, `"what":"set-default-model"`) || !strings.Contains(log, `"note":"better","revision":5,"model":"pump","version":2,"hash":"`) {
		t.Errorf("audit: %s", log)
	}
}
