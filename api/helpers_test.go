package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"devicetwin/api"
	"devicetwin/api/apitest"
)

// log collects what is logged.
type log struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// service is an API over a fleet in memory.
type service struct {
	*httptest.Server
	t          *testing.T
	api        *api.Server
	fleet      *apitest.Backend
	log, audit log
}

func start(t *testing.T, change ...func(*api.Options)) *service {
	t.Helper()
	s := &service{t: t, fleet: apitest.Fleet()}
	o := api.DefaultOptions()
	o.Backend = s.fleet
	o.Log = slog.New(slog.NewTextHandler(&s.log, nil))
	o.Audit = slog.New(slog.NewJSONHandler(&s.audit, nil))
	for _, c := range change {
		c(&o)
	}
	var err error
	if s.api, err = api.New(o); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(s.api)
	t.Cleanup(func() { s.api.Close(); s.Close() })
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// call makes a request; headers are "Name: value".
func (s *service) call(method, path, body string, headers ...string) answer {
	s.t.Helper()
	request, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body == "" {
		request.Body = nil
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(raw)}
}

// check fails if the answer has another status, or lacks one of the strings.
func (a answer) check(t *testing.T, status int, says ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, text := range says {
		if !strings.Contains(a.body, text) {
			t.Errorf("the answer lacks %s:\n%s", text, a.body)
		}
	}
	kind := a.header.Get("Content-Type")
	if status >= 400 && !strings.HasPrefix(kind, "application/problem+json") {
		t.Errorf("content type %q of a problem", kind)
	}
	if status >= 400 && json.Valid([]byte(a.body)) {
		var problem struct {
			Status int
			Title  string
		}
		if err := json.Unmarshal([]byte(a.body), &problem); err != nil || problem.Status != status || problem.Title == "" {
			t.Errorf("not a problem document (RFC 9457): %s", a.body)
		}
	}
}
