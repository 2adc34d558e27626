package backoff

import (
	"testing"
	"time"
)

func TestTheWaitDoublesUpToItsBound(t *testing.T) {
	wait := New(100*time.Millisecond, time.Second)
	for attempt, full := range map[int]time.Duration{
		0: 100 * time.Millisecond, 1: 200 * time.Millisecond, 3: 800 * time.Millisecond,
		4: time.Second, 31: time.Second, 32: time.Second, 1 << 20: time.Second,
	} {
		for range 100 {
			if got := wait(attempt); got < full/2 || got > full {
				t.Fatalf("attempt %d: %v, want %v to %v", attempt, got, full/2, full)
			}
		}
	}
}
