package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"devicetwin/deploy/devstack/process"
)

// How long what a log needs is waited for, before a fault and after it.
const (
	checkpointPatience = 25 * time.Second // it is written every 15 seconds
	deliveredPatience  = 20 * time.Second
	damagePatience     = 20 * time.Second
)

// leastDelivered is how much of a log has to be delivered before that is damaged: more
// than is overwritten of it.
const leastDelivered = 4 * damagedBytes

// settling is how long after the servers of a bridge have stopped something may still be
// delivered.
const settling = 2 * time.Second

// logActions begin a fault of a bridge's log and end it. All of them but that of the full
// disk change files of a bridge that is down.
func (in *injection) logActions(ctx context.Context, part Part) (begin func() error, end func(context.Context) error) {
	p, log := in.system.Parts[part], logFolder(in.system.LogDir(part))
	switch in.fault.Kind {
	case Fill:
		return func() error { return in.fill(part) }, func(ctx context.Context) error { return in.free(ctx, part) }
	case Damage:
		return in.withhold, func(ctx context.Context) error { return in.damage(ctx, part, log) }
	case DamageRead:
		return func() error {
			if err := log.awaitDelivered(ctx); err != nil {
				return err
			}
			p.Kill()
			return log.damageDelivered()
		}, p.Start
	case Forget:
		return func() error {
			if _, err := log.awaitCheckpoint(ctx, nil); err != nil {
				return err
			}
			p.Kill()
			return os.Remove(log.checkpoint())
		}, p.Start
	case Rewind:
		var old []byte
		return func() (err error) { old, err = log.awaitCheckpoint(ctx, nil); return err },
			func(ctx context.Context) error { return in.rewind(ctx, p, log, old) }
	default:
		return func() error { return in.lose(ctx, p, log) }, func(ctx context.Context) error {
			err := p.Start(ctx)
			if in.system.ack == process.Logged && err == nil {
				err = in.fleet.Resume()
			}
			return err
		}
	}
}

// awaitDelivered waits until enough of the log is delivered.
func (dir logFolder) awaitDelivered(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deliveredPatience, errors.New("the bridge has not written down that it delivered enough of its log"))
	defer cancel()
	return process.Poll(ctx, flowEvery, func(context.Context) (bool, error) {
		segments, err := dir.segments()
		if err != nil || len(segments) == 0 {
			return false, err
		}
		delivered, err := dir.delivered()
		if errors.Is(err, fs.ErrNotExist) { // it is being replaced, or not there yet
			return false, nil
		}
		return delivered >= segments[0].begin+leastDelivered, err
	})
}

// awaitCheckpoint waits until there is a checkpoint other than an earlier one, and
// returns it.
func (dir logFolder) awaitCheckpoint(ctx context.Context, other []byte) (found []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkpointPatience, errors.New("the bridge has not written another checkpoint"))
	defer cancel()
	err = process.Poll(ctx, flowEvery, func(context.Context) (bool, error) {
		found, err = os.ReadFile(dir.checkpoint())
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return len(found) > 0 && !bytes.Equal(found, other), err
	})
	return found, err
}

// withhold keeps the bridge from delivering anything.
func (in *injection) withhold() error {
	in.withheld = time.Now()
	in.system.Parts[InfluxDB].Kill()
	return in.system.Parts[Temporal].Pause()
}

// damage overwrites readings that were not delivered, and lets everything go on. That has
// to be seen by the bridge.
func (in *injection) damage(ctx context.Context, part Part, log logFolder) error {
	p := in.system.Parts[part]
	p.Kill()
	messages, err := log.damageUndelivered(in.withheld.Add(settling))
	if err != nil {
		return errors.Join(err, in.system.Parts[Temporal].Resume())
	}
	in.damaged = append(in.damaged, messages...)
	if err := in.system.Parts[Temporal].Resume(); err != nil {
		return err
	}
	if err := in.system.Start(ctx, InfluxDB, part); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, damagePatience, errors.New("the bridge does not report that its log is damaged"))
	defer cancel()
	return process.Poll(ctx, flowEvery, func(ctx context.Context) (bool, error) {
		m, err := in.system.Metrics(ctx, part, process.MetricUnreadable)
		return m[process.MetricUnreadable] > 0, err
	})
}

// rewind puts an older checkpoint in the place of the present one.
func (in *injection) rewind(ctx context.Context, p *process.Process, log logFolder, old []byte) error {
	if _, err := log.awaitCheckpoint(ctx, old); err != nil {
		return err
	}
	p.Kill()
	if err := os.WriteFile(log.checkpoint(), old, 0o600); err != nil {
		return fmt.Errorf("put back an older checkpoint: %w", err)
	}
	return p.Start(ctx)
}

// lose ends the bridge and removes its log. What a bridge has acknowledged because it is
// logged, and not delivered, is lost with its log: so it has delivered everything before, and
// no device sends meanwhile.
func (in *injection) lose(ctx context.Context, p *process.Process, log logFolder) error {
	if in.system.ack == process.Accepted {
		p.Kill()
	} else if err := in.quietly(ctx, p.Stop); err != nil {
		return err
	}
	if err := os.RemoveAll(string(log)); err != nil {
		return fmt.Errorf("remove a log: %w", err)
	}
	return nil
}

// fill takes away the disk of the log, and InfluxDB with it.
func (in *injection) fill(part Part) error {
	in.system.Parts[InfluxDB].Kill()
	return in.system.disk.fill(in.system.Parts[part])
}

// free gives both back. A log that noticed nothing proves nothing; and without its disk, the
// bridge may have acknowledged nothing that has come since.
func (in *injection) free(ctx context.Context, part Part) error {
	m, err := in.system.Metrics(ctx, part, process.MetricLogFailures, process.MetricWindow)
	if err != nil {
		return err
	}
	if m[process.MetricLogFailures] == 0 {
		return fmt.Errorf("the log of %s was written although its disk was full", part)
	}
	if waiting := m[process.MetricWindow]; waiting < in.enough {
		return fmt.Errorf("%v messages wait to be acknowledged, expected %v or more: %s acknowledged others although the disk of its log was full", waiting, in.enough, part)
	}
	if err := in.system.Parts[InfluxDB].Start(ctx); err != nil {
		return err
	}
	return in.system.disk.free(in.system.Parts[part])
}
