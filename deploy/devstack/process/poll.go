package process

import (
	"context"
	"time"
)

// Pause waits; its error is the cause of the context's end.
func Pause(ctx context.Context, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Poll asks once per interval until the answer is true or an error.
func Poll(ctx context.Context, every time.Duration, ask func(context.Context) (done bool, err error)) error {
	for {
		done, err := ask(ctx)
		if done || err != nil {
			return err
		}
		if err := Pause(ctx, every); err != nil {
			return err
		}
	}
}

// DrainPatience is how long Drain waits for less to be left.
const DrainPatience = 2 * time.Minute

// Drain polls how much is left, until that is nothing, or has not become less for
// DrainPatience. It returns what is left then.
func Drain(ctx context.Context, every time.Duration, ask func(context.Context) (left int, err error)) (left int, err error) {
	least, since := 0, time.Time{}
	err = Poll(ctx, every, func(ctx context.Context) (bool, error) {
		var err error
		if left, err = ask(ctx); left <= 0 || err != nil {
			return true, err
		}
		if since.IsZero() || left < least {
			least, since = left, time.Now()
		}
		return time.Since(since) > DrainPatience, nil
	})
	return left, err
}
