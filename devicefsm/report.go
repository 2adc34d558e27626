package devicefsm

import (
	"fmt"
	"slices"
)

// maxFaults is how many faults one step reports.
const maxFaults = 100

func (r *run) fault(format string, args ...any) {
	if len(r.out.Faults) < maxFaults {
		r.out.Faults = append(r.out.Faults, fmt.Sprintf(format, args...))
	}
}

// leftOut reports that an event was left out, and what was done of it since the given
// number of faults was taken back. Of that, each different fault is reported once: a loop
// has the same ones in each round, up to a thousand of them. There is always room for this
// one, after them, unless the step has left out as many events as it may have faults.
func (r *run) leftOut(since int, format string, args ...any) {
	if r.m.edition < EditionNow {
		r.fault(format, args...)
		return
	}
	kept := slices.Clone(r.out.Faults[:since])
	for _, f := range r.out.Faults[since:] {
		if !slices.Contains(kept[since:], f) {
			kept = append(kept, f)
		}
	}
	r.out.Faults = kept
	if len(kept) >= maxFaults && !r.makeRoom() {
		return
	}
	r.dropped = append(r.dropped, len(r.out.Faults))
	r.fault(format, args...)
}

// makeRoom gives up the newest fault that does not say that an event was left out.
func (r *run) makeRoom() bool {
	at := len(r.out.Faults) - 1
	for at >= 0 && slices.Contains(r.dropped, at) {
		at--
	}
	if at < 0 {
		return false
	}
	r.out.Faults = slices.Delete(r.out.Faults, at, at+1)
	for i, d := range r.dropped {
		if d > at {
			r.dropped[i]--
		}
	}
	return true
}
