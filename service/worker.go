package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"devicetwin/devicefsm"
	"devicetwin/internal/backoff"
	"devicetwin/internal/credentials"
	devicejournal "devicetwin/internal/journal"
	wiredialect "devicetwin/wire/dialect"
	"devicetwin/workflows/aggregate"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
	"devicetwin/workflows/migration"
	"devicetwin/workflows/registry"
)

// checkSources refuses models that invoke an activity that this worker does not
// have: it would be retried for an hour.
func checkSources(models []*devicefsm.Model) error {
	var faults []error
	for _, m := range models {
		for _, src := range m.Sources() {
			if known := deviceworkflow.Invocable(); !slices.Contains(known, src) {
				faults = append(faults, fmt.Errorf("model %s invokes %q: no such activity; expected one of %s", m.Name(), src, strings.Join(known, ", ")))
			}
		}
	}
	return errors.Join(faults...)
}

// unknownReceivers are those whom models notify and the worker does not have, each with the names of its models,
// in the order of the receivers. Their notifications fail, and devices go on: so that is not refused.
func unknownReceivers(models []*devicefsm.Model, known map[string]string) (unknown []string) {
	by := map[string][]string{}
	for _, m := range models {
		for _, to := range m.Receivers() {
			if _, ok := known[to]; !ok && !slices.Contains(by[to], m.Name()) {
				by[to] = append(by[to], m.Name())
			}
		}
	}
	for _, to := range slices.Sorted(maps.Keys(by)) {
		unknown = append(unknown, fmt.Sprintf("%s (%s)", to, strings.Join(by[to], ", ")))
	}
	return unknown
}

// stickyWorkflows is how many device workflows a worker keeps in memory; any
// other is rebuilt from its history when it gets a signal.
const stickyWorkflows = 20_000

// workerOptions have pollers that follow the load: with a fixed number, a burst
// of new devices waits while the CPU idles.
func workerOptions() worker.Options {
	pollers := worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{})
	return worker.Options{
		WorkflowTaskPollerBehavior:             pollers,
		ActivityTaskPollerBehavior:             pollers,
		MaxConcurrentWorkflowTaskExecutionSize: 200,
		MaxConcurrentActivityExecutionSize:     200,
		WorkerStopTimeout:                      stopTimeout - 2*time.Second, // then it can still report what it left
	}
}

// openCredentials opens the store, to check logins or only to issue credentials.
// PostgreSQL may be down: then a reprovisioning fails, and Temporal repeats it.
func (s *Service) openCredentials(where string, metrics prometheus.Registerer, checks bool) (credentials.Store, error) {
	counts := credentials.NewCounts()
	if err := counts.Register(metrics); err != nil {
		return nil, err
	}
	store, err := credentials.OpenWith(where, credentials.Options{Log: s.log, Counts: counts, Checks: checks})
	if err != nil {
		return nil, err
	}
	s.onClose("credential store", func(context.Context) error { store.Close(); return nil })
	return store, nil
}

