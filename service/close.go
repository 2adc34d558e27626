package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// ShutdownTimeout bounds a graceful shutdown, over all parts. What is not
// acknowledged by then is left to the broker, which delivers it again.
const ShutdownTimeout = 15 * time.Second

// stopTimeout is the part of it in which bridge, worker, API and the like stop, all
// at once. The rest is for what they use: a server that hangs must not take the
// time in which points are saved.
const stopTimeout = ShutdownTimeout * 2 / 3

// pointsTimeout is how long the writer of points goes on writing: less than what is
// left after stopTimeout, so that it can still save or count the rest.
const pointsTimeout = ShutdownTimeout / 5

// closer ends something.
type closer struct {
	name  string
	close func(context.Context) error
}

// onStop ends a part that works: together with the others, and first.
func (s *Service) onStop(name string, f func(context.Context) error) {
	s.stoppers = append(s.stoppers, closer{name, f})
}

// onClose ends what parts use: one after the other, in reverse order of opening.
func (s *Service) onClose(name string, f func(context.Context) error) {
	s.closers = append(s.closers, closer{name, f})
}

// runPart runs f, a part that works, until the service is closed.
func (s *Service) runPart(name string, f func(context.Context)) { s.onStop(name, background(f)) }

// runUsed runs f, which parts use, until the service is closed and they have ended.
func (s *Service) runUsed(name string, f func(context.Context)) { s.onClose(name, background(f)) }

// background runs f, and returns what ends it.
func background(f func(context.Context)) func(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	return func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	}
}

// Close stops gracefully: the bridge accepts no more messages and acknowledges what
// was accepted, the worker ends its tasks, points are flushed. It returns within
// ShutdownTimeout: a part that takes longer is named in the log, and left behind.
// That is not an error: nothing is lost that a crash would not lose.
func (s *Service) Close() error {
	deadline := time.Now().Add(ShutdownTimeout)
	failures := make([]error, len(s.stoppers))
	var stopping sync.WaitGroup
	for i, c := range s.stoppers {
		stopping.Go(func() { failures[i] = c.end(stopTimeout, s.log) })
	}
	stopping.Wait()
	for _, c := range slices.Backward(s.closers) {
		failures = append(failures, c.end(time.Until(deadline)*3/4, s.log))
	}
	s.stoppers, s.closers = nil, nil
	return errors.Join(failures...)
}

// end calls close, and stops waiting for it when its time is up.
func (c closer) end(within time.Duration, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.close(ctx) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("stopping without waiting any longer", "part", c.name, "waited", within.Round(time.Millisecond))
		return nil
	}
	return err
}
