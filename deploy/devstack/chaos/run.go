package chaos

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
)

// Options configure Run.
type Options struct {
	Program process.Program // required
	Earlier process.Program // an earlier version, for the fault Upgrade
	// MosquittoPlugin is the file of the plugin by which Mosquitto decides who may connect; required for cases with it.
	MosquittoPlugin string
	Cases           []Case  // required
	Devices         int     // 20
	Rate            float64 // readings per second and device; 4
	Jobs            int     // cases that run in parallel; 2
	Seed            uint64  // of the fleets, together with the names of fault and broker
	Dir             string  // where the logs of failed cases stay; default: the system's temporary folder
	Keep            bool    // keep the logs of all cases
	Out             io.Writer
}

// jobs is how many cases run in parallel by default.
const jobs = 2

// setDefaults fills in what was left out.
func (o *Options) setDefaults() {
	if o.Devices == 0 {
		o.Devices = 20
	}
	if o.Rate == 0 {
		o.Rate = 4
	}
	if o.Jobs == 0 {
		o.Jobs = jobs
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
}

// Run runs the cases, some of them in parallel, and writes its progress to Out. A
// case that failed is in the report; the error is about the whole run, for instance
// that the context has ended, and comes with the report so far. The report has the
// cases in the order in which they were given.
func Run(ctx context.Context, o Options) (Report, error) {
	o.setDefaults()
	if err := o.findBrokers(); err != nil {
		return Report{}, err
	}
	if slices.ContainsFunc(o.Cases, func(c Case) bool { return c.Influx == Influx2 }) {
		if _, err := servers.FindInfluxDB(); err != nil {
			return Report{}, err
		}
	}
	dir, err := os.MkdirTemp(o.Dir, "devicetwin-chaos-")
	if err != nil {
		return Report{}, fmt.Errorf("make a folder for the runs: %w", err)
	}
	defer os.Remove(dir) // stays if the logs of a case are in it

	outcomes := make([]*Outcome, len(o.Cases))
	out, pool := &sharedOutput{out: o.Out}, process.NewPortPool()
	var running sync.WaitGroup
	next := make(chan int)
	for range min(o.Jobs, len(o.Cases)) {
		running.Go(func() {
			for i := range next {
				p := &play{Options: o, Case: o.Cases[i], out: out, pool: pool}
				p.dir = filepath.Join(dir, p.name())
				out.printf("[%d/%d] %s: %s\n", i+1, len(o.Cases), p.name(), p.Fault)
				outcomes[i] = p.run(ctx)
			}
		})
	}
	for i := 0; i < len(o.Cases) && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	running.Wait()

	report := Report{Version: ReportVersion}
	for _, outcome := range outcomes {
		if outcome != nil {
			report.Outcomes = append(report.Outcomes, *outcome)
		}
	}
	if ctx.Err() != nil {
		return report, fmt.Errorf("run %d cases: %w", len(o.Cases), context.Cause(ctx))
	}
	report.conclude()
	return report, nil
}

// sharedOutput serializes what cases that run in parallel write.
type sharedOutput struct {
	mutex sync.Mutex
	out   io.Writer
}

func (t *sharedOutput) printf(format string, args ...any) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	fmt.Fprintf(t.out, format, args...)
}
