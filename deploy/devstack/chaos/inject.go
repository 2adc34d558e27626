package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/simulator"
)

// Messages between rounds are polled for, and waited for this long.
const (
	flowPatience = time.Minute
	flowEvery    = 50 * time.Millisecond
)

// injection lets a fault happen while a fleet plays.
type injection struct {
	system   *system
	fleet    *process.Process
	fault    Fault
	say      func(format string, args ...any)
	until    time.Time // the fleet plays until then
	enough   float64   // messages received by each bridge between rounds
	restored int64     // bytes on the link when the last round was over
	met      int       // how many times something was done
	killed   []Part    // by the present round
	chosen   Part      // broker of Kafka that the present round is about

	withheld time.Time               // when the bridge could deliver no more
	damaged  []simulator.LostMessage // in records that were overwritten before they were delivered
}

// run goes through all rounds. It fails if one of them would prove nothing.
func (in *injection) run(ctx context.Context) error {
	if err := in.flow(ctx); err != nil {
		return err
	}
	parts := in.fault.meets()
	for round := 1; round <= in.fault.Rounds; round++ {
		lasts := time.Duration(len(parts)) * in.fault.Lasts
		if time.Now().Add(lasts + aftermath).After(in.until) {
			if round > (in.fault.Rounds+1)/2 {
				return nil
			}
			return fmt.Errorf("round %d of %d would come after the end of the fleet: the machine is too slow or too busy", round, in.fault.Rounds)
		}
		for _, part := range parts {
			if err := in.meet(ctx, part); err != nil {
				return err
			}
			if err := in.flow(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// flow waits until bridges and worker are ready and the bridges have received enough
// messages, from now on: the whole path from the devices works, and there is something to lose.
func (in *injection) flow(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, flowPatience, errors.New("bridge and worker were not ready, or received too little, for a minute"))
	defer cancel()
	base, known, l := 0.0, false, in.system.proxied
	var missing error
	err := process.Poll(ctx, flowEvery, func(ctx context.Context) (flows bool, err error) {
		now, err := in.received(ctx)
		missing = err
		switch {
		case err == nil && (!known || now < base):
			base, known = now, true
		case err == nil && now >= base+in.enough && (l == nil || l.carried() > 0):
			return true, nil
		}
		if in.fleet.Over() {
			return false, errors.New("the fleet ended before the last round of the fault was seen to be over")
		}
		return false, in.system.Crashed()
	})
	if err != nil {
		err = errors.Join(err, missing)
	}
	return err
}

// received is what each bridge has received; an error if a bridge or the worker
// say that something is missing.
func (in *injection) received(ctx context.Context) (float64, error) {
	for _, part := range slices.Concat(in.system.workers, in.system.bridges) {
		if _, err := in.system.Get(ctx, part, "/readyz"); err != nil {
			return 0, err
		}
	}
	return in.system.received(ctx)
}

// used reports, at the end of the case, whether anything came over the link in
// question since it was restored. InfluxDB is written to with pauses, and with
// longer ones after a failure, so that this can take its time.
func (in *injection) used() error {
	if in.system.proxied != nil && in.carried() == in.restored {
		return fmt.Errorf("nothing came over the link between %s and %s after the fault", inWords(in.fault.Link.From), inWords(in.fault.Link.To))
	}
	return nil
}

func (in *injection) carried() int64 {
	if in.system.proxied == nil {
		return 0
	}
	return in.system.proxied.carried()
}
