package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flowPatience is how long messages are waited for between rounds.
const flowPatience = time.Minute

// injection lets a fault happen while a fleet plays.
type injection struct {
	system *system
	fleet  *process
	fault  Fault
	say    func(format string, args ...any)
	until  time.Time // the fleet plays until then
	enough float64   // messages received by the bridge between rounds
	mended int64     // bytes on the link when the last round was over
}

// run goes through all rounds. It fails if one of them would prove nothing.
func (in *injection) run(ctx context.Context) error {
	if err := in.flow(ctx); err != nil {
		return err
	}
	for round := 1; round <= in.fault.Rounds; round++ {
		if time.Now().Add(in.fault.Lasts + aftermath).After(in.until) {
			if round > (in.fault.Rounds+1)/2 {
				return nil
			}
			return fmt.Errorf("round %d of %d would come after the end of the fleet: the machine is too slow or too busy", round, in.fault.Rounds)
		}
		if err := in.round(ctx); err != nil {
			return err
		}
		if err := in.flow(ctx); err != nil {
			return err
		}
	}
	return nil
}

// round is the fault, once, and its end.
func (in *injection) round(ctx context.Context) error {
	p, l := in.system.processes[in.fault.Part], in.system.proxied
	switch in.fault.Kind {
	case Kill:
		p.kill()
		in.say("killed %s", p.name)
		if err := in.hold(ctx); err != nil {
			return err
		}
		if err := p.start(ctx); err != nil {
			return err
		}
	case Pause:
		if err := p.pause(); err != nil {
			return err
		}
		in.say("paused %s", p.name)
		if err := in.hold(ctx); err != nil {
			return err
		}
		if err := p.resume(); err != nil {
			return err
		}
	case Cut:
		l.cut()
		in.say("cut %s", l.link)
		if err := in.hold(ctx); err != nil {
			return err
		}
		if err := l.mend(); err != nil {
			return err
		}
	case Delay, Throttle:
		slow := l.delay
		if in.fault.Kind == Throttle {
			slow = func() error { return l.throttle(in.fault.rate()) }
		}
		if err := slow(); err != nil {
			return err
		}
		in.say("slowed %s", l.link)
		if err := in.hold(ctx); err != nil {
			return err
		}
		if err := l.restore(ctx); err != nil {
			return err
		}
	default:
		return fmt.Errorf("fault %s is of a kind that nobody has written", in.fault.Name)
	}
	in.mended = in.carried()
	in.say("%s is over", in.fault.Name)
	return nil
}

// hold waits as long as the fault lasts.
func (in *injection) hold(ctx context.Context) error { return pause(ctx, in.fault.Lasts) }

// flow waits until bridge and worker are ready and the bridge has received enough
// messages, from now on: the whole way from the devices works, and there is something to be lost.
func (in *injection) flow(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, flowPatience, errors.New("bridge and worker were not ready, or received too little, for a minute"))
	defer cancel()
	base, known, l := 0.0, false, in.system.proxied
	for {
		now, err := in.received(ctx)
		switch {
		case err == nil && (!known || now < base):
			base, known = now, true
		case err == nil && now >= base+in.enough && (l == nil || l.carried() > 0):
			return nil
		}
		if in.fleet.over() {
			return errors.New("the fleet ended before the last round of the fault was seen to be over")
		}
		if err := in.system.crashed(); err != nil {
			return err
		}
		if err := pause(ctx, readyEvery); err != nil {
			return err
		}
	}
}

// received is what the bridge has received; an error if the bridge or the worker
// say that something is missing.
func (in *injection) received(ctx context.Context) (float64, error) {
	for _, part := range []Part{Bridge, Worker} {
		if _, err := in.system.get(ctx, part, "/readyz"); err != nil {
			return 0, err
		}
	}
	return in.system.received(ctx)
}

// used tells, at the end of the case, that something came over the link in
// question since it was mended. InfluxDB is written to with pauses, and with
// longer ones after a failure, so that this can take its time.
func (in *injection) used() error {
	if in.system.proxied != nil && in.carried() == in.mended {
		return fmt.Errorf("nothing came over the link between %s and %s after the fault", in.fault.Link.From.told(), in.fault.Link.To.told())
	}
	return nil
}

func (in *injection) carried() int64 {
	if in.system.proxied == nil {
		return 0
	}
	return in.system.proxied.carried()
}

// pause waits; its error is why it could not.
func pause(ctx context.Context, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
