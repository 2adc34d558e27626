package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/device"
)

// keys are callers by token.
type keys map[string]api.Caller

func (k keys) Authenticate(_ context.Context, token string) (api.Caller, error) {
	switch caller, ok := k[token]; {
	case ok:
		return caller, nil
	case token == "later":
		return api.Caller{}, fmt.Errorf("ask the issuer: %w", api.ErrTokensUnchecked)
	}
	return api.Caller{}, fmt.Errorf("%w: secret details", api.ErrUnauthenticated)
}

var threeCallers = keys{
	"r": {Name: "grafana", Scopes: []api.Scope{api.ScopeRead}},
	"o": {Name: "ops", Scopes: []api.Scope{api.ScopeOperate}},
	"a": {Name: "root", Scopes: []api.Scope{api.ScopeAdmin}},
	"n": {Name: "stranger"},
}

func withKeys(o *api.Options) { o.Auth = threeCallers }

func TestScopes(t *testing.T) {
	for _, tt := range []struct{ method, path, body, may string }{
		{"GET", "/v1/devices", "", "roa"},
		{"GET", "/v1/device-count", "", "roa"},
		{"GET", "/v1/devices/pump-1", "", "roa"},
		{"GET", "/v1/devices/pump-1/why", "", "roa"},
		{"GET", "/v1/devices/pump-1/commands/c1", "", "roa"},
		{"PATCH", "/v1/devices/pump-1/desired", "{}", "oa"},
		{"PUT", "/v1/devices/pump-1/tags", "{}", "oa"},
		{"POST", "/v1/devices/pump-1/commands", `{"name":"x"}`, "oa"},
		{"DELETE", "/v1/devices/pump-1/commands/c1", "", "oa"},
		{"POST", "/v1/devices/pump-1/events", `{"name":"x"}`, "oa"},
		{"POST", "/v1/devices/pump-1/reprovision", "", "oa"},
		{"DELETE", "/v1/devices/pump-1", "", "a"},
	} {
		for _, token := range []string{"r", "o", "a", "n"} {
			s := start(t, withKeys)
			a := s.call(tt.method, tt.path, tt.body, "Authorization: Bearer "+token)
			if may := strings.Contains(tt.may, token); may == (a.status == 403) || a.status == 401 {
				t.Errorf("%s %s by %s: status %d", tt.method, tt.path, threeCallers[token].Name, a.status)
			}
			if a.status == 403 && (!strings.Contains(a.header.Get("WWW-Authenticate"), "insufficient_scope") || len(s.fleet.Calls()) != 0) {
				t.Errorf("%s %s: %v, calls %v", tt.method, tt.path, a.header, s.fleet.Calls())
			}
		}
	}
	s := start(t, withKeys)
	s.call("GET", "/v1/devices/pump-1/stream", "", "Authorization: Bearer n").check(t, 403, "it needs the scope read")
}

func TestWhoIsNobody(t *testing.T) {
	s := start(t, withKeys)
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer x", "Basic cjpy", "r"} {
		a := s.call("GET", "/v1/devices/pump-1", "", "Authorization: "+header)
		a.check(t, 401)
		if a.header.Get("WWW-Authenticate") == "" || strings.Contains(a.body, "secret") {
			t.Errorf("%q: %v %s", header, a.header, a.body)
		}
	}
	s.call("GET", "/v1/devices", "", "Authorization: Bearer later").check(t, 503, "can't be checked now")
	s.call("GET", "/v1/devices", "", "Authorization: bearer r", "Host: example.org").check(t, 200)
	s.call("GET", "/openapi.json", "").check(t, 200)
}

