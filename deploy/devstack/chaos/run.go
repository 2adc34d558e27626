package chaos

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

//go:embed testdata/pump.yaml testdata/pump.scenario.yaml
var files embed.FS

// Program prepares one of the two programs, "devstack" or "devicetwin".
type Program func(name string, args ...string) *exec.Cmd

// Options say what Run does.
type Options struct {
	Program Program // required
	Cases   []Case  // required
	Devices int     // 20
	Rate    float64 // readings per second and device; 4
	Seed    uint64  // of the fleets, together with the names of fault and broker
	Dir     string  // where the logs of cases that were not clean stay; default: the system's temporary folder
	Keep    bool    // keep the logs of all cases
	Out     io.Writer
}

// chaos is a run over all cases.
type chaos struct {
	Options
	model, scenario string // files
	started         time.Time
}

// Run runs the cases, one after another, and tells how it goes on Out. A case
// that went wrong stands in the report; the error is about the whole, for
// instance that the context has ended, and comes with the report so far.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Devices == 0 {
		o.Devices = 20
	}
	if o.Rate == 0 {
		o.Rate = 4
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if slices.ContainsFunc(o.Cases, func(c Case) bool { return c.Broker == Mosquitto }) {
		if _, err := FindMosquitto(); err != nil {
			return Report{}, err
		}
	}
	c := &chaos{Options: o}
	dir, err := os.MkdirTemp(o.Dir, "devicetwin-chaos-")
	if err != nil {
		return Report{}, fmt.Errorf("make a folder for the runs: %w", err)
	}
	defer os.Remove(dir) // stays if the logs of a case are in it
	report := Report{Version: ReportVersion}
	for i, one := range o.Cases {
		fmt.Fprintf(o.Out, "[%d/%d] %s with %s: %s\n", i+1, len(o.Cases), one.Fault.Name, one.Broker, one.Fault)
		outcome := c.runCase(ctx, one, filepath.Join(dir, one.Fault.Name+"-"+string(one.Broker)))
		if ctx.Err() != nil {
			return report, fmt.Errorf("run %s with %s: %w", one.Fault.Name, one.Broker, context.Cause(ctx))
		}
		report.Outcomes = append(report.Outcomes, outcome)
		outcome.tell(o.Out)
	}
	report.judge()
	return report, nil
}

// runCase runs one case in a folder of its own, which it removes if all was well.
func (c *chaos) runCase(ctx context.Context, one Case, dir string) Outcome {
	began := time.Now()
	c.started = began
	outcome := Outcome{Fault: one.Fault.Name, Broker: one.Broker, What: one.Fault.String()}
	err := c.prepare(dir)
	if err == nil {
		err = c.play(ctx, one, dir, &outcome)
	}
	outcome.judge(err)
	outcome.Seconds = float64(time.Since(began).Milliseconds()/100) / 10
	if outcome.Clean && !c.Keep || ctx.Err() != nil {
		_ = os.RemoveAll(dir) // temporary
	} else {
		outcome.Logs = dir
		_ = os.RemoveAll(filepath.Join(dir, "data"))
	}
	return outcome
}

// prepare writes the model and the scenario where the processes find them.
func (c *chaos) prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a folder for the case: %w", err)
	}
	for name, path := range map[string]*string{"pump.yaml": &c.model, "pump.scenario.yaml": &c.scenario} {
		raw, err := files.ReadFile("testdata/" + name)
		if err == nil {
			*path = filepath.Join(dir, name)
			err = os.WriteFile(*path, raw, 0o644)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// play starts everything, lets the fleet play and the fault happen, and fills in
// what came of it. An error means that this cannot be judged.
func (c *chaos) play(ctx context.Context, one Case, dir string, outcome *Outcome) error {
	s, err := startSystem(ctx, c.Program, dir, c.model, one)
	defer s.close()
	if err != nil {
		return err
	}
	reportFile := filepath.Join(dir, "report.json")
	fleet := c.fleet(s, one, dir, reportFile)
	if err := fleet.launch(); err != nil {
		return fmt.Errorf("start the fleet: %w", err)
	}
	defer fleet.kill()
	in := &injection{
		system: s, fleet: fleet, fault: one.Fault, say: c.say,
		until: time.Now().Add(one.Fault.plays()), enough: float64(c.Devices) * c.Rate * 1.5,
	}
	if err := in.run(ctx); err != nil {
		return errors.Join(err, s.crashed())
	}
	c.say("waiting for the fleet and the ledger")
	select {
	case <-fleet.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := errors.Join(outcome.readReport(reportFile, fleet), in.used(), s.crashed()); err != nil {
		return err
	}
	return outcome.ask(ctx, s.address("", Temporal), s.processes[Bridge].log)
}

// fleet is the simulator. It asks Temporal past any proxy: its questions are no
// part of what is tried.
func (c *chaos) fleet(s *system, one Case, dir, report string) *process {
	seed := fnv.New64a()
	fmt.Fprint(seed, one.Fault.Name, one.Broker, c.Seed)
	return newProcess(dir, string(Devices), nil, func() *exec.Cmd {
		return c.Program("devicetwin", "simulate", "--mqtt-url", s.mqttURL(Devices), "--temporal-address", s.address("", Temporal),
			"--model", c.model, "--scenario", c.scenario, "--report", report, "--log-level", "warn",
			"--devices", strconv.Itoa(c.Devices), "--rate", strconv.FormatFloat(c.Rate, 'g', -1, 64),
			"--duration", one.Fault.plays().String(), "--seed", strconv.FormatUint(seed.Sum64()>>1, 10),
			"--connect-rate", "50", "--drain", drain.String())
	})
}

// drain is how long the ledger is waited for. An attempt of the scenario times
// out in a minute.
const drain = 150 * time.Second

// say tells the progress of a case.
func (c *chaos) say(format string, args ...any) {
	fmt.Fprintf(c.Out, "  %5.1f s  %s\n", time.Since(c.started).Seconds(), fmt.Sprintf(format, args...))
}
