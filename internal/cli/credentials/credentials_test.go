package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/internal/cli"
	"devicetwin/internal/credentials"
	"devicetwin/internal/postgrestest"
	"devicetwin/internal/testfile"
	"devicetwin/service"
)

// run executes a command line of "devicetwin credentials".
func run(args ...string) (status int, stdout, stderr string) {
	grammar := &struct {
		Credentials Command `cmd:""`
	}{New(service.DefaultConfig())}
	var out, err bytes.Buffer
	status = cli.Execute(context.Background(), grammar, "devicetwin", "", append([]string{"credentials"}, args...), &out, &err)
	return status, out.String(), err.String()
}

// folder is that of a store, as a flag, and the store.
func folder(t *testing.T) (flag string, store credentials.Store) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "credentials")
	return "--worker-credentials=" + dir, open(t, dir)
}

func open(t *testing.T, where string) credentials.Store {
	t.Helper()
	store, err := credentials.Open(where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func good(t *testing.T, store credentials.Store, name, password string) bool {
	t.Helper()
	good, err := store.Check(t.Context(), name, password)
	if err != nil {
		t.Fatal(err)
	}
	return good
}

func expect(t *testing.T, what string, got, want int, stderr string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: exit status %d, want %d: %s", what, got, want, stderr)
	}
}

// passwords are those that a command printed, by device.
func passwords(t *testing.T, out string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(out) {
		var i issued
		if err := json.Unmarshal([]byte(line), &i); err != nil || i.ID == "" {
			t.Fatalf("%s: %v", line, err)
		}
		found[i.Username] = i.Password
	}
	return found
}

func TestIssueCredentials(t *testing.T) {
	where, store := folder(t)
	status, out, stderr := run("issue", "pump-1", where)
	expect(t, "issue", status, cli.ExitOK, stderr)
	if !good(t, store, "pump-1", passwords(t, out)["pump-1"]) {
		t.Errorf("issued %s, which is not good", out)
	}
	for what, args := range map[string][]string{
		"bad id": {"issue", "pump 1", where}, "no store": {"issue", "pump-1", "--worker-credentials="}, "no store to prepare": {"setup", "--worker-credentials="},
		"bad ids": {"revoke", "a b", "pump-1", where}, "list of bad ids": {"list", "a b", where},
		"bad URL": {"revoke", "pump-1", where, "--rabbitmq-url=x", "--emqx-url=ftp://u:pa55@h"},
		"no list": {"import", filepath.Join(t.TempDir(), "none"), where}, "bad API": {"import", testfile.Write(t, "l", "device\na\n"), where, "--api-url=x y"},
	} {
		status, _, stderr := run(args...)
		expect(t, what, status, cli.ExitUsage, stderr)
		if strings.Contains(stderr, "pa55") {
			t.Errorf("%s: the error has the password: %s", what, stderr)
		}
	}
	file := testfile.Write(t, "where", strings.TrimPrefix(where, "--worker-credentials=")+"\n")
	status, out, stderr = run("list", "--worker-credentials-file="+file)
	expect(t, "list", status, cli.ExitOK, stderr)
	if !strings.Contains(out, "pump-1") {
		t.Errorf("the store named in a file has %s", out)
	}
}

// A list is imported once, however often it is run: passwords are printed for those
// that have none.
func TestImport(t *testing.T) {
	where, store := folder(t)
	var list strings.Builder
	for i := range 2 * importBatch {
		fmt.Fprintf(&list, `{"device": "pump-%d", "site": "north", "model": "pump", "tags": {"line": "%d"}}`+"\n", i, i%3)
	}
	fmt.Fprintf(&list, `{"device": "moved", "sha256": [%q]}`+"\n\n", strings.ToUpper(credentials.Hash("of another system")))
	file := testfile.Write(t, "list.jsonl", list.String())

	status, out, stderr := run("import", file, where)
	expect(t, "import", status, cli.ExitOK, stderr)
	if out != "" || !strings.Contains(stderr, "1001 of 1001 devices: 1 created, 1000 updated") {
		t.Errorf("printed %s and %s", out, stderr)
	}
	status, out, stderr = run("import", file, where, "--generate")
	expect(t, "import with passwords", status, cli.ExitOK, stderr)
	given := passwords(t, out)
	if len(given) != 2*importBatch || !strings.Contains(stderr, "1000 created, 1 unchanged") || !strings.Contains(stderr, "1000 passwords printed") {
		t.Errorf("printed %d passwords and %s", len(given), stderr)
	}
	for _, name := range []string{"pump-0", "pump-999"} {
		if !good(t, store, name, given[name]) {
			t.Errorf("the password of %s is not good", name)
		}
	}
	if !good(t, store, "moved", "of another system") {
		t.Error("the password of another system is not good")
	}
	status, out, stderr = run("import", file, where, "--generate")
	expect(t, "import again", status, cli.ExitOK, stderr)
	if out != "" || !strings.Contains(stderr, "1001 of 1001 devices: 1001 unchanged") {
		t.Errorf("printed %s and %s", out, stderr)
	}

	status, out, stderr = run("list", "pump-4", "moved", where)
	expect(t, "list", status, cli.ExitOK, stderr)
	if rows := strings.Split(out, "\n"); len(rows) != 4 || !strings.HasPrefix(rows[1], "pump-4") || !strings.HasSuffix(rows[1], "north  pump   line=1") {
		t.Errorf("listed\n%s", out)
	}
	status, out, stderr = run("list", "-o", "json", where)
	expect(t, "list as JSON", status, cli.ExitOK, stderr)
	if strings.Count(out, "\n") != 1001 || strings.Contains(out, credentials.Hash(given["pump-4"])) {
		t.Errorf("listed %d lines", strings.Count(out, "\n"))
	}
	if status, _, stderr = run("list", "nobody", where); status != cli.ExitFailed || !strings.Contains(stderr, "nobody") {
		t.Errorf("an unknown device: status %d, %s", status, stderr)
	}
}

// The passwords are printed before they are good: a run that ends between the two
// leaves no device whose password nobody has.
func TestAnImportThatIsInterrupted(t *testing.T) {
	where, store := folder(t)
	file := testfile.Write(t, "list", "device\na\nb\n")
	records, err := readList("list", strings.NewReader("device\na\nb\n"))
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	interrupted := importing{to: store, generate: true, out: &printed, notes: &bytes.Buffer{}, outcomes: map[credentials.Outcome]int{}}
	if _, err := interrupted.passwords(t.Context(), records); err != nil || len(passwords(t, printed.String())) != 2 {
		t.Fatalf("printed %s, %v", &printed, err)
	}
	status, out, stderr := run("import", file, where, "--generate")
	expect(t, "import", status, cli.ExitOK, stderr)
	for name, password := range passwords(t, out) {
		if !good(t, store, name, password) {
			t.Errorf("the password of %s is not good", name)
		}
	}
	if !strings.Contains(stderr, "2 passwords printed") {
		t.Errorf("said %s", stderr)
	}
}

func TestImportOfCSV(t *testing.T) {
	where, store := folder(t)
	file := testfile.Write(t, "list.csv", "\ufeffdevice,site,tag.line,sha256,tag.owner\r\npump-1, north,3,"+credentials.Hash("one")+" "+credentials.Hash("two")+",\r\n\"pump-2\",\"hall \"\"B\"\"\",,,me\r\n")
	status, _, stderr := run("import", file, where)
	expect(t, "import", status, cli.ExitOK, stderr)
	if !good(t, store, "pump-1", "two") || !good(t, store, "pump-1", "one") {
		t.Error("a password is not good")
	}
	_, out, _ := run("list", "-o", "json", where)
	for _, want := range []string{`"device":"pump-1","tags":{"line":"3"},"site":"north"`, `"device":"pump-2","tags":{"owner":"me"},"site":"hall \"B\""`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not in\n%s", want, out)
		}
	}
}

