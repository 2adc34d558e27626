package window

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Aggregate is what is made of the events of a window.
type Aggregate string

// Aggregates. All but Count and Rate need a value of each event.
const (
	Count    Aggregate = "count"
	Sum      Aggregate = "sum"
	Min      Aggregate = "min"
	Max      Aggregate = "max"
	Mean     Aggregate = "mean"
	Rate     Aggregate = "rate" // events, or the sum of their values, per second of the window
	Distinct Aggregate = "distinct"
)

// Aggregates are all of them.
var Aggregates = []Aggregate{Count, Sum, Min, Max, Mean, Rate, Distinct}

const (
	// MaxPanes bounds the panes of a state, and MaxDistinctPanes those that keep hashes.
	MaxPanes         = 256
	MaxDistinctPanes = 32
	// maxHashes bounds the hashes of a state, and maxValues those of a pane.
	maxHashes = 2048
	maxValues = 512
)

// Frame divides time into panes that are not equally long, such as days of a time zone.
// Panes have numbers that follow one another. It must give the same answers forever.
type Frame interface {
	// Pane is the number of the pane that a time is in.
	Pane(at int64) int64
	// Start is when a pane begins, which is when the one before it ends.
	Start(pane int64) int64
}

// Spec is what a window counts.
type Spec struct {
	Aggregate Aggregate
	// Over is the length, and Slide the time from one window to the next: Over is a
	// multiple of it. Without Slide, windows tumble: each begins where the one before ends.
	Over, Slide time.Duration
	// Grace is how long after its end a window waits for late events.
	Grace time.Duration
	// Frame replaces Over and Slide: a window is one pane of it, the shortest of which is
	// as long as Shortest.
	Frame    Frame
	Shortest time.Duration
}

// Window is a compiled Spec.
type Window struct {
	aggregate Aggregate
	frame     Frame
	length    int64 // in panes
	grace     int64
	panes     int // of a state, at most
	values    int // hashes of a pane, at most
}

// Compile checks a spec. The error joins every fault.
func Compile(spec Spec) (*Window, error) {
	w := &Window{aggregate: spec.Aggregate, frame: spec.Frame, length: 1, grace: spec.Grace.Milliseconds()}
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains(Aggregates, spec.Aggregate) {
		fault("unknown aggregate %q", spec.Aggregate)
	}
	slide := spec.Shortest
	if spec.Frame == nil {
		if slide = spec.Slide; slide == 0 {
			slide = spec.Over
		}
		switch {
		case spec.Over < time.Millisecond || slide < time.Millisecond:
			fault("expected over and slide of at least 1ms")
		case slide > spec.Over:
			fault("slide is longer than over: what lies between two windows would not count")
		case spec.Over%slide != 0 || slide%time.Millisecond != 0:
			fault("over is not a multiple of slide")
		default:
			w.length = int64(spec.Over / slide)
			w.frame = equal(slide.Milliseconds())
		}
	} else if slide < time.Millisecond {
		fault("expected a shortest pane of at least 1ms")
	}
	if spec.Grace < 0 {
		fault("expected a grace of at least 0")
	}
	if errs == nil {
		w.bound(int64(slide/time.Millisecond), fault)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return w, nil
}

// bound sets the bounds of a state.
func (w *Window) bound(slide int64, fault func(format string, args ...any)) {
	panes, most := w.length+(w.grace+slide-1)/slide+2, int64(MaxPanes)
	if w.aggregate == Distinct {
		most = MaxDistinctPanes
	}
	if panes > most {
		fault("over and grace are %d times slide; expected at most %d times, so that the memory of a window is small", panes-2, most-2)
		return
	}
	w.panes = int(panes)
	w.values = min(maxValues, maxHashes/w.panes)
}

// In is the window in another frame, of panes that are as long as Shortest or longer: in
// that of a time zone of which something else became known.
func (w *Window) In(frame Frame) *Window {
	other := *w
	other.frame = frame
	return &other
}

// Panes is how many panes a state keeps at most.
func (w *Window) Panes() int { return w.panes }

// Length is how many panes a window has.
func (w *Window) Length() int { return int(w.length) }

// Values is below which number of different values Distinct is exact.
func (w *Window) Values() int { return w.values }

// equal has panes that are equally long; one begins at 1970-01-01T00:00:00Z.
type equal int64

func (e equal) Pane(at int64) int64 {
	pane := at / int64(e)
	if at%int64(e) < 0 {
		pane--
	}
	return pane
}

func (e equal) Start(pane int64) int64 { return pane * int64(e) }
