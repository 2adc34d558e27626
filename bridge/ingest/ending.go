package ingest

import (
	"context"
	"fmt"
	"time"
)

// Ending ends what runs an Ingest with a source, in order and in the time that there is for it.
type Ending struct {
	stopping chan context.Context // of Shutdown
	ended    chan struct{}        // closed when it has ended
}

// NewEnding makes one; Shutdown may be called before Begin.
func NewEnding() Ending {
	return Ending{stopping: make(chan context.Context, 1), ended: make(chan struct{})}
}

// Begin makes the contexts of Ingest.Run. taking ends with ctx, or when Shutdown is called; abandon
// ends shortly before the time for the end is over: by last, or a quarter of what is left, if that
// is less. That time is what the context of Shutdown gives, or drain from the end of ctx. The caller
// calls end when everything has ended. Begin is called once.
func (e Ending) Begin(ctx context.Context, drain, last time.Duration) (taking, abandon context.Context, end func()) {
	taking, stop := context.WithCancel(ctx)
	abandon, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	go e.watch(taking, stop, giveUp, drain, last)
	return taking, abandon, func() {
		giveUp()
		stop()
		close(e.ended)
	}
}

func (e Ending) watch(taking context.Context, stop, giveUp context.CancelFunc, drain, last time.Duration) {
	var until time.Time
	select {
	case within := <-e.stopping:
		deadline, ok := within.Deadline()
		if !ok {
			deadline = time.Now().Add(drain)
		}
		until = deadline
		stop()
	case <-taking.Done():
		until = time.Now().Add(drain)
	case <-e.ended:
		return
	}
	left := time.Until(until)
	timer := time.NewTimer(left - min(last, left/4))
	defer timer.Stop()
	select {
	case <-timer.C:
		giveUp()
	case <-e.ended:
	}
}

// Shutdown ends what was begun as the end of its context does, and waits until it has ended, or for
// the end of ctx. It is for a bridge that runs; the error names it.
func (e Ending) Shutdown(ctx context.Context, bridge string) error {
	select {
	case e.stopping <- ctx:
	default: // it was called before
	}
	select {
	case <-e.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("shut down bridge %s: %w", bridge, ctx.Err())
	}
}
