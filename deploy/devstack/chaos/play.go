package chaos

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"devicetwin/deploy/devstack/process"
)

//go:embed testdata/*.yaml
var files embed.FS

// measurement is where the telemetry of the model is found in InfluxDB.
const measurement = "pump"

// play is a case that runs.
type play struct {
	Options
	Case
	out  *sharedOutput
	pool *process.PortPool
	dir  string

	model, scenario, ledger, report string // files
	began                           time.Time
}

// run runs the case in a folder of its own, which it removes if the case passed. It
// returns nil if the context has ended.
func (p *play) run(ctx context.Context) *Outcome {
	p.began = time.Now()
	outcome := &Outcome{Fault: p.Fault.Name, Broker: p.Broker, Influx: p.Influx, Ack: p.Ack, What: p.Fault.String()}
	err := p.prepare()
	if err == nil {
		err = p.play(ctx, outcome)
	}
	if ctx.Err() != nil {
		_ = os.RemoveAll(p.dir) // temporary
		return nil
	}
	outcome.conclude(err)
	outcome.Seconds = float64(time.Since(p.began).Milliseconds()/100) / 10
	if outcome.Clean && !p.Keep {
		_ = os.RemoveAll(p.dir)
	} else {
		outcome.Logs = p.dir
		_ = os.RemoveAll(filepath.Join(p.dir, "data"))
	}
	var summary bytes.Buffer
	outcome.summarize(&summary)
	p.say("%s", bytes.TrimSpace(summary.Bytes()))
	return outcome
}

// prepare writes the model and the scenario where the processes find them.
func (p *play) prepare() error {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return fmt.Errorf("make a folder for the case: %w", err)
	}
	p.ledger, p.report = filepath.Join(p.dir, "ledger.jsonl"), filepath.Join(p.dir, "report.json")
	for name, path := range map[string]*string{"pump.yaml": &p.model, "pump.scenario.yaml": &p.scenario} {
		raw, err := files.ReadFile("testdata/" + name)
		if err == nil {
			*path = filepath.Join(p.dir, name)
			err = os.WriteFile(*path, raw, 0o644)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// play starts everything, lets the fleet play and the fault happen, and fills in
// the outcome. An error means that the case proves nothing.
func (p *play) play(ctx context.Context, outcome *Outcome) error {
	if p.Broker == process.Kafka {
		return p.playEntities(ctx, outcome)
	}
	s, err := startSystem(ctx, p.Options, p.pool, p.dir, p.model, p.Case)
	defer s.close()
	if err != nil {
		return err
	}
	if err := p.refused(ctx, s, outcome); err != nil {
		return err
	}
	fleet := p.fleet(s)
	if err := fleet.Launch(); err != nil {
		return fmt.Errorf("start the fleet: %w", err)
	}
	defer fleet.Kill()
	in := &injection{
		system: s, fleet: fleet, fault: p.Fault, say: p.say,
		until: time.Now().Add(p.Fault.plays()), enough: float64(p.Devices) * p.Rate * 1.5,
	}
	if err := in.run(ctx); err != nil {
		return errors.Join(err, s.Crashed())
	}
	p.say("waiting for the fleet and the ledger")
	select {
	case <-fleet.Ended():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	outcome.damaged = in.damaged
	if err := errors.Join(outcome.readReport(p.report, fleet), in.used(), s.Crashed()); err != nil {
		return err
	}
	if err := p.refused(ctx, s, outcome); err != nil {
		return err
	}
	var logs []string
	for _, part := range s.all {
		logs = append(logs, s.Parts[part].Log)
	}
	if outcome.Offline, err = offlineOf(logs); err != nil {
		return err
	}
	if err := outcome.ask(ctx, s, logs); err != nil {
		return err
	}
	if err := p.askPoints(ctx, s, in, outcome, logs); err != nil {
		return err
	}
	return s.spoolsLeft()
}

// refused tries what the broker has to refuse.
func (p *play) refused(ctx context.Context, s *system, outcome *Outcome) error {
	if err := s.refused(ctx); err != nil {
		return fmt.Errorf("who may connect, and what a device may do: %w", err)
	}
	outcome.Refused += refusals
	return nil
}

// askPoints compares the ledger with InfluxDB.
func (p *play) askPoints(ctx context.Context, s *system, in *injection, outcome *Outcome, bridgeLogs []string) error {
	due, err := readLedger(p.ledger)
	if err != nil {
		return err
	}
	missing, err := s.missing(ctx, measurement, due)
	if err != nil {
		return err
	}
	dropped, err := s.pointsDropped(ctx)
	if err != nil {
		return err
	}
	outcome.Points = PointsReport{Due: uint64(len(due)), Dropped: dropped, Tolerated: p.tolerated(in.met)}
	return outcome.Points.lookFor(outcome.Points.count(missing, outcome.Lost, in.damaged), bridgeLogs)
}

// tolerated is how many points may be missing: none, unless a bridge loses its log
// without warning, and with it what it received in the last seconds, for which it waits
// for neither InfluxDB nor another disk.
func (p *play) tolerated(met int) uint64 {
	const seconds = 4
	if p.Fault.Kind == Lose && p.Ack == process.Accepted {
		return uint64(float64(met*p.Devices) * p.Rate * seconds)
	}
	return 0
}

// fleet is the simulator. It asks Temporal past any proxy: its queries are not
// part of the test.
func (p *play) fleet(s *system) *process.Process {
	seed := fnv.New64a()
	fmt.Fprint(seed, p.Fault.Name, p.Broker, p.Seed)
	return process.New(p.dir, string(Devices), nil, func() *exec.Cmd {
		args := []string{"simulate", "--mqtt-url", s.BrokerURL(Devices), "--temporal-address", s.At(Temporal),
			"--model", p.model, "--scenario", p.scenario, "--report", p.report, "--ledger", p.ledger, "--log-level", "warn",
			"--devices", strconv.Itoa(p.Devices), "--rate", strconv.FormatFloat(p.Rate, 'g', -1, 64),
			"--duration", p.Fault.plays().String(), "--seed", strconv.FormatUint(seed.Sum64()>>1, 10),
			"--connect-rate", "50", "--drain", p.drain().String()}
		return p.Program("devicetwin", append(args, s.loginFlags(fleetAccount)...)...)
	})
}

// drain is how long the ledger is waited for. An attempt of the scenario times
// out in a minute. What is damaged never comes.
func (p *play) drain() time.Duration {
	if p.Fault.Kind == Damage && p.Ack == process.Logged {
		return 75 * time.Second
	}
	return 150 * time.Second
}

// say reports the progress of the case, after its name: several may run at once.
func (p *play) say(format string, args ...any) {
	p.out.printf("  %s %5.1f s  %s\n", p.name(), time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}
