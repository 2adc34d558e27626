package hooks

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"devicetwin/auth"
	"devicetwin/auth/authtest"
	"devicetwin/device"
	"devicetwin/internal/credentials"
	"devicetwin/internal/postgrestest"
	"devicetwin/internal/testfile"
	"devicetwin/internal/testlog"
)

func options(t testing.TB) Options {
	t.Helper()
	hash := authtest.Hash("open")
	c := auth.Config{Prefix: "devices", ShadowTopics: []string{"acme/{id}/state[/{shadow}]"}, Allow: []string{"subscribe news/+", "all plans/{id}/+", "subscribe maps/+/#"}}
	d, err := auth.New(c, authtest.Passwords{"pump-1": "right"}, auth.AccountFile(testfile.Write(t, "accounts", "devicetwin.bridge:"+hash+"\nother.one:"+hash+"\n")))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Decider: d, VHost: "/", Log: slog.New(slog.DiscardHandler)}
}

func server(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// exchange is one request of a conversation, and the answer.
type exchange struct {
	name    string
	request *http.Request
	status  int
	kind    string // media type
	cache   string // Cache-Control
	body    string // "" for any that is an error
}

// conversation reads a file: exchanges begin with "=== ", and "---" is before the
// answer.
func conversation(t *testing.T, file string) []exchange {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(raw), "\n=== ")
	if !strings.HasPrefix(head, "from: ") {
		t.Fatalf("%s does not say where it is from", file)
	}
	var all []exchange
	for part := range strings.SplitSeq(rest, "\n=== ") {
		name, part, _ := strings.Cut(part, "\n")
		asked, answered, ok := strings.Cut(part, "\n---\n")
		if !ok {
			t.Fatalf("%s: %s: no answer", file, name)
		}
		e := exchange{name: name}
		headers, body, _ := strings.Cut(asked, "\n\n")
		lines := strings.Split(headers, "\n")
		method, path, _ := strings.Cut(lines[0], " ")
		e.request = httptest.NewRequest(method, path, strings.NewReader(body))
		for _, line := range lines[1:] {
			key, value, _ := strings.Cut(line, ": ")
			e.request.Header.Set(key, value)
		}
		status, body, _ := strings.Cut(answered, "\n")
		words := append(strings.Fields(status), "", "")
		if e.status, err = strconv.Atoi(words[0]); err != nil {
			t.Fatalf("%s: %s: %v", file, name, err)
		}
		e.kind, e.cache, e.body = words[1], words[2], strings.TrimSpace(body)
		all = append(all, e)
	}
	return all
}

// What brokers ask by their documentation is answered as it says there.
func TestConversations(t *testing.T) {
	for file, least := range map[string]int{"emqx": 15, "vernemq": 12, "rabbitmq": 25} {
		t.Run(file, func(t *testing.T) {
			s := server(t, options(t))
			all := conversation(t, "testdata/"+file+".txt")
			if len(all) < least {
				t.Errorf("only %d exchanges", len(all))
			}
			for _, e := range all {
				e.check(t, s)
			}
		})
	}
}

func (e exchange) check(t *testing.T, s *Server) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, e.request)
	kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	got := strings.TrimSpace(w.Body.String())
	if w.Code != e.status || kind != e.kind || w.Header().Get("Cache-Control") != e.cache {
		t.Errorf("%s: %d %s %s, want %d %s %s\n%s", e.name, w.Code, kind, w.Header().Get("Cache-Control"), e.status, e.kind, e.cache, got)
	}
	if e.body == "" && e.status != http.StatusOK || got == e.body {
		return
	}
	var have, want any
	if json.Unmarshal([]byte(got), &have) != nil || json.Unmarshal([]byte(e.body), &want) != nil || !reflect.DeepEqual(have, want) {
		t.Errorf("%s: answered\n%s\nwant\n%s", e.name, got, e.body)
	}
}

