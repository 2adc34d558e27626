package service

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A service makes its spool, shows it in the metrics, and says which folder it
// cannot use.
func TestServiceSpool(t *testing.T) {
	dir := t.TempDir()
	start := func(spool string) (*Service, error) {
		config := withoutServers()
		config.Influx.Spool = spool
		config.Worker.Credentials = filepath.Join(dir, "credentials")
		return Start(config, Worker, slog.New(slog.DiscardHandler))
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(file); err == nil || !strings.Contains(err.Error(), "make spool folder "+file) {
		t.Errorf("a file as folder: %v", err)
	}
	spool := filepath.Join(dir, "spool")
	service, err := start(spool)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(spool); err == nil || !strings.Contains(err.Error(), "spool folder "+spool+": another process uses it") {
		t.Errorf("the same folder twice: %v", err)
	}
	response, err := http.Get("http://" + service.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	for _, metric := range []string{"spool_bytes", "spool_segments", "spool_oldest_seconds", "spool_points_dropped_total"} {
		if !strings.Contains(string(body), "\ndevicetwin_influx_"+metric+" 0\n") {
			t.Errorf("no metric %s", metric)
		}
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	if service, err = start(spool); err != nil {
		t.Fatalf("after the end of the first: %v", err)
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
}
