package simulator

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Pace of the waiting at the end of a run. Asking a twin costs a query, so it is
// asked only when the device has come to rest, few at a time, and less and less
// often.
const (
	settleEvery = 200 * time.Millisecond
	askAtOnce   = 4
	askFirst    = 250 * time.Millisecond
	askSlowest  = 5 * time.Second
	askTimeout  = 20 * time.Second
	quietTime   = time.Second // without a message or a command before the judgement
)

// rest is how far one device has come in the waiting.
type rest struct {
	log     AppliedLog
	known   bool // log was read at least once
	err     error
	settled bool
	last    number // the highest number given out when it settled
	askAt   time.Time
	wait    time.Duration
}

// settling waits until every workflow has applied what its device sent.
type settling struct {
	fleet *fleet
	rests []rest

	mutex   sync.Mutex
	waiting int
}

func newSettling(f *fleet) *settling {
	return &settling{fleet: f, rests: make([]rest, len(f.devices)), waiting: len(f.devices)}
}

// waitingFor is how many devices are not settled.
func (s *settling) waitingFor() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.waiting
}

// wait returns when all has settled and stays so, or at the deadline. The error
// is that of the context.
func (s *settling) wait(ctx context.Context, deadline time.Time) error {
	var quietSince time.Time
	asking, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		s.round(asking)
		now := time.Now()
		switch {
		case s.waitingFor() > 0:
			quietSince = time.Time{}
		case quietSince.IsZero():
			quietSince = now
		case now.Sub(quietSince) >= quietTime:
			return nil
		}
		if now.After(deadline) {
			return nil
		}
		if !pause(ctx, settleEvery) {
			return ctx.Err()
		}
	}
}

// round looks at each device once, and asks the twins that may have settled.
func (s *settling) round(ctx context.Context) {
	now := time.Now()
	var ask errgroup.Group
	ask.SetLimit(askAtOnce)
	// Goodbyes go out at the pace at which the devices came.
	goodbyes := int(math.Ceil(s.fleet.options.ConnectRate * settleEvery.Seconds()))
	for i, d := range s.fleet.devices {
		r := &s.rests[i]
		resting, asked, last := d.resting(now, goodbyes > 0)
		if asked {
			goodbyes--
		}
		if r.settled && r.last == last && resting {
			continue
		}
		r.settled = false
		if !resting || now.Before(r.askAt) {
			continue
		}
		ask.Go(func() error {
			s.ask(ctx, d, r, last)
			return nil
		})
	}
	_ = ask.Wait() // what goes wrong is kept with the device
	waiting := 0
	for i := range s.rests {
		if !s.rests[i].settled {
			waiting++
		}
	}
	s.mutex.Lock()
	s.waiting = waiting
	s.mutex.Unlock()
}

func (s *settling) ask(ctx context.Context, d *player, r *rest, last number) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	log, err := s.fleet.options.Twins.Applied(ctx, d.id)
	if err != nil {
		r.err = fmt.Errorf("ask the twin of device %s: %w", d.id, err)
	} else {
		r.log, r.known, r.err = log, true, nil
		d.mutex.Lock()
		r.settled = !log.Pending && d.account.covered(log)
		d.mutex.Unlock()
		r.last = last
	}
	r.wait = min(max(2*r.wait, askFirst), askSlowest)
	r.askAt = time.Now().Add(r.wait)
}

// lastWord asks the twins that did not settle once more. The error says that one
// does not answer.
func (s *settling) lastWord(ctx context.Context) error {
	var ask errgroup.Group
	ask.SetLimit(askAtOnce)
	for i, d := range s.fleet.devices {
		r := &s.rests[i]
		if r.settled {
			continue
		}
		ask.Go(func() error {
			s.ask(ctx, d, r, r.last)
			r.settled = false
			if !r.known {
				return r.err
			}
			return nil
		})
	}
	return ask.Wait()
}

// resting reports whether the device has nothing more to do and said its
// goodbye, and the highest number that it gave out. A device that has come to
// rest without having said goodbye is asked for it, if it may be: the goodbye is
// always relevant, so that once it was applied, so was all before it.
func (d *player) resting(now time.Time, mayAsk bool) (rests, asked bool, last number) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.absent {
		return true, false, last
	}
	if n := len(d.account.issued); n > 0 {
		last = d.account.issued[n-1]
	}
	if d.busy || !d.part && !mayAsk {
		return false, false, last
	}
	unknown := func(number) (time.Time, bool) { return time.Time{}, false }
	verdict := decide(d.fleet.options.Scenario.Expect, evidence{
		facts: d.facts, unacknowledged: d.account.unacknowledged, durable: unknown, now: now,
		skew: d.identity.believedSkew(), blurred: d.account.blurred(),
	})
	if verdict.Open {
		return false, false, last
	}
	if !d.part {
		d.part, d.busy = true, true
		d.nudge()
		return false, true, last
	}
	return true, false, last
}