func ask(s *Server, path, contentType, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

const form = "application/x-www-form-urlencoded"

func TestTheSecret(t *testing.T) {
	o := options(t)
	o.Secret, o.Metrics = "s3cret", prometheus.NewRegistry()
	s := server(t, o)
	const login = "username=pump-1&password=right&client_id=pump-1"
	for _, tt := range []struct {
		path   string
		header []string
		want   int
	}{
		{"/rabbitmq/user", nil, 401},
		{"/rabbitmq/user?secret=", nil, 401},
		{"/rabbitmq/user?secret=s3cret2", nil, 401},
		{"/rabbitmq/user", []string{"Authorization", "Bearer wrong"}, 401},
		{"/rabbitmq/user?secret=s3cret", []string{"Authorization", "Bearer wrong"}, 401},
		{"/rabbitmq/user", []string{"Authorization", "Basic s3cret"}, 401},
		{"/rabbitmq/user?secret=s3cret", nil, 200},
		{"/rabbitmq/user", []string{"Authorization", "Bearer s3cret"}, 200},
		{"/rabbitmq/user", []string{"Authorization", "bearer  s3cret"}, 200},
	} {
		w := ask(s, tt.path, form, login, tt.header...)
		if w.Code != tt.want || w.Code != 200 && strings.Contains(w.Body.String(), "allow") {
			t.Errorf("%s %q: %d %s, want %d", tt.path, tt.header, w.Code, w.Body, tt.want)
		}
	}
	// A secret in the body is not one: a client chooses what is in there.
	if w := ask(s, "/rabbitmq/user", form, login+"&secret=s3cret"); w.Code != 401 {
		t.Errorf("a secret in the body: %d", w.Code)
	}
	if got := counted(t, s.metrics.requests.WithLabelValues("rabbitmq", "unknown")); got != 7 {
		t.Errorf("%v requests without the secret were counted, want 7", got)
	}
}

// RabbitMQ asks without a password where it has verified a certificate. That counts
// where the operator says so.
func TestRabbitMQWithCertificates(t *testing.T) {
	o := options(t)
	o.Certificates = true
	s := server(t, o)
	for body, want := range map[string]string{
		"username=pump-9&vhost=%2F&client_id=pump-9":                  "allow",
		"username=pump-9&vhost=%2F&client_id=pump-1":                  "deny",
		"username=devicetwin.bridge&vhost=%2F&client_id=x":            "allow",
		"username=mqtt.example.org&vhost=%2F&client_id=x":             "deny",
		"username=pump-9&password=&vhost=%2F&client_id=pump-9":        "deny",
		"username=pump-1&password=right&vhost=%2F&client_id=pump-1":   "allow",
		"username=pump-1&password=guess&vhost=%2F&client_id=pump-1":   "deny",
		"username=pump-9&vhost=billing&client_id=pump-9":              "deny",
		"username=%3FSDK%3Dx&password=right&vhost=%2F&client_id=pump": "deny",
	} {
		if w := ask(s, "/rabbitmq/user", form, body); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", body, w.Code, w.Body, want)
		}
	}
}

func TestWhatIsCountedAndLogged(t *testing.T) {
	o := options(t)
	var log testlog.Lines
	o.Metrics, o.Log = prometheus.NewRegistry(), log.Logger()
	s := server(t, o)
	ask(s, "/emqx/authn", "application/json", `{"clientid":"pump-1","username":"pump-1","password":"guess-it"}`)
	ask(s, "/emqx/authn", "application/json", `{"clientid":"pump-1","username":"pump-1","password":"right"}`)
	ask(s, "/vernemq", "application/json", `{`)
	ask(s, "/emqx/authz", "application/json", `{"username":"pump-1","action":"publish","topic":"devices/x/telemetry"}`)
	for _, tt := range []struct {
		counter *prometheus.CounterVec
		labels  []string
		want    float64
	}{
		{s.metrics.requests, []string{"emqx", "allowed"}, 1}, {s.metrics.requests, []string{"emqx", "denied"}, 2},
		{s.metrics.requests, []string{"vernemq", "bad"}, 1}, {s.metrics.refused, []string{"password"}, 1},
	} {
		if got := counted(t, tt.counter.WithLabelValues(tt.labels...)); got != tt.want {
			t.Errorf("%v: counted %v, want %v", tt.labels, got, tt.want)
		}
	}
	if err := s.metrics.register(o.Metrics); err == nil {
		t.Error("two servers may count into one registry")
	}
	text := log.String()
	for _, says := range []string{"pump-1", "reason=password", "devices/x/telemetry"} {
		if !strings.Contains(text, says) {
			t.Errorf("the log does not say %s:\n%s", says, text)
		}
	}
	if strings.Contains(text, "guess-it") || strings.Contains(text, "right") {
		t.Errorf("the log contains a password:\n%s", text)
	}
}

