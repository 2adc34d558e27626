package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"devicetwin/deploy/devstack/process"
)

// repartitionActions change how many bridges share the fleet: from all to one less, and
// back. Their names and logs stay, so that each bridge comes to devices that another one
// had meanwhile. Between the two sets no device sends, and nothing waits: bridges that keep
// their names cannot take over what another has received.
func (in *injection) repartitionActions(ctx context.Context) (begin func() error, end func(context.Context) error) {
	s := in.system
	return func() error {
			return in.quietly(ctx, func() error {
				for _, part := range s.bridges {
					if err := s.Parts[part].Stop(); err != nil {
						return err
					}
				}
				return nil
			})
		}, func(ctx context.Context) error {
			n := in.fault.Bridges
			if len(s.bridges) == n {
				n--
			}
			for _, part := range s.all[n:] {
				if err := s.endSession(part); err != nil {
					return err
				}
			}
			s.addBridges(s.all[:n])
			if err := s.Start(ctx, s.bridges...); err != nil {
				return err
			}
			return in.fleet.Resume()
		}
}

// quietly lets the devices stop sending, and does something once nothing of theirs waits
// any more.
func (in *injection) quietly(ctx context.Context, do func() error) error {
	if err := in.fleet.Pause(); err != nil {
		return err
	}
	if err := in.system.quiet(ctx); err != nil {
		return err
	}
	return do()
}

// quietFor is how long nothing may have come in.
const quietFor = time.Second

// quiet waits until the bridges receive nothing and have delivered everything.
func (s *system) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, flowPatience, errors.New("the bridges still have something to deliver after a minute without devices"))
	defer cancel()
	last, since := -1.0, time.Now()
	return process.Poll(ctx, flowEvery, func(ctx context.Context) (bool, error) {
		received := 0.0
		waiting, err := s.pointsWaiting(ctx)
		for _, part := range s.bridges {
			m, failed := s.Metrics(ctx, part, process.MetricReceived, process.MetricWindow, process.MetricBacklog)
			received += m[process.MetricReceived]
			waiting += m[process.MetricWindow] + m[process.MetricBacklog]
			err = errors.Join(err, failed)
		}
		if err != nil {
			return false, err
		}
		if received != last || waiting > 0 {
			last, since = received, time.Now()
		}
		return time.Since(since) >= quietFor, nil
	})
}

// endSession removes the session of a bridge that is not to come back from the broker,
// which would keep all messages for it.
func (s *system) endSession(bridge Part) error {
	client := s.client(bridge, "devicetwin-bridge-"+string(bridge), bridgeAccount)
	token := client.Connect()
	if token.Wait(); token.Error() != nil {
		return fmt.Errorf("end the session of %s: %w", bridge, token.Error())
	}
	client.Disconnect(250)
	return nil
}

// spoolDir is where an earlier version keeps points that InfluxDB has not taken.
func (s *system) spoolDir(part Part) string { return filepath.Join(s.Data(), "spool-"+string(part)) }

// logFlags are the flags of a part that may have been of an earlier version, which knows
// only spools. The first of each kind keeps its flags when it is replaced, so that its log
// is where its spool was; the others are given a log.
func (s *system) logFlags(part Part, log []string) []string {
	spool := []string{"--influx-spool", s.spoolDir(part)}
	switch {
	case s.earlier == nil:
		return log
	case s.isEarlier(part):
		return spool
	case part == Worker:
		return spool
	case part == Bridge:
		return append(spool, "--bridge-ack", string(s.ack))
	}
	return append(spool, log...)
}

// upgradeActions replace a part by this version. InfluxDB is down from the first to the
// last of them, so that each leaves something in its spool.
func (in *injection) upgradeActions(ctx context.Context, part Part) (begin func() error, end func(context.Context) error) {
	s, parts := in.system, in.fault.meets()
	return func() error {
			if part == parts[0] {
				s.Parts[InfluxDB].Kill()
			}
			if err := s.awaitSpooled(ctx, part); err != nil {
				return err
			}
			return s.Parts[part].Stop()
		}, func(ctx context.Context) error {
			s.replace(part)
			if err := s.Start(ctx, part); err != nil {
				return err
			}
			if part == parts[len(parts)-1] {
				return s.Start(ctx, InfluxDB)
			}
			return nil
		}
}

// isEarlier reports whether a part is of an earlier version.
func (s *system) isEarlier(part Part) bool {
	return s.earlier != nil && !slices.Contains(s.replaced, part)
}

// replace replaces a part of an earlier version that has ended by this one.
func (s *system) replace(part Part) {
	s.replaced = append(s.replaced, part)
	if i := slices.Index(s.bridges, part); i >= 0 {
		s.addBridge(i)
	} else {
		s.addWorker(part)
	}
}

// metricSpoolPoints is what an earlier version says of its spool.
const metricSpoolPoints = "devicetwin_influx_spool_points"

// awaitSpooled waits until a part of an earlier version has points in its spool.
func (s *system) awaitSpooled(ctx context.Context, part Part) error {
	ctx, cancel := context.WithTimeoutCause(ctx, flowPatience, fmt.Errorf("%s has nothing in its spool after a minute without InfluxDB", part))
	defer cancel()
	return process.Poll(ctx, flowEvery, func(ctx context.Context) (bool, error) {
		m, err := s.Metrics(ctx, part, metricSpoolPoints)
		return m[metricSpoolPoints] > 0, err
	})
}

// spoolsLeft is an error if points of an earlier version still are in a spool.
func (s *system) spoolsLeft() error {
	paths, err := filepath.Glob(filepath.Join(s.Data(), "spool-*", "*.spool"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return fmt.Errorf("%d bytes of an earlier version's points are left in %s", info.Size(), path)
		}
	}
	return nil
}
