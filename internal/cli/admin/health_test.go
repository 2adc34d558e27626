package admin

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"devicetwin/internal/cli"
)

func TestHealth(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ready\n")) })
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "temporal: away", http.StatusServiceUnavailable)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	gone := httptest.NewServer(mux)
	gone.Close()
	for _, tt := range []struct {
		url  string
		want int
		out  string
		err  string
	}{
		{server.URL + "/good", cli.ExitOK, "ready\n", ""},
		{server.URL + "/bad", cli.ExitFailed, "", "devicetwin: " + server.URL + "/bad: 503 Service Unavailable: temporal: away\n"},
		{server.URL + "/other", cli.ExitFailed, "", "devicetwin: " + server.URL + "/other: 404 Not Found: 404 page not found\n"},
	} {
		if status, out, err := run("health", tt.url); status != tt.want || out != tt.out || err != tt.err {
			t.Errorf("%s: got %d, %q, %q", tt.url, status, out, err)
		}
	}
	if status, _, _ := run("health", gone.URL+"/good"); status != cli.ExitFailed {
		t.Errorf("no server: exit status %d", status)
	}
	if status, _, _ := run("health", "http://host:port/"); status != cli.ExitUsage {
		t.Errorf("no address: exit status %d", status)
	}
}
