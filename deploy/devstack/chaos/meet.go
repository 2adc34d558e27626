package chaos

import (
	"context"
	"fmt"
	"strings"

	"devicetwin/deploy/devstack/process"
)

// meet lets the fault happen to a part, or to the link, once, and end.
func (in *injection) meet(ctx context.Context, part Part) error {
	begin, end, err := in.actions(ctx, part)
	if err != nil {
		return err
	}
	if err := begin(); err != nil {
		return err
	}
	in.met++
	in.say("%s", in.begun(part))
	if err := process.Pause(ctx, in.fault.Lasts); err != nil {
		return err
	}
	if err := end(ctx); err != nil {
		return err
	}
	in.restored = in.carried()
	in.say("that is over")
	return nil
}

// actions begin the fault and end it.
func (in *injection) actions(ctx context.Context, part Part) (begin func() error, end func(context.Context) error, err error) {
	if part == KafkaBroker { // which has no part of this name
		if part, err = in.system.leader(ctx); err != nil {
			return nil, nil, err
		}
		in.chosen = part
	}
	p, l := in.system.Parts[part], in.system.proxied
	switch in.fault.Kind {
	case Kill:
		begin, end = in.killActions(part)
		return begin, end, nil
	case Restart:
		return p.Stop, p.Start, nil
	case Pause:
		return p.Pause, func(context.Context) error { return p.Resume() }, nil
	case Fill, Damage, DamageRead, Forget, Rewind, Lose:
		begin, end = in.logActions(ctx, part)
		return begin, end, nil
	case Repartition:
		begin, end = in.repartitionActions(ctx)
		return begin, end, nil
	case Upgrade:
		begin, end = in.upgradeActions(ctx, part)
		return begin, end, nil
	case Revoke, Away, Expire:
		begin, end = in.influx2Actions(ctx)
		return begin, end, nil
	case Move, Rebalance, Grow:
		begin, end = in.kafkaActions(ctx)
		return begin, end, nil
	case Cut:
		return func() error { l.cut(); return nil }, func(context.Context) error { return l.reopen() }, nil
	case Delay:
		return l.delay, l.restore, nil
	case Throttle:
		return func() error { return l.throttle(in.fault.rate()) }, l.restore, nil
	}
	return nil, nil, fmt.Errorf("fault %s: kind %q is not implemented", in.fault.Name, in.fault.Kind)
}

// begun reports what was done.
func (in *injection) begun(part Part) string {
	switch in.fault.Kind {
	case Kill:
		return "killed " + inLine(in.killed)
	case Restart:
		return "ended " + string(part)
	case Pause:
		if in.chosen != "" {
			part = in.chosen
		}
		return "paused " + string(part)
	case Move, Rebalance, Grow:
		return in.kafkaBegun()
	case Fill:
		return "killed influxdb, and filled the disk of the log of " + string(part)
	case Damage:
		return "paused temporal, and killed influxdb"
	case DamageRead:
		return "killed " + string(part) + ", and overwrote what it had delivered of its log"
	case Forget:
		return "killed " + string(part) + ", and removed its checkpoint"
	case Rewind:
		return "copied the checkpoint of " + string(part)
	case Lose:
		return "ended " + string(part) + ", and removed its log"
	case Repartition:
		return "ended all bridges"
	case Upgrade:
		return "ended the earlier " + string(part)
	case Revoke:
		return "switched the token off"
	case Away:
		return "renamed the bucket"
	case Expire:
		return "published readings that are too old"
	case Cut:
		return "cut " + in.fault.Link.String()
	}
	return "slowed " + in.fault.Link.String()
}

// killActions kill a part, or the nodes of a broker that the fault is about, and start them
// again.
func (in *injection) killActions(part Part) (begin func() error, end func(context.Context) error) {
	return func() (err error) {
			if in.killed, err = in.system.concerned(in.fault, part); err != nil {
				return err
			}
			for _, part := range in.killed {
				in.system.Parts[part].Kill()
			}
			return nil
		}, func(ctx context.Context) error {
			return in.system.launch(ctx, in.killed)
		}
}

func inLine(parts []Part) string {
	var all []string
	for _, part := range parts {
		all = append(all, string(part))
	}
	return strings.Join(all, ", ")
}
