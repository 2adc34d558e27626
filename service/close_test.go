package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A part that hangs is left behind, named in the log, and all others still end,
// all within one time. What parts use keeps the time that it needs.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &Service{log: slog.New(slog.NewTextHandler(&log, nil))}
		hang := make(chan struct{})
		ended := map[string]time.Duration{}
		start := time.Now()
		note := func(name string, after time.Duration) func(context.Context) {
			return func(ctx context.Context) {
				<-ctx.Done()
				time.Sleep(after)
				ended[name] = time.Since(start)
			}
		}
		s.onClose("first opened", func(context.Context) error { return errors.New("its own fault") })
		s.runUsed("points", note("points", pointsTimeout))
		s.runUsed("publisher", note("publisher", time.Second/2))
		s.runPart("bridge", note("bridge", 9*time.Second))
		s.onStop("API", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		s.runPart("worker", func(context.Context) { <-hang })
		err := s.Close()
		if took := time.Since(start); took > ShutdownTimeout {
			t.Errorf("it took %v, want at most %v", took, ShutdownTimeout)
		}
		if err == nil || err.Error() != "its own fault" {
			t.Errorf("error %v, want what a part itself reports", err)
		}
		for _, part := range []string{"worker", "API"} {
			if !strings.Contains(log.String(), "part="+part) {
				t.Errorf("the log does not name %s:\n%s", part, log.String())
			}
		}
		for _, part := range []string{"bridge", "publisher", "points"} {
			if ended[part] == 0 || strings.Contains(log.String(), "part="+part) {
				t.Errorf("%s was not waited for (ended after %v):\n%s", part, ended[part], log.String())
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
		close(hang)
		time.Sleep(time.Minute) // all that was left behind ends
	})
}
