package service

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/codec"
	"devicetwin/internal/recordlog"
	"devicetwin/internal/testfile"
	"devicetwin/internal/testlog"
)

// A service makes its log of points, shows it in the metrics, and says which folder it
// cannot use.
func TestServiceLogOfPoints(t *testing.T) {
	dir := t.TempDir()
	start := func(folder string) (*Service, error) {
		config := withoutServers()
		config.Influx.Spool = folder
		config.Worker.Credentials = filepath.Join(dir, "credentials")
		return Start(config, Worker, slog.New(slog.DiscardHandler))
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(file); err == nil || !strings.Contains(err.Error(), "make folder of the log: mkdir "+file) {
		t.Errorf("a file as folder: %v", err)
	}
	folder := filepath.Join(dir, "log")
	service, err := start(folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(folder); err == nil || !strings.Contains(err.Error(), "log "+folder+": another process uses it") {
		t.Errorf("the same folder twice: %v", err)
	}
	response, err := http.Get("http://" + service.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	for _, metric := range []string{"backlog_bytes", "backlog_seconds", "log_points_dropped_total", "log_failures_total", "log_damages_total"} {
		if !strings.Contains(string(body), "\ndevicetwin_influx_"+metric+" 0\n") {
			t.Errorf("no metric %s", metric)
		}
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	if service, err = start(folder); err != nil {
		t.Fatalf("after the end of the first: %v", err)
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
}

// What an earlier release left in its spool is moved into the log.
func TestServiceCarriesPointsOver(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "spool")
	if err := os.CopyFS(folder, os.DirFS("../points/testdata/spool")); err != nil {
		t.Fatal(err)
	}
	config := withoutServers()
	config.Influx.Spool, config.Worker.Credentials = folder, t.TempDir()
	logs := &testlog.Lines{}
	service, err := Start(config, Worker, logs.Logger())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); logs.Count("were moved from its spool") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("points were not carried over: %q", logs)
		}
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*.spool")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// With --temporal-keys, the log is encrypted, too.
func TestServiceEncryptsItsLog(t *testing.T) {
	line, err := codec.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{"": {""}, testfile.Write(t, "keys", line): {"k1"}} {
		folder := filepath.Join(t.TempDir(), "spool") // of which the points get into the log
		if err := os.CopyFS(folder, os.DirFS("../points/testdata/spool")); err != nil {
			t.Fatal(err)
		}
		config, logs := withoutServers(), &testlog.Lines{}
		config.Influx.Spool, config.Worker.Credentials, config.Temporal.Keys = folder, t.TempDir(), file
		service, err := Start(config, Worker, logs.Logger())
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); logs.Count("were moved from its spool") == 0 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if err := service.Close(); err != nil {
			t.Error(err)
		}
		s, err := recordlog.Summarize(t.Context(), folder)
		if err != nil || s.Records == 0 || !slices.Equal(s.Keys, want) {
			t.Errorf("--temporal-keys %q: %d records, encrypted with %q, %v; want %q", file, s.Records, s.Keys, err, want)
		}
	}
}