// A client may say as much of itself as fits into a packet, and none of it makes a line
// of the log of its own.
func TestTheLogIsBounded(t *testing.T) {
	long := strings.Repeat("x", 60_000)
	field := func(s string) string { raw, _ := json.Marshal(s); return string(raw) }
	for _, odd := range []string{long, long + ".x", "a\nlevel=ERROR msg=forged.x"} {
		o := options(t)
		var log testlog.Lines
		o.Log = log.Logger()
		s := server(t, o)
		f := field(odd)
		asked := 0
		for path, bodies := range map[string][]string{
			"/emqx/authn": {`{"clientid":` + f + `,"username":` + f + `}`, `{"clientid":` + f + `,"username":"pump-1"}`, `{"clientid":"x","cert_common_name":` + f + `}`},
			"/emqx/authz": {`{"username":` + f + `,"action":"publish","topic":` + f + `}`, `{"username":"pump-1","action":` + f + `}`},
		} {
			for _, body := range bodies {
				ask(s, path, "application/json", body)
				asked++
			}
		}
		ask(s, "/vernemq", "application/json", `{"client_id":`+f+`,"username":`+f+`}`, "vernemq-hook", "auth_on_register")
		ask(s, "/vernemq", "application/json", `{"username":"pump-1","topics":[{"topic":`+f+`}]}`, "vernemq-hook", "auth_on_subscribe")
		form := url.Values{"username": {odd}, "vhost": {odd}, "resource": {odd}, "name": {odd}, "permission": {odd}, "routing_key": {odd}}.Encode()
		for _, path := range []string{"user", "vhost", "resource", "topic"} {
			ask(s, "/rabbitmq/"+path, "application/x-www-form-urlencoded", form)
		}
		asked += 6
		if text := log.String(); strings.Count(text, "\n") != asked || len(text) > asked*1500 || strings.Contains(text, "\nlevel=ERROR") {
			t.Errorf("%.20q: %d lines, %d bytes, want %d lines:\n%.3000s", odd, strings.Count(text, "\n"), len(text), asked, text)
		}
	}
}

func TestRequestsAreBounded(t *testing.T) {
	s := server(t, options(t))
	large := `{"client_id":"` + strings.Repeat("x", maxRequest) + `"}`
	for _, path := range []string{"/emqx/authn", "/vernemq"} {
		if w := ask(s, path, "application/json", large); w.Code != 400 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask(s, "/rabbitmq/user", form, "username="+strings.Repeat("x", maxRequest)); w.Code != 400 {
		t.Errorf("a form: %d", w.Code)
	}
}

// Logins of a fleet that reconnects, through a connection of HTTP that stays open: the
// time of one is that of broker, server and credential store together. A PostgreSQL is on
// the same machine.
func BenchmarkLogin(b *testing.B) {
	for name, where := range map[string]func(b *testing.B) string{
		"folder":     func(b *testing.B) string { return b.TempDir() },
		"postgresql": func(b *testing.B) string { return postgrestest.Start(b).URL("postgres") },
	} {
		b.Run(name, func(b *testing.B) {
			store, err := credentials.Open(where(b))
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			benchmarkLogin(b, store)
		})
	}
}

func benchmarkLogin(b *testing.B, store credentials.Store) {
	const devices = 1000
	bodies := make([]string, devices)
	for i := range bodies {
		name := "pump-" + strconv.Itoa(i)
		secret, err := store.Issue(b.Context(), device.ID(name), "first")
		if err != nil {
			b.Fatal(err)
		}
		if good, err := store.Check(b.Context(), name, secret); !good || err != nil { // notes the use of it
			b.Fatal(good, err)
		}
		bodies[i] = `{"clientid":"` + name + `","username":"` + name + `","password":"` + secret + `","cert_common_name":""}`
	}
	decider, err := auth.New(auth.DefaultConfig(), store, nil)
	if err != nil {
		b.Fatal(err)
	}
	o := options(b)
	o.Decider = decider
	asked := httptest.NewServer(server(b, o))
	defer asked.Close()
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	b.SetParallelism(connections) // for each processor
	b.RunParallel(func(pb *testing.PB) {
		client := *asked.Client()
		client.Transport = asked.Client().Transport.(*http.Transport).Clone()
		defer client.CloseIdleConnections()
		for pb.Next() {
			answer, err := client.Post(asked.URL+"/emqx/authn", "application/json", strings.NewReader(bodies[next.Add(1)%devices]))
			if err != nil {
				b.Error(err)
				return
			}
			raw, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil || !bytes.Contains(raw, []byte(`"allow"`)) {
				b.Error(err, string(raw))
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
}

// connections is how many a broker asks through at once.
const connections = 8
