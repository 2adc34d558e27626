package service

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/worker"
)

// workerRun starts a worker as soon as Temporal is there, and stops it.
type workerRun struct {
	// make makes a worker; one that could not start can't be started again.
	make    func() worker.Worker
	log     *slog.Logger
	started atomic.Bool
}

func (r *workerRun) run(ctx context.Context) {
	const longest = 10 * time.Second
	told := false
	var w worker.Worker
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, longest) {
		w = r.make()
		err := w.Start()
		if err == nil {
			break
		}
		if !told {
			r.log.Warn("the worker waits for Temporal", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	if told {
		r.log.Info("Temporal is there")
	}
	r.started.Store(true)
	<-ctx.Done()
	w.Stop()
}

func (r *workerRun) ready(context.Context) error {
	if !r.started.Load() {
		return errors.New("waits for Temporal")
	}
	return nil
}
