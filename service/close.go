package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ShutdownTimeout bounds a graceful shutdown, over all parts. What is not
// acknowledged by then is left to the broker, which delivers it again.
const ShutdownTimeout = 15 * time.Second

// partTimeout is how long one part may take at most, when nothing before it took
// any time: three quarters of what is left, so that those after it get some.
const partTimeout = ShutdownTimeout * 3 / 4

// closer ends a part.
type closer struct {
	name  string
	close func(context.Context) error
}

func (s *Service) onClose(name string, f func(context.Context) error) {
	s.closers = append(s.closers, closer{name, f})
}

// background runs f until the service is closed.
func (s *Service) background(name string, f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	s.onClose(name, func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	})
}

// Close stops gracefully, in reverse order of opening: the bridge accepts no more
// messages and acknowledges what was accepted, the worker ends its tasks, points
// are flushed. It returns within ShutdownTimeout: a part that takes longer is
// named in the error, and left behind.
func (s *Service) Close() error {
	deadline := time.Now().Add(s.within)
	var failures []error
	for _, c := range slices.Backward(s.closers) {
		failures = append(failures, c.end(time.Until(deadline)*3/4))
	}
	s.closers = nil
	return errors.Join(failures...)
}

// end closes the part, and stops waiting for it when its time is up.
func (c closer) end(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.close(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		select {
		case err := <-ended: // with the error of its own
			return err
		default:
		}
		return fmt.Errorf("stop the %s: not done after %v", c.name, within.Round(time.Millisecond))
	}
}
