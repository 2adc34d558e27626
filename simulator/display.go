package simulator

import (
	"context"
	"sync"
	"time"
)

// Pace of the progress reports.
const (
	showEvery   = time.Second
	statesEvery = 2 * time.Second
)

// watching is what the displays of all fleets have: the phase, and the latest count of devices, or of
// entities, by state.
type watching struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mutex  sync.Mutex
	phase  Phase
	states map[string]int
}

// start shows until it is stopped.
func (d *watching) start(ctx context.Context, twins Twins, show func(context.Context)) {
	ctx, d.cancel = context.WithCancel(ctx)
	d.done.Go(func() { show(ctx) })
	d.done.Go(func() { d.askStates(ctx, twins) })
}

func (d *watching) stop() {
	d.cancel()
	d.done.Wait()
}

func (d *watching) enter(p Phase) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.phase = p
}

func (d *watching) now() (Phase, map[string]int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.phase, d.states
}

// askStates keeps the latest count by state. It is for the display only, so a failure just leaves
// the old one.
func (d *watching) askStates(ctx context.Context, twins Twins) {
	for pause(ctx, statesEvery) {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		states, err := twins.States(asking)
		cancel()
		if err != nil {
			continue
		}
		d.mutex.Lock()
		d.states = states
		d.mutex.Unlock()
	}
}

// display makes a Progress every second.
type display struct {
	watching
	fleet   *fleet
	planned time.Duration
	settle  *settling // by the mutex
}

func newDisplay(f *fleet) *display {
	return &display{fleet: f, planned: f.ramp() + f.options.Duration, watching: watching{phase: PhaseConnecting, cancel: func() {}}}
}

func (d *display) start(ctx context.Context) { d.watching.start(ctx, d.fleet.options.Twins, d.show) }

func (d *display) waitFor(s *settling) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.phase, d.settle = PhaseSettling, s
}

func (d *display) show(ctx context.Context) {
	f := d.fleet
	last, sent, relevant := f.started, uint64(0), uint64(0)
	for looks := 0; pause(ctx, showEvery); looks++ {
		now := time.Now()
		took := now.Sub(last).Seconds()
		nowSent, nowRelevant := f.count.sent.Load(), f.count.relevant.Load()
		p := Progress{
			Elapsed: now.Sub(f.started), Planned: d.planned,
			Devices: f.options.Devices, Connected: int(f.connected.Load()),
			Sent:                 nowSent,
			MessagesPerSecond:    float64(nowSent-sent) / took,
			EventsPerSecond:      float64(nowRelevant-relevant) / took,
			Reprovisions:         f.count.reprovisions.Load(),
			SequenceToCommandP99: f.live.at(99),
			Trouble:              f.trouble(),
			Cut:                  f.cutNow(now),
		}
		p.DeadLetters, _ = f.letters.counts()
		d.mutex.Lock()
		p.Phase, p.States = d.phase, d.states
		settle := d.settle
		d.mutex.Unlock()
		if settle != nil {
			p.Waiting = settle.waitingFor()
		}
		last, sent, relevant = now, nowSent, nowRelevant
		f.options.Progress(p)
		if looks%pointsEvery == 0 {
			f.writePoint(f.progressFields(p), now)
		}
	}
}
