package service

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A part that hangs is left behind, named in the error, and the parts after it
// still end, all within one time.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{log: slog.New(slog.DiscardHandler), within: ShutdownTimeout}
		hang := make(chan struct{})
		ended := map[string]bool{}
		s.onClose("first opened", func(context.Context) error { ended["first"] = true; return errors.New("its own fault") })
		s.background("bridge", func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(2 * time.Second)
			ended["bridge"] = true
		})
		s.background("worker", func(context.Context) { <-hang })
		start := time.Now()
		err := s.Close()
		if took := time.Since(start); took > ShutdownTimeout {
			t.Errorf("it took %v, want at most %v", took, ShutdownTimeout)
		}
		for _, says := range []string{"stop the worker: not done after", "its own fault"} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, and not %q", err, says)
			}
		}
		if !ended["first"] || !ended["bridge"] {
			t.Error("a part after the one that hangs was not ended")
		}
		if err := s.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
		close(hang)
		time.Sleep(time.Minute) // all that was left behind ends
	})
}
