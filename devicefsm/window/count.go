package window

import (
	"math"
	"slices"
)

// Sample is an event that is counted.
type Sample struct {
	// At is the time of the event, and Arrived when the service received it: not before At.
	At, Arrived int64
	// Dated says that the device gave the time, which moves that of the windows.
	Dated bool
	Value Value
}

// Due reports whether the first open window is over by a time: one that a device gave
// with an event that counts.
func (w *Window) Due(s State, at int64) bool {
	d, ok := w.Deadlines(s)
	return ok && d.Event <= at
}

// Full reports whether there is no room for an event of a time: the first open window has to be
// closed before.
func (w *Window) Full(s State, at int64) bool {
	d := s.data()
	index := w.frame.Pane(at)
	if len(d.panes) < w.panes || w.missed(d, index, at, false) == w.length {
		return false
	}
	_, ok := d.find(index)
	return !ok
}

// missed is how many windows of a pane have closed, once an event of a time is counted.
func (w *Window) missed(d *data, index, at int64, dated bool) int64 {
	return min(max(0, w.shut(d, at, dated)-index+1), w.length)
}

// shut is the last window that is closed, or would be if it had had an event.
func (w *Window) shut(d *data, at int64, dated bool) int64 {
	seen := d.seen
	if dated {
		seen = max(seen, at)
	}
	if seen == never {
		return d.closed
	}
	return max(d.closed, w.frame.Pane(seen-w.grace)-1)
}

// Add counts an event in the windows that are open, and says how many of its windows had
// closed before. Those that are over by its time have to be closed first.
func (w *Window) Add(s State, e Sample) (next State, missed int) {
	d := *s.data()
	index := w.frame.Pane(e.At)
	n := w.missed(&d, index, e.At, e.Dated)
	if n > 0 {
		d.late++
	}
	if n == w.length {
		return State{&d}, int(n)
	}
	d.closed = w.shut(&d, e.At, e.Dated)
	d.lag = 0
	if e.Dated {
		d.seen = max(d.seen, e.At)
		d.lag = max(0, e.Arrived-d.seen)
	}
	d.panes = slices.Clone(d.panes)
	at, ok := d.find(index)
	if !ok {
		d.panes = slices.Insert(d.panes, at, pane{index: index})
	}
	w.take(&d.panes[at], e)
	return State{&d}, int(n)
}

// take adds an event to its pane.
func (w *Window) take(p *pane, e Sample) {
	first := p.count == 0
	p.count++
	p.lag = max(p.lag, e.Arrived-e.At)
	w.merge(p, first, e.Value.number, []uint64{e.Value.hash})
}

// merge adds what another pane, or an event, has.
func (w *Window) merge(p *pane, first bool, number float64, hashes []uint64) {
	switch w.aggregate {
	case Sum, Mean, Rate:
		p.value += number
	case Min:
		if first || number < p.value {
			p.value = number
		}
	case Max:
		if first || number > p.value {
			p.value = number
		}
	case Distinct:
		p.hashes = least(p.hashes, hashes, w.values)
	}
}

// least are the smallest numbers of two sorted lists, each once.
func least(a, b []uint64, most int) []uint64 {
	out := make([]uint64, 0, min(most, len(a)+len(b)))
	for len(out) < most && len(a)+len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return out
}

// Deadlines are when the first open window closes.
type Deadlines struct {
	Event   int64 // before an event that counts and is of that time
	Arrival int64 // without another event
}

// Deadlines are those of the first open window; ok is false if there is none.
func (w *Window) Deadlines(s State) (at Deadlines, ok bool) {
	d := s.data()
	last, ok := d.first()
	if !ok {
		return Deadlines{}, false
	}
	at.Event = w.frame.Start(last+1) + w.grace
	lag := int64(0)
	for i := range d.panes {
		if p := &d.panes[i]; p.index > last-w.length && p.index <= last {
			lag = max(lag, p.lag)
		}
	}
	at.Arrival = at.Event + lag
	return at, true
}

// first is the first open window.
func (d *data) first() (last int64, ok bool) {
	if len(d.panes) == 0 {
		return 0, false
	}
	return max(d.panes[0].index, d.closed+1), true
}

// Close closes the first open window, if there is one.
func (w *Window) Close(s State) (State, Result) {
	last, ok := s.data().first()
	if !ok {
		return s, Result{}
	}
	d := *s.data()
	result := w.result(&d, last)
	d.closed = last
	keep := 0
	for keep < len(d.panes) && d.panes[keep].index <= last-w.length+1 {
		keep++
	}
	d.panes = slices.Clone(d.panes[keep:])
	return State{&d}, result
}

// Arrive closes, unseen, what is over by a time of arrivals: for windows that nobody waits
// for. It is s itself if nothing is.
func (w *Window) Arrive(s State, arrived int64) State {
	for {
		d, ok := w.Deadlines(s)
		if !ok || d.Arrival > arrived {
			return s
		}
		s, _ = w.Close(s)
	}
}

// Now is where the time of the windows is when it is arrived on the clock of arrivals, if
// no event says it.
func (w *Window) Now(s State, arrived int64) int64 {
	d := s.data()
	return max(d.seen, arrived-d.lag)
}

// Current is the window, so far, whose last pane is the one that a time is in: of an event,
// or Now. It is never one that has closed, but the next one then.
func (w *Window) Current(s State, at int64) Result {
	d := s.data()
	return w.result(d, max(w.frame.Pane(max(at, d.seen)), d.closed+1))
}

// Result is the aggregate of a window.
type Result struct {
	Start, End int64
	Count      uint64 // events
	// Value is the aggregate; Has says that there is one: not for min, max and mean of
	// nothing, nor where it is not a finite number.
	Value float64
	Has   bool
}

// result is that of the window whose last pane this is.
func (w *Window) result(d *data, last int64) Result {
	r := Result{Start: w.frame.Start(last - w.length + 1), End: w.frame.Start(last + 1)}
	var all pane
	for i := range d.panes {
		p := &d.panes[i]
		if p.index <= last-w.length || p.index > last {
			continue
		}
		w.merge(&all, all.count == 0, p.value, p.hashes)
		all.count += p.count
	}
	r.Count, r.Has = all.count, true
	switch w.aggregate {
	case Count:
		r.Value = float64(all.count)
	case Sum:
		r.Value = all.value
	case Min, Max:
		r.Value, r.Has = all.value, all.count > 0
	case Mean:
		if r.Has = all.count > 0; r.Has {
			r.Value = all.value / float64(all.count)
		}
	case Rate:
		r.Value = all.value / (float64(r.End-r.Start) / 1000)
	case Distinct:
		r.Value = estimate(all.hashes, w.values)
	}
	return r
}

// estimate is how many different values have these as the k smallest of their hashes.
func estimate(hashes []uint64, k int) float64 {
	if len(hashes) < k {
		return float64(len(hashes))
	}
	part := (float64(hashes[k-1]) + 1) / math.Exp2(64)
	return math.Round(float64(k-1) / part)
}
