package admin

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"devicetwin/internal/cli"
)

func TestCodecKey(t *testing.T) {
	status, line, _ := run("codec", "key", "2026-11")
	if id, _, _ := strings.Cut(line, " "); status != cli.ExitOK || id != "2026-11" {
		t.Errorf("exit status %d, %q", status, line)
	}
	if status, _, _ := run("codec", "key", "a b"); status != cli.ExitUsage {
		t.Errorf("bad id: exit status %d", status)
	}
}

// A server ends with its context, and says when it can't serve.
func TestServeUntil(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serveUntil(ctx, &http.Server{Handler: http.NotFoundHandler()}, listener) }()
	response, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("got %v", err)
	}
	if err := serveUntil(t.Context(), new(http.Server), listener); err == nil {
		t.Error("it serves at a closed listener")
	}
}
