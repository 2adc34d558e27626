package simulator

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// counters are for the display and the report.
type counters struct {
	sent, relevant, repeated   atomic.Uint64
	crossings                  atomic.Uint64
	recorded, bare, mixed      atomic.Uint64
	reconnects, reprovisions   atomic.Uint64
	commands, commandsRepeated atomic.Uint64
	cuts                       atomic.Uint64 // of gateways
}

// fleet is the devices of one run and what they share.
type fleet struct {
	options Options
	dial    dialer
	started time.Time
	letters *deadLetters
	live    *latencies // sequence to command, as seen by the devices

	devices   []*player
	running   sync.WaitGroup
	connected atomic.Int64
	lost      atomic.Int64 // devices that are offline unintentionally
	count     counters
	kept      atomic.Int64 // entries of the ledger

	cuts     []*cutWatch
	watching sync.WaitGroup

	ended    atomic.Bool
	finished chan struct{} // closed at the end of the plans
	early    chan string   // why the run ends early
	troubles
}

func newFleet(o Options, dial dialer, started time.Time) *fleet {
	o.Scenario = o.Scenario.spokenBy(o.Speech)
	return &fleet{
		options: o, dial: dial, started: started,
		letters: newDeadLetters(o), live: newLatencies(),
		early: make(chan string, 1), finished: make(chan struct{}), troubles: troubles{log: o.Log},
	}
}

// ramp is how long it takes until all devices have connected.
func (f *fleet) ramp() time.Duration { return f.startOf(f.options.Devices) }

// startOf is when a device starts, from the start of the run.
func (f *fleet) startOf(index int) time.Duration {
	return time.Duration(float64(index) / f.options.ConnectRate * float64(time.Second))
}

// launch starts the devices. They stop when the context ends.
func (f *fleet) launch(ctx context.Context) {
	end := f.ramp() + f.options.Duration
	f.devices = make([]*player, f.options.Devices)
	for i := range f.devices {
		start := f.startOf(i)
		d := newDevice(f, i, start, end-start)
		f.devices[i] = d
		f.running.Go(func() { d.run(ctx) })
	}
}

// over reports whether the time for the plans is up.
func (f *fleet) over() bool { return f.ended.Load() }

// finish ends all plans.
func (f *fleet) finish() {
	f.ended.Store(true)
	close(f.finished)
	for _, d := range f.devices {
		d.nudge()
	}
}

// endEarly asks for the end of the run.
func (f *fleet) endEarly(why string) {
	select {
	case f.early <- why:
	default: // it was asked for already
	}
}

// admit makes room for one more entry in the ledger; false: it is full, and the
// run ends.
func (f *fleet) admit() bool {
	if f.kept.Add(1) <= int64(f.options.MaxLedger) {
		return true
	}
	f.endEarly(fmt.Sprintf("the ledger is full with %d entries", f.options.MaxLedger))
	return false
}

// troubles logs what goes wrong, once and not every second.
type troubles struct {
	log *slog.Logger

	mutex  sync.Mutex
	latest string
	told   time.Time
	quiet  int
}

// tellAgain is the minimum time between two lines of the log about troubles.
const tellAgain = 30 * time.Second

// unreachable notes that a device could not reach the broker.
func (t *troubles) unreachable(err error) { t.tell("broker out of reach, trying again", err) }

// fail notes something that should not happen.
func (t *troubles) fail(err error) { t.tell("simulated device failed", err) }

func (t *troubles) tell(what string, err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.latest = err.Error()
	now := time.Now()
	if !t.told.IsZero() && now.Sub(t.told) < tellAgain {
		t.quiet++
		return
	}
	t.log.Warn(what, "error", err, "not_told", t.quiet)
	t.told, t.quiet = now, 0
}

// reached notes that a device has reached the broker.
func (t *troubles) reached() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.latest = ""
}

func (t *troubles) trouble() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.latest
}
