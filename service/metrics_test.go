package service

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

func get(t *testing.T, addr, path string) string {
	t.Helper()
	response, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A process shows on one page what the bridge counts and what the Temporal client
// counts, with names and units as Prometheus has them, and buckets for seconds.
func TestMetricsOfAllParts(t *testing.T) {
	service := startWithoutServers(t)
	defer service.Close()
	get(t, service.HTTPAddr(), "/readyz") // asks Temporal, which is unavailable
	page := get(t, service.HTTPAddr(), "/metrics")
	for _, want := range []string{
		"\ndevicetwin_bridge_connected 0\n",
		"\ndevicetwin_influx_points_dropped_total 0\n",
		"\n# TYPE temporal_request_total counter\n",
		"\n# TYPE temporal_request_failure_total counter\n",
		"\n# TYPE temporal_request_latency_seconds histogram\n",
		`le="0.001"}`,
		"\ngo_goroutines ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics lack %q:\n%s", want, page)
		}
	}
	for _, no := range []string{"otel_scope", "target_info"} {
		if strings.Contains(page, no) {
			t.Errorf("the metrics have %s", no)
		}
	}
}

// Profiles are served only where they are asked for.
func TestProfiles(t *testing.T) {
	for _, profile := range []bool{false, true} {
		server, err := StartHTTP(HTTPConfig{Listen: "127.0.0.1:0", Profile: profile}, NewRegistry(), nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close(t.Context())
		response, err := http.Get("http://" + server.Addr() + "/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(body), "# HeapAlloc = "); got != profile {
			t.Errorf("with profiles %t: %s, and a profile: %t", profile, response.Status, got)
		}
	}
}
