package operator

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"devicetwin/internal/cli/clitest"
	"devicetwin/internal/testfile"
)

// recorder is an API that keeps the requests that it gets.
type recorder struct {
	mutex    sync.Mutex
	requests []string
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mutex.Lock()
	r.requests = append(r.requests, fmt.Sprint(q.Method, q.URL, q.Header["Authorization"], q.Header["If-Match"], string(body)))
	r.mutex.Unlock()
	if strings.HasSuffix(q.URL.Path, "/stream") {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: gone\ndata: {}\n\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	status := "waiting"
	if q.Method == http.MethodGet {
		status = "succeeded"
	}
	fmt.Fprintf(w, `{"id":"c1","status":%q,"ended":"2026-03-01T12:00:00Z","devices":[{"id":"d1"}]}`, status)
}

// effect is what a call does: its requests and its output.
func (r *recorder) effect(args []string) string {
	r.requests = nil
	status, stdout, stderr := run(args...)
	return fmt.Sprint(status, stdout, stderr, r.requests)
}

// Every flag of every command of an operator changes what the command asks for, or
// what it prints.
func TestEveryFlagIsUsed(t *testing.T) {
	r := &recorder{}
	server := httptest.NewServer(r)
	defer server.Close()
	t.Setenv("DEVICETWIN_API_URL", server.URL)
	plan := "--plan=" + testfile.Write(t, "plan.json", `{"plan": "pump", "from": "a", "to": "b", "states": {}}`)
	t.Chdir(modelFiles(t))
	tries := clitest.Tries(t, new(grammar), map[string][]string{
		"model push": {"pump-3.yaml"}, "model show": {"pump"}, "model default": {"pump@2"}, "model remove": {"pump@2"}, "model rules": {"rules.json"},
		"devices migrate": {plan}, "devices migration": {"m1"},
		"devices get": {"d1"}, "devices watch": {"d1"}, "devices why": {"d1"}, "devices delete": {"d1"},
		"desired set": {"d1", "a=1"}, "command send": {"d1", "reboot"}, "events send": {"d1", "go"},
		"process show": {"d1"}, "process retry": {"d1"}, "process skip": {"d1"},
	})
	for _, try := range tries {
		if r.effect(try.Args) == r.effect(try.Changed) {
			t.Errorf("%s is accepted and not used", try)
		}
	}
	if len(tries) < 50 {
		t.Errorf("only %d flags", len(tries))
	}
}