func (s *Service) startWorker(p Plan, temporal client.Client, models models, known *modelRegistry, watch *registryWatch, counts *deviceworkflow.Counts,
	store deviceworkflow.Provisioner, publisher deviceworkflow.Publisher, points deviceworkflow.PointWriter, sink *recordSink, inputs *devicejournal.Writer) (func(context.Context) error, error) {
	speech, err := wiredialect.NewSet(p.Worker.Wire, p.Dialects...)
	if err != nil {
		return nil, &ConfigError{err} // it was checked before
	}
	if unknown := unknownReceivers(models.given, p.Worker.Receivers); len(unknown) > 0 {
		s.log.Warn("models notify receivers that this worker does not have, and such notifications fail (--worker-notify NAME=URL)", "receivers", unknown)
	}
	options := workerOptions()
	options.OnFatalError = func(err error) { s.fail(fmt.Errorf("worker: %w", err)) }
	worker.SetStickyWorkflowCacheSize(stickyWorkflows)
	groups, newModel := deviceworkflow.NewGroupModels(models.groups()...), models.newModel
	if watch != nil {
		newModel = watch.newModel
		s.followGroups(watch, models, groups.Set)
	}
	device := &deviceworkflow.Workflow{
		Models: known, NewModel: newModel, Groups: groups, RunEvents: p.Worker.RunEvents, MaxDeliveries: p.Worker.MaxDeliveries,
		Recent: p.Worker.RecentMessages, Twin: p.Worker.Twin, Counts: counts,
		Records: deviceworkflow.RecordSettings{Transitions: p.Worker.Sink.Topics.Transitions != "", Commands: p.Worker.Sink.Topics.Commands != ""},
	}
	if inputs != nil {
		device.Journal = inputs
	}
	activities := &deviceworkflow.Activities{
		Dialect: speech, Publisher: publisher, Points: points, Provisioner: store, Models: known,
		Topics: p.Worker.Topics, Receivers: p.Worker.Receivers, Counts: counts,
		OfDevices: speech.Knows, RecordTopics: p.Worker.Sink.Topics,
	}
	if sink != nil {
		activities.Records = sink
	}
	check := func(ctx context.Context) error {
		return twinclient.CheckSearchAttributes(ctx, temporal, p.Temporal.Namespace)
	}
	twins := p.Temporal.Twins(temporal, "", "")
	if known.fetch == nil { // else the watch of the registry uses it
		known.fetch = twins.ModelText
	}
	s.runPart("models", known.run)
	movers := p.Temporal.Twins(temporal, p.TaskQueue, "")
	run := newWorkerRun(func() worker.Worker {
		made := worker.New(temporal, p.TaskQueue, options)
		deviceworkflow.Register(made, device, activities)
		aggregate.Register(made, &aggregate.Workflow{}, &aggregate.Activities{Temporal: temporal, TaskQueue: p.TaskQueue})
		migration.Register(made, &migration.Activities{Devices: movers})
		registry.Register(made, &registry.Activities{Running: twins.CountOfModel, Moving: twins.IsMoving, End: twins.EndText})
		return made
	}, check, s.log)
	s.runPart("worker", run.run)
	return run.ready, nil
}

// workerRun starts a worker as soon as Temporal is reachable, and stops it.
type workerRun struct {
	// make makes a worker; one that could not start can't be started again.
	make func() worker.Worker
	// check reports whether the namespace has what device workflows need.
	check func(context.Context) error
	log   *slog.Logger
	// waits is what the worker waits for: a nil error when it works. run sets it.
	waits atomic.Pointer[error]
}

func newWorkerRun(make func() worker.Worker, check func(context.Context) error, log *slog.Logger) *workerRun {
	r := &workerRun{make: make, check: check, log: log}
	r.waitsFor(errors.New("waiting for Temporal"))
	return r
}

func (r *workerRun) waitsFor(what error) { r.waits.Store(&what) }

func (r *workerRun) ready(context.Context) error { return *r.waits.Load() }

func (r *workerRun) run(ctx context.Context) {
	var w worker.Worker
	warned := false
	started := retry(ctx, func() error {
		w = r.make()
		err := w.Start()
		if err != nil && !warned {
			r.log.Warn("worker is waiting for Temporal", "error", err)
			warned = true
		}
		return err
	})
	if !started {
		return
	}
	if warned {
		r.log.Info("connected to Temporal")
	}
	r.awaitNamespace(ctx)
	<-ctx.Done()
	w.Stop()
}

// awaitNamespace checks the namespace until it has what device workflows need: an
// operator may still have to run setup. What else can be wrong with Temporal is
// another check's, and does not keep the worker from being ready.
func (r *workerRun) awaitNamespace(ctx context.Context) {
	warned := false
	retry(ctx, func() error {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err := r.check(attempt)
		if !errors.Is(err, twinclient.ErrNoAttributes) {
			r.waitsFor(nil)
			return err
		}
		r.waitsFor(fmt.Errorf("run devicetwin setup: %w", err))
		if !warned {
			r.log.Error("the namespace is not prepared: run devicetwin setup; until then no new device works", "error", err)
			warned = true
		}
		return err
	})
}

// retry repeats f until it succeeds, at growing intervals; false is the end of ctx.
func retry(ctx context.Context, f func() error) bool {
	wait := backoff.New(500*time.Millisecond, 10*time.Second)
	for attempt := 0; f() != nil; attempt++ {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait(attempt)):
		}
	}
	return true
}