// Every fault of a list is reported, each with its line, and nothing is imported.
func TestFaultsOfLists(t *testing.T) {
	hash := credentials.Hash("x")
	for _, tt := range []struct {
		name, list string
		says       []string
	}{
		{"json", `{"device": "a b"}
{"device": "pump-1", "tags": {"": "x"}}
{"device": "pump-2", "sha256": ["abc"]}

{"device": "pump-2", "site": "a\nb"}
{"device": "pump-2", "colour": "red"}
{"device": "pump-3"} {}
{"device": "pump-4", "credentials": [{"id": "c", "sha256": []}], "used": "d"}
{"device": "pump-5", "revoked": "2026-01-01T00:00:00Z", "sha256": ["` + hash + `"], "credentials": [{"id": "", "sha256": ["` + hash + `"]}]}
nonsense`, []string{"list:1:1", "list:2:1", "list:3:1: hash", "list:5:1: device pump-2 is on line 3", "list:5:1: site", "list:6:1", "colour",
			"list:7:1", "list:8:1: credential", "list:8:1: used", "list:9:1: sha256 and credentials", "list:9:1: a device that is revoked", "list:10:1"}},
		{"csv", "device,site\na b,\npump-1\npump-2,x,y\nc d,\n\"", []string{"list:2:1", "list:3:1", "list:4:1", "list:5:1", "list:6:1"}},
		{"header", "id,site,site\n", []string{"id", "twice", "column device"}},
		{"names", "pump-1\npump-2\n", []string{"list:1:1", "device, site, model"}},
		{"long line", `{"device": "a"}` + "\n" + `{"device": "` + strings.Repeat("x", maxLine) + `"}`, []string{"list:2:1: the line has more"}},
		{"blank", "\n\n{}\n", []string{"list:"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			records, err := readList("list", strings.NewReader(tt.list))
			if err == nil || records != nil {
				t.Fatalf("read %v, error %v", records, err)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
			where, _ := folder(t)
			status, _, stderr := run("import", testfile.Write(t, "list", tt.list), where)
			expect(t, "import", status, cli.ExitUsage, stderr)
			if _, out, _ := run("list", "-o", "json", where); out != "" {
				t.Errorf("imported %s", out)
			}
		})
	}
	if records, err := readList("list", strings.NewReader("")); err != nil || len(records) != 0 {
		t.Errorf("an empty list: %v, %v", records, err)
	}
}

// What one store has can be moved to another: from a folder to PostgreSQL and back.
func TestExport(t *testing.T) {
	server := postgrestest.Start(t)
	where, store := folder(t)
	database := "--worker-credentials=" + server.URL("postgres")
	first := func(device string) string {
		t.Helper()
		status, out, stderr := run("issue", device, where)
		expect(t, "issue", status, cli.ExitOK, stderr)
		return passwords(t, out)[device]
	}
	used, newer := first("pump-1"), first("pump-1")
	if !good(t, store, "pump-1", used) {
		t.Fatal("the password is not good")
	}
	first("out")
	status, _, stderr := run("revoke", "out", where)
	expect(t, "revoke", status, cli.ExitOK, stderr)
	status, _, stderr = run("import", testfile.Write(t, "list", `{"device": "pump-1", "tags": {"line": "1"}, "site": "north"}`), where)
	expect(t, "describe", status, cli.ExitOK, stderr)

	status, _, stderr = run("setup", database)
	expect(t, "setup", status, cli.ExitOK, stderr)
	status, exported, stderr := run("export", where)
	expect(t, "export", status, cli.ExitOK, stderr)
	status, _, stderr = run("import", testfile.Write(t, "export", exported), database)
	expect(t, "import", status, cli.ExitOK, stderr)
	status, again, stderr := run("export", database)
	expect(t, "export again", status, cli.ExitOK, stderr)
	if was, is := lineOfDevice(t, exported, "pump-1"), lineOfDevice(t, again, "pump-1"); was != is || strings.Count(again, "\n") != 2 {
		t.Errorf("exported\n%s and then\n%s", exported, again)
	}
	moved := open(t, server.URL("postgres"))
	if !good(t, moved, "pump-1", used) || !good(t, moved, "pump-1", newer) || good(t, moved, "pump-1", used) {
		t.Error("the passwords are not as good as they were")
	}
	if _, err := moved.Issue(t.Context(), "out", "c"); err == nil {
		t.Error("a revoked device is in again")
	}
}

func lineOfDevice(t *testing.T, lines, name string) string {
	t.Helper()
	for line := range strings.Lines(lines) {
		if strings.Contains(line, fmt.Sprintf(`"device":%q`, name)) {
			return line
		}
	}
	t.Fatalf("%s is not in\n%s", name, lines)
	return ""
}

// Tags are set on the twins that there are, and it is said how many are left.
func TestTagsOfTwins(t *testing.T) {
	backend := apitest.New()
	backend.Put(api.Device{ID: "pump-1"})
	backend.Put(api.Device{ID: "pump-2", Tags: map[string]string{"line": "2"}})
	options := api.DefaultOptions()
	options.Backend, options.Log, options.Audit = backend, slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler)
	twins, err := api.New(options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(twins)
	defer server.Close()
	where, _ := folder(t)
	list := testfile.Write(t, "list", "device,tag.line\npump-1,1\npump-2,2\npump-3,3\npump-4,\n")
	for _, want := range []string{"Tags of 1 twin set", "Tags of 0 twins set"} {
		status, _, stderr := run("import", list, where, "--api-url="+server.URL)
		expect(t, "import", status, cli.ExitOK, stderr)
		if !strings.Contains(stderr, want) || !strings.Contains(stderr, "1 device without a twin") {
			t.Errorf("said %s, and not %s", stderr, want)
		}
	}
	if d, err := backend.Device(t.Context(), "pump-1"); err != nil || d.Tags["line"] != "1" {
		t.Errorf("the tags are %v, %v", d.Tags, err)
	}
}

// talk is a broker's API that answers as its documentation says.
type talk struct {
	*httptest.Server
	mu   sync.Mutex
	said []string
}

func startTalk(t *testing.T, answers map[string]string) *talk {
	t.Helper()
	s := &talk{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		what := r.Method + " " + r.URL.RequestURI()
		s.mu.Lock()
		s.said = append(s.said, what)
		s.mu.Unlock()
		answer, known := answers[what]
		switch {
		case user != "key" || password != "pa55":
			http.Error(w, `{"code":"BAD_API_KEY_OR_SECRET"}`, http.StatusUnauthorized)
		case !known:
			http.Error(w, `{"code":"CLIENTID_NOT_FOUND"}`, http.StatusNotFound)
		case answer == "":
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = w.Write([]byte(answer))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *talk) url(user string) string {
	return strings.Replace(s.URL, "http://", "http://"+user+"@", 1)
}

// Revoking ends sessions by the APIs of the brokers that have one.
func TestRevoke(t *testing.T) {
	where, store := folder(t)
	secrets := map[string]string{}
	for _, name := range []string{"pump:1", "pump-2", "pump-3"} {
		_, out, _ := run("issue", name, where)
		secrets[name] = passwords(t, out)[name]
	}
	rabbit := startTalk(t, map[string]string{
		"DELETE /api/connections/username/pump:1": "", "DELETE /api/connections/username/pump-2": "",
		"GET /api/connections?columns=name,user":                       `[{"name":"10.0.0.7:4001 -> 10.0.0.1:1883","user":"pump:1?SDK=x"},{"name":"b","user":"pump:10?SDK=x"},{"name":"c","user":"bridge"}]`,
		"DELETE /api/connections/10.0.0.7:4001%20-%3E%2010.0.0.1:1883": "",
	})
	emqx := startTalk(t, map[string]string{
		"GET /api/v5/clients?like_username=pump%3A1&limit=1000&page=1": `{"data":[{"clientid":"pump:1","username":"pump:1?SDK=x","connected":true},{"clientid":"pump:1.log","username":"pump:1"},{"clientid":"gone","username":"pump:1"},{"clientid":"pump:10","username":"pump:10"}],"meta":{"count":4,"limit":1000,"page":1}}`,
		"GET /api/v5/clients?like_username=pump-2&limit=1000&page=1":   `{"data":[],"meta":{"count":0}}`,
		"DELETE /api/v5/clients/pump:1":                                "",
		"DELETE /api/v5/clients/pump:1.log":                            "",
	})
	status, out, stderr := run("revoke", "pump:1", "nobody", "pump-2", where, "--rabbitmq-url="+rabbit.url("key:pa55"), "--emqx-url="+emqx.url("key:pa55")+"/")
	expect(t, "revoke", status, cli.ExitFailed, stderr)
	for _, want := range []string{
		"device pump:1: revoked\n", "device pump-2: revoked\n", "device pump:1: connections closed at RabbitMQ", "device pump-2: connections closed at RabbitMQ",
		"device pump:1: 2 sessions ended at EMQX", "device pump-2: 0 sessions ended at EMQX",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if !strings.Contains(stderr, "nobody: it has no credentials") || len(rabbit.said) != 5 || !slices.Contains(rabbit.said, "DELETE /api/connections/10.0.0.7:4001%20-%3E%2010.0.0.1:1883") || len(emqx.said) != 5 {
		t.Errorf("said %s; asked %q and %q", stderr, rabbit.said, emqx.said)
	}
	if good(t, store, "pump:1", secrets["pump:1"]) || !good(t, store, "pump-3", secrets["pump-3"]) {
		t.Error("the wrong devices are out")
	}

	// A broker that refuses does not keep the device in.
	status, out, stderr = run("revoke", "pump-3", where, "--rabbitmq-url="+rabbit.url("key:wrong"), "--emqx-url="+rabbit.url("key:pa55"))
	expect(t, "revoke", status, cli.ExitFailed, stderr)
	if good(t, store, "pump-3", secrets["pump-3"]) || !strings.Contains(out, "pump-3: revoked") || !strings.Contains(stderr, "401") ||
		!strings.Contains(stderr, "expected EMQX 5") || strings.Contains(stderr, "wrong") {
		t.Errorf("printed %s and %s", out, stderr)
	}
	status, _, stderr = run("revoke", "pump-3", where)
	expect(t, "revoke again", status, cli.ExitOK, stderr)
	if !strings.Contains(stderr, "--rabbitmq-url") {
		t.Errorf("does not say which sessions go on: %s", stderr)
	}
	status, out, stderr = run("issue", "pump-3", where)
	expect(t, "issue after revoke", status, cli.ExitOK, stderr)
	if !good(t, store, "pump-3", passwords(t, out)["pump-3"]) {
		t.Error("the device is not in again")
	}
}
