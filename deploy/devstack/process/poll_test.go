package process

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Pause(t.Context(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		if err := Pause(ctx, time.Minute); !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
	})
}

// Poll asks until the answer is true, an error, or the context has ended.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, asked := time.Now(), 0
		third := func(context.Context) (bool, error) { asked++; return asked == 3, nil }
		if err := Poll(t.Context(), time.Second, third); err != nil || asked != 3 || time.Since(start) != 2*time.Second {
			t.Errorf("asked %d times in %v, %v", asked, time.Since(start), err)
		}
		why := errors.New("enough")
		if err := Poll(t.Context(), time.Second, func(context.Context) (bool, error) { return false, why }); !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		if err := Poll(ctx, time.Second, func(context.Context) (bool, error) { return false, nil }); !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
	})
}

// Drain waits for what makes progress, and for nothing else.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, left := time.Now(), 10
		got, err := Drain(t.Context(), DrainPatience-time.Second, func(context.Context) (int, error) { left--; return left, nil })
		if got != 0 || err != nil || time.Since(start) != 9*(DrainPatience-time.Second) {
			t.Errorf("%d are left after %v, %v", got, time.Since(start), err)
		}
		start = time.Now()
		got, err = Drain(t.Context(), time.Second, func(context.Context) (int, error) { return 1, nil })
		if took := time.Since(start); got != 1 || err != nil || took <= DrainPatience || took > DrainPatience+2*time.Second {
			t.Errorf("without progress: %d are left after %v, %v", got, took, err)
		}
		why := errors.New("the bridge crashed")
		if _, err := Drain(t.Context(), time.Second, func(context.Context) (int, error) { return 5, why }); !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
	})
}
