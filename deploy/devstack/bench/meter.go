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

// readings are the counters at one moment.
type readings struct {
	at     time.Time
	cpu    map[process.Part]time.Duration
	count  uint64
	bridge map[string]float64 // nil: there is no bridge
}

func (s *system) readings(ctx context.Context) (readings, error) {
	r := readings{at: time.Now(), cpu: map[process.Part]time.Duration{}}
	for name, part := range s.Parts {
		if used, ok := part.CPU(); ok {
			r.cpu[name] = used
		}
	}
	if used, ok := process.OwnCPU(); ok {
		r.cpu[loader] = used
	}
	if s.count != nil {
		r.count = s.count()
	}
	if p := s.Parts[process.Bridge]; p == nil || p.Over() {
		return r, nil
	}
	var err error
	r.bridge, err = s.Metrics(ctx, process.Bridge, process.MetricReceived, process.MetricSignals)
	return r, err
}

// span is what happened between two readings.
type span struct {
	from, to time.Time
	seconds  float64
	count    float64                  // a second
	cpu      map[process.Part]float64 // percent of one core
	bridge   map[string]float64       // a second
}

func between(a, b readings) span {
	sp := span{from: a.at, to: b.at, seconds: b.at.Sub(a.at).Seconds(), cpu: map[process.Part]float64{}, bridge: map[string]float64{}}
	sp.count = float64(b.count-a.count) / sp.seconds
	for name, used := range b.cpu {
		sp.cpu[name] = 100 * (used - a.cpu[name]).Seconds() / sp.seconds
	}
	for name, value := range b.bridge {
		sp.bridge[name] = (value - a.bridge[name]) / sp.seconds
	}
	return sp
}

// into fills in what a row says about the span.
func (sp span) into(row *Row) {
	row.CPU = sp.cpu
	row.Messages, row.Signals = sp.bridge[process.MetricReceived], sp.bridge[process.MetricSignals]
}

// play lets a load run for its warm-up and the time of a case, and measures the
// latter.
func (s *system) play(ctx context.Context, name string, l *load, warmUp, lasts time.Duration) (span, error) {
	l.lasts = warmUp + lasts
	s.run.say("%s: %v of warm-up, and %v", name, warmUp, lasts)
	var sp span
	err := s.during(ctx, l, func(ctx context.Context) (err error) {
		sp, err = s.watch(ctx, name, warmUp, lasts)
		return err
	})
	return sp, err
}

// during lets a load run to its end, and does something meanwhile. An error of either
// ends both.
func (s *system) during(ctx context.Context, l *load, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.carry(l)
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.run(ctx); err != nil {
			cancel(err)
		}
	})
	err := do(ctx)
	if err != nil {
		cancel(err)
	}
	running.Wait()
	return errors.Join(err, context.Cause(ctx), s.Crashed())
}

// carry has a load use the broker of the system.
func (s *system) carry(l *load) {
	if l.addr = s.At(process.Broker); len(s.brokers) > 0 {
		l.brokers, l.say = s.brokers, kafkaSpeech(l.say)
	}
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
	if s.run.Profile == "" || s.Parts[process.Bridge] == nil {
		return func() error { return nil }
	}
	var taking sync.WaitGroup
	var faults [2]error
	for i, part := range []process.Part{process.Bridge, process.Worker} {
		taking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lasts+30*time.Second)
			defer cancel()
			url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.At(part), max(1, int(lasts.Seconds())-1))
			body, err := process.Get(ctx, url)
			if err == nil {
				err = os.WriteFile(filepath.Join(s.run.Profile, name+"-"+string(part)+".pprof"), []byte(body), 0o644)
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
	first, err := s.Metrics(ctx, process.Bridge, name)
	if err != nil {
		return nil, nil, err
	}
	var current atomic.Uint64
	stop = s.watchBridge(ctx, 100*time.Millisecond, func(now map[string]float64) {
		current.Store(uint64(now[name] - first[name]))
	}, name)
	return current.Load, stop, nil
}

// watchBridge looks at metrics of the bridge again and again, while it has them, until
// stop is called.
func (s *system) watchBridge(ctx context.Context, every time.Duration, look func(map[string]float64), names ...string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for process.Pause(ctx, every) == nil {
			if now, err := s.Metrics(ctx, process.Bridge, names...); err == nil {
				look(now)
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// noDeadLetters reports messages that the bridge refused.
func (s *system) noDeadLetters(ctx context.Context) ([]string, error) {
	now, err := s.Metrics(ctx, process.Bridge, process.MetricDeadLetters)
	if n := now[process.MetricDeadLetters]; err == nil && n > 0 {
		return []string{fmt.Sprintf("%v dead letters", n)}, nil
	}
	return nil, err
}

// drained waits until the bridge has received everything that was published, and
// has delivered it: what matters of it is accepted by Temporal. Asking the
// workflows meanwhile would only keep them from their work.
func (s *system) drained(ctx context.Context, devices []*account) error {
	sent := int(sentBy(devices) - s.received)
	left, err := process.Drain(ctx, 100*time.Millisecond, func(ctx context.Context) (int, error) {
		now, err := s.Metrics(ctx, process.Bridge, process.MetricReceived, process.MetricWindow)
		waiting := int(now[process.MetricWindow] + now[process.MetricBacklog])
		return max(0, sent-int(now[process.MetricReceived])) + waiting, errors.Join(err, s.Crashed())
	})
	if err == nil && left > 0 {
		err = notThrough(left, sent)
	}
	return err
}

func notThrough(left, sent int) error {
	return fmt.Errorf("%d messages of %d do not get through the bridge", left, sent)
}