func TestAudit(t *testing.T) {
	s := start(t, withKeys)
	s.call("GET", "/v1/devices/pump-1", "", "Authorization: Bearer o")
	s.call("PATCH", "/v1/devices/pump-1/desired", `{"interval":20}`, "Authorization: Bearer o")
	s.call("POST", "/v1/devices/pump-1/commands", `{"name":"reboot"}`, "Authorization: Bearer o")
	s.call("POST", "/v1/devices/pump-1/events", `{"name":"device.silent"}`, "Authorization: Bearer o")
	s.call("DELETE", "/v1/devices/pump-1", "", "Authorization: Bearer o")
	s.call("DELETE", "/v1/devices/pump-1", "", "Authorization: Bearer x")
	s.fleet.Fail(errors.New("broken"))
	s.call("DELETE", "/v1/devices/pump-1", "", "Authorization: Bearer a")
	var got []string
	for line := range strings.Lines(s.audit.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if at, err := time.Parse(time.RFC3339, l["time"].(string)); err != nil || at.IsZero() || l["id"] == "" || l["from"] == "" {
			t.Errorf("line %s", line)
		}
		got = append(got, fmt.Sprint(l["who"], " ", l["what"], " ", l["device"], " ", l["result"], " ", l["status"], " ", l["patch"], " ", l["version"], " ", l["command_id"], " ", l["event"]))
	}
	want := []string{
		`ops patch-desired pump-1 done 200 {"interval":20} 8 <nil> <nil>`,
		`ops send-command pump-1 done 201 <nil> <nil> c1 <nil>`,
		`ops send-event pump-1 refused 409 <nil> <nil> <nil> device.silent`,
		`ops delete-device pump-1 refused 403 <nil> <nil> <nil> <nil>`,
		`nobody delete-device pump-1 refused 401 <nil> <nil> <nil> <nil>`,
		`root delete-device pump-1 failed 500 <nil> <nil> <nil> <nil>`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("audit:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func tokenFile(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens")
	writeLines(t, file, lines...)
	return file
}

func writeLines(t *testing.T, file string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newToken(t *testing.T, name string, scopes ...api.Scope) (token, line string) {
	t.Helper()
	token, line, err := api.NewToken(name, scopes)
	if err != nil {
		t.Fatal(err)
	}
	return token, line
}

func TestTokens(t *testing.T) {
	ops, opsLine := newToken(t, "ops", api.ScopeRead, api.ScopeOperate)
	root, rootLine := newToken(t, "root@example.org", api.ScopeAdmin)
	if strings.Contains(opsLine, ops) || ops == root {
		t.Fatal("the line holds the token, or tokens repeat")
	}
	tokens, err := api.OpenTokens(tokenFile(t, "# people", "", opsLine, rootLine), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	caller, err := tokens.Authenticate(t.Context(), ops)
	if err != nil || caller.Name != "ops" || !caller.May(api.ScopeOperate) || caller.May(api.ScopeAdmin) {
		t.Errorf("ops: %+v, %v", caller, err)
	}
	if caller, err := tokens.Authenticate(t.Context(), root); err != nil || !caller.May(api.ScopeRead) {
		t.Errorf("root: %+v, %v", caller, err)
	}
	for _, wrong := range []string{"", ops[:len(ops)-1], ops + "x", strings.Fields(opsLine)[1]} {
		if _, err := tokens.Authenticate(t.Context(), wrong); !errors.Is(err, api.ErrUnauthenticated) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, _, err := api.NewToken("a b", nil); err == nil {
		t.Error("a name with a space was taken")
	}
}

func TestTokenFileFaults(t *testing.T) {
	_, good := newToken(t, "good", api.ScopeRead)
	_, err := api.OpenTokens(tokenFile(t, good, "x", "a/b sha256:00 read", "b sha256:00 read", "c md5:00 read",
		strings.Replace(good, " read", " write", 1), good), slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{
		":2: expected NAME", `:3: name "a/b"`, ":4: token of b: expected sha256: and 64", ":5: token of c",
		`:6: scope "write" of good`, ":7: name good is already in line 1",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s\n%v", want, err)
		}
	}
	if _, err := api.OpenTokens(filepath.Join(t.TempDir(), "none"), slog.New(slog.DiscardHandler)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// What is taken out of the file is refused a second later; a file with faults
// changes nothing.
func TestTokenFileChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops, opsLine := newToken(t, "ops", api.ScopeOperate)
		file := tokenFile(t, opsLine)
		var out log
		tokens, err := api.OpenTokens(file, slog.New(slog.NewTextHandler(&out, nil)))
		if err != nil {
			t.Fatal(err)
		}
		known := func(token string, want bool) {
			t.Helper()
			if _, err := tokens.Authenticate(t.Context(), token); (err == nil) != want {
				t.Errorf("known: %v, want %v", err, want)
			}
		}
		known(ops, true)
		next, nextLine := newToken(t, "next", api.ScopeRead)
		writeLines(t, file, nextLine+" ") // of another length than before
		known(ops, true)                  // not yet checked
		time.Sleep(time.Second)
		known(ops, false)
		known(next, true)
		writeLines(t, file, "nonsense")
		for range 3 {
			time.Sleep(time.Second)
			known(next, true)
		}
		if n := strings.Count(out.String(), "cannot read"); n != 1 {
			t.Errorf("the fault was reported %d times:\n%s", n, out.String())
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		known(next, true)
		writeLines(t, file, opsLine)
		time.Sleep(time.Second)
		known(ops, true)
	})
}

// Every change of a device says who made it and why, once for each key, to the device and in the audit.
func TestEveryChangeSaysWhoAndWhy(t *testing.T) {
	text := fmt.Sprintf(`{"from":"%s","to":"b","states":{"online":"x"}}`, apitest.PumpHash)
	plan := fmt.Sprintf(`{"plan":%q,"note":"because"}`, text)
	for _, tt := range []struct {
		method, path, body, what string
		ofBody                   bool // why is in the body
	}{
		{"PATCH", "desired?note=because", `{"a":1}`, "patch-desired", false},
		{"PUT", "tags?note=because", `{"a":"1"}`, "put-tags", false},
		{"POST", "commands?note=because", `{"name":"x"}`, "send-command", false},
		{"DELETE", "commands/c1?note=because", "", "cancel-command", false},
		{"POST", "events?note=because", `{"name":"hello"}`, "send-event", false},
		{"POST", "reprovision", `{"reason":"because"}`, "reprovision-device", true},
		{"POST", "process", `{"do":"skip","note":"because"}`, "decide-process", true},
		{"POST", "migration", plan, "migrate-device", true},
		{"DELETE", "?note=because", "", "delete-device", false},
		{"DELETE", "?data=true&note=because", "", "delete-device", false},
	} {
		path := strings.Replace("/v1/devices/pump-1/"+tt.path, "/?", "?", 1)
		s := start(t, withKeys)
		first := s.call(tt.method, path, tt.body, "Authorization: Bearer a", "Idempotency-Key: k")
		again := s.call(tt.method, path, tt.body, "Authorization: Bearer a", "Idempotency-Key: k")
		if again.status != first.status || again.body != first.body {
			t.Errorf("%s %s: %d %s, and again %d %s", tt.method, path, first.status, first.body, again.status, again.body)
		}
		calls := s.fleet.Calls()
		if len(calls) == 0 {
			t.Fatalf("%s %s reached no device: %d %s", tt.method, path, first.status, first.body)
		}
		want := device.By{Who: "root", ID: "root/k", Note: "because"}
		if tt.ofBody {
			want.Note = ""
		}
		if calls[0] != want {
			t.Errorf("%s %s: the device was asked by %+v, want %+v", tt.method, path, calls[0], want)
		}
		for _, text := range []string{`"who":"root"`, `"what":"` + tt.what + `"`, `"device":"pump-1"`, `"because"`} {
			if !strings.Contains(s.audit.String(), text) {
				t.Errorf("%s %s: the audit lacks %s: %s", tt.method, path, text, s.audit.String())
			}
		}
	}
	s := start(t, withKeys)
	s.call("POST", "/v1/devices/pump-1/events?note=because", `{"name":"hello"}`, "Authorization: Bearer o").check(t, 200)
	s.call("GET", "/v1/devices/pump-1/why?limit=1", "", "Authorization: Bearer o").check(t, 200, `"who":"ops","note":"because"`)
	s.call("POST", "/v1/devices/pump-1/events?note="+strings.Repeat("x", 257), `{"name":"hello"}`, "Authorization: Bearer o").check(t, 422, "query.note")
}
