package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"devicetwin/deploy/devstack/process"
)

// Metrics of the bridge that are used here.
const (
	metricReceived    = "devicetwin_bridge_received_total"
	metricAccepted    = "devicetwin_bridge_events_total" // by Temporal
	metricSignals     = "devicetwin_bridge_signals_total"
	metricWindow      = "devicetwin_bridge_window_messages" // not acknowledged
	metricDeadLetters = "devicetwin_bridge_dead_letters_total"
)

// readings are where everything stood at a moment.
type readings struct {
	at     time.Time
	cpu    map[string]time.Duration
	count  uint64
	bridge map[string]float64 // nil: there is no bridge
}

func (s *system) readings(ctx context.Context) (readings, error) {
	r := readings{at: time.Now(), cpu: map[string]time.Duration{}}
	for name, part := range s.parts {
		if used, ok := part.CPU(); ok {
			r.cpu[name] = used
		}
	}
	if used, ok := process.OwnCPU(); ok {
		r.cpu[partLoad] = used
	}
	if s.count != nil {
		r.count = s.count()
	}
	if p := s.parts[partBridge]; p == nil || p.Over() {
		return r, nil
	}
	var err error
	r.bridge, err = s.metrics(ctx, partBridge)
	return r, err
}

// span is what happened between two readings.
type span struct {
	from, to time.Time
	seconds  float64
	count    float64            // a second
	cpu      map[string]float64 // percent of one core
	bridge   map[string]float64 // a second
}

func between(a, b readings) span {
	sp := span{from: a.at, to: b.at, seconds: b.at.Sub(a.at).Seconds(), cpu: map[string]float64{}, bridge: map[string]float64{}}
	sp.count = float64(b.count-a.count) / sp.seconds
	for name, used := range b.cpu {
		sp.cpu[name] = 100 * (used - a.cpu[name]).Seconds() / sp.seconds
	}
	for name, value := range b.bridge {
		sp.bridge[name] = (value - a.bridge[name]) / sp.seconds
	}
	return sp
}

// into fills in what a row tells of the span.
func (sp span) into(row *Row) {
	row.CPU = sp.cpu
	row.Messages, row.Signals = sp.bridge[metricReceived], sp.bridge[metricSignals]
}

// play lets a load run for its warm-up and the time of a case, and measures the
// latter.
func (s *system) play(ctx context.Context, name string, l *load, warmUp, lasts time.Duration) (span, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.addr, l.lasts = s.address(partBroker), warmUp+lasts
	s.run.say("%s: %v of warm-up, and %v", name, warmUp, lasts)
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.run(ctx); err != nil {
			cancel(err)
		}
	})
	sp, err := s.watch(ctx, name, warmUp, lasts)
	if err != nil {
		cancel(err)
	}
	running.Wait()
	return sp, errors.Join(err, context.Cause(ctx), s.crashed())
}

func (s *system) watch(ctx context.Context, name string, warmUp, lasts time.Duration) (span, error) {
	if err := process.Pause(ctx, warmUp); err != nil {
		return span{}, err
	}
	before, err := s.readings(ctx)
	if err != nil {
		return span{}, err
	}
	profiled := s.profile(ctx, name, lasts)
	if err := process.Pause(ctx, lasts); err != nil {
		return span{}, err
	}
	after, err := s.readings(ctx)
	return between(before, after), errors.Join(err, profiled())
}

// profile takes CPU profiles of bridge and worker meanwhile, if they are wanted.
func (s *system) profile(ctx context.Context, name string, lasts time.Duration) (wait func() error) {
	if s.run.Profile == "" || s.parts[partBridge] == nil {
		return func() error { return nil }
	}
	var taking sync.WaitGroup
	var faults [2]error
	for i, part := range []string{partBridge, partWorker} {
		taking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lasts+30*time.Second)
			defer cancel()
			url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.address(part), max(1, int(lasts.Seconds())-1))
			body, err := process.Get(ctx, url)
			if err == nil {
				err = os.WriteFile(filepath.Join(s.run.Profile, name+"-"+part+".pprof"), []byte(body), 0o644)
			}
			if err != nil {
				faults[i] = fmt.Errorf("profile %s: %w", part, err)
			}
		})
	}
	return func() error { taking.Wait(); return errors.Join(faults[:]...) }
}

// follow keeps reading a metric of the bridge, less what it was at first, until
// the function stop is called.
func (s *system) follow(ctx context.Context, name string) (value func() uint64, stop func(), err error) {
	const every = 100 * time.Millisecond
	first, err := s.metrics(ctx, partBridge)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var current atomic.Uint64
	var running sync.WaitGroup
	running.Go(func() {
		for process.Pause(ctx, every) == nil {
			if now, err := s.metrics(ctx, partBridge); err == nil {
				current.Store(uint64(now[name] - first[name]))
			}
		}
	})
	return current.Load, func() { cancel(); running.Wait() }, nil
}

// noDeadLetters reports messages that the bridge refused.
func (s *system) noDeadLetters(ctx context.Context) ([]string, error) {
	now, err := s.metrics(ctx, partBridge)
	if err == nil && now[metricDeadLetters] > 0 {
		return []string{fmt.Sprintf("%v dead letters", now[metricDeadLetters])}, nil
	}
	return nil, err
}

// patience is how long something may take to get nearer to its end.
const patience = 2 * time.Minute

// progress ends what does not get nearer to its end.
type progress struct {
	left  int
	since time.Time
}

// stuck takes how much is left to do.
func (p *progress) stuck(left int) bool {
	if p.since.IsZero() || left < p.left {
		p.left, p.since = left, time.Now()
	}
	return time.Since(p.since) > patience
}

// drained waits until the bridge has received everything that was published, and
// has acknowledged it: what matters of it is accepted by Temporal. Asking the
// workflows meanwhile would only keep them from their work.
func (s *system) drained(ctx context.Context, devices []*account) error {
	sent := 0
	for _, a := range devices {
		sent += len(a.due)
	}
	var p progress
	for {
		now, err := s.metrics(ctx, partBridge)
		if err != nil {
			return errors.Join(err, s.crashed())
		}
		left := max(0, sent-int(now[metricReceived])) + int(now[metricWindow])
		if left == 0 {
			return nil
		}
		if p.stuck(left) {
			return fmt.Errorf("%d messages of %d do not get through the bridge", left, sent)
		}
		if err := errors.Join(s.crashed(), process.Pause(ctx, 100*time.Millisecond)); err != nil {
			return err
		}
	}
}
