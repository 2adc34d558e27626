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
)

// Options say what Run does.
type Options struct {
	Program process.Program // required
	Cases   []Case          // required
	Devices int             // 20
	Rate    float64         // readings per second and device; 4
	Jobs    int             // cases that run side by side; 2
	Seed    uint64          // of the fleets, together with the names of fault and broker
	Dir     string          // where the logs of cases that were not clean stay; default: the system's temporary folder
	Keep    bool            // keep the logs of all cases
	Out     io.Writer
}

// jobs is how many cases run side by side if nobody says otherwise.
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

// Run runs the cases, some of them side by side, and tells how it goes on Out. A
// case that went wrong stands in the report; the error is about the whole, for
// instance that the context has ended, and comes with the report so far. The report
// has the cases in the order in which they were given.
func Run(ctx context.Context, o Options) (Report, error) {
	o.setDefaults()
	if slices.ContainsFunc(o.Cases, func(c Case) bool { return c.Broker == Mosquitto }) {
		if _, err := process.FindMosquitto(); err != nil {
			return Report{}, err
		}
	}
	dir, err := os.MkdirTemp(o.Dir, "devicetwin-chaos-")
	if err != nil {
		return Report{}, fmt.Errorf("make a folder for the runs: %w", err)
	}
	defer os.Remove(dir) // stays if the logs of a case are in it

	outcomes := make([]*Outcome, len(o.Cases))
	out, pool := &tellers{out: o.Out}, newPortPool()
	var running sync.WaitGroup
	next := make(chan int)
	for range min(o.Jobs, len(o.Cases)) {
		running.Go(func() {
			for i := range next {
				p := &play{Options: o, Case: o.Cases[i], out: out, pool: pool}
				p.dir = filepath.Join(dir, p.name())
				out.tell("[%d/%d] %s: %s\n", i+1, len(o.Cases), p.name(), p.Fault)
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
	report.judge()
	return report, nil
}

// tellers lets cases that run side by side write to one place.
type tellers struct {
	mutex sync.Mutex
	out   io.Writer
}

func (t *tellers) tell(format string, args ...any) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	fmt.Fprintf(t.out, format, args...)
}
