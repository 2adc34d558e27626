package pattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// wire is a State as JSON: short keys, and one array of integers for each
// partial and each waiting match, with times relative to Base.
type wire struct {
	Next  int64      `json:"n"`
	Base  int64      `json:"t"` // unix ms
	Parts [][]int64  `json:"p,omitempty"`
	Held  [][]int64  `json:"h,omitempty"`
	Kept  []wireKept `json:"k,omitempty"`
	// Lags are how much later the arrivals of t0, tl and renewed are, of each partial
	// match and then of each waiting one; nothing if they are the same everywhere.
	Lags [][3]int64 `json:"l,omitempty"`
	// Rounds are those of each partial match; nothing if the pattern has no groups, or
	// all of them are outside.
	Rounds [][]int `json:"r,omitempty"`
}

// wireKept is [step, value]; the arrays refer to it by its index.
type wireKept struct {
	Step  int
	Value any
}

// The integers of a track are start, last, mark, t0, tl, renewed, events; then a
// partial match has step, count, wait, and 1 if it is fresh plus 2 if it is over; then
// both have their kept values.
const (
	trackInts = 7
	partInts  = trackInts + 4

	// maxWire bounds what is read, well above what any pattern may write.
	maxWire = 2 * MaxPartialsLimit
	// maxExact is the largest integer that any JSON reader keeps exactly.
	maxExact = 1 << 53
)

// MarshalJSON writes the same bytes for the same state; null if nothing is open.
func (s State) MarshalJSON() ([]byte, error) {
	if s.d == nil {
		return []byte("null"), nil
	}
	w := wire{Next: s.d.next, Base: s.d.parts[0].t0}
	index := map[*kept]int64{}
	list := func(ints []int64, values []*kept) []int64 {
		for _, k := range values {
			i, ok := index[k]
			if !ok {
				i = int64(len(w.Kept))
				index[k] = i
				w.Kept = append(w.Kept, wireKept{k.step, k.value})
			}
			ints = append(ints, i)
		}
		return ints
	}
	w.Parts = make([][]int64, 0, len(s.d.parts))
	for i := range s.d.parts {
		p := &s.d.parts[i]
		fresh := int64(0)
		if p.fresh {
			fresh = 1
		}
		if p.over {
			fresh += 2
		}
		if p.rounds != nil && w.Rounds == nil {
			w.Rounds = make([][]int, len(s.d.parts))
		}
		if w.Rounds != nil {
			w.Rounds[i] = p.inRounds()
		}
		ints := append(p.track.ints(w.Base), int64(p.step), int64(p.count), int64(p.wait), fresh)
		w.Parts = append(w.Parts, list(ints, p.kept))
	}
	for i := range s.d.held {
		h := &s.d.held[i]
		w.Held = append(w.Held, list(h.ints(w.Base), h.kept))
	}
	w.Lags = lags(s.d)
	out, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("write pattern state: %w", err)
	}
	return out, nil
}

// lags are those of the partial and the waiting matches; nil if there are none.
func lags(d *data) [][3]int64 {
	var all [][3]int64
	for i := range len(d.parts) + len(d.held) {
		t := d.track(i)
		l := [3]int64{t.arrived.t0 - t.t0, t.arrived.tl - t.tl, t.arrived.renewed - t.renewed}
		if l != [3]int64{} && all == nil {
			all = make([][3]int64, len(d.parts)+len(d.held))
		}
		if all != nil {
			all[i] = l
		}
	}
	return all
}

// track is that of a partial match, or after those of a waiting one.
func (d *data) track(i int) *track {
	if i < len(d.parts) {
		return &d.parts[i].track
	}
	return &d.held[i-len(d.parts)]
}

// lag moves the arrivals of a track away from the times of its events.
func (t *track) lag(l [3]int64) (ok bool) {
	for i, at := range []*int64{&t.arrived.t0, &t.arrived.tl, &t.arrived.renewed} {
		if !exact(l[i]) || !exact(*at+l[i]) {
			return false
		}
		*at += l[i]
	}
	return true
}

func (t *track) ints(base int64) []int64 {
	return append(make([]int64, 0, partInts+len(t.kept)),
		t.start, t.last, t.mark, t.t0-base, t.tl-base, t.renewed-base, int64(t.events))
}

// UnmarshalJSON reads what MarshalJSON wrote, for the same pattern. What does
// not belong to the pattern is dropped by the next Step.
func (s *State) UnmarshalJSON(text []byte) error {
	var w *wire
	if err := json.Unmarshal(text, &w); err != nil {
		return fmt.Errorf("read pattern state: %w", err)
	}
	if w == nil {
		*s = State{}
		return nil
	}
	d, err := w.data()
	if err != nil {
		return fmt.Errorf("read pattern state: %w", err)
	}
	*s = State{d}
	return nil
}

var errWire = errors.New("not written by this package")

func (w *wire) data() (*data, error) {
	if len(w.Parts) == 0 || len(w.Parts) > maxWire || len(w.Held) > maxWire || !exact(w.Next) || !exact(w.Base) {
		return nil, errWire
	}
	values := make([]*kept, len(w.Kept))
	for i, k := range w.Kept {
		if k.Step < 0 || k.Step >= MaxSteps {
			return nil, errWire
		}
		values[i] = &kept{k.Step, k.Value}
	}
	d := &data{next: w.Next, due: dueUnknown, parts: make([]partial, 0, len(w.Parts))}
	before := int64(0)
	for i, ints := range w.Parts {
		p, ok := w.part(ints, values)
		ok = ok && w.roundsOf(i, &p)
		if !ok || p.start < before || p.last >= w.Next {
			return nil, errWire
		}
		before = p.start
		d.parts = append(d.parts, p)
	}
	before = d.parts[0].start
	for _, ints := range w.Held {
		if len(ints) < trackInts {
			return nil, errWire
		}
		h, ok := w.track(ints, ints[trackInts:], values)
		if !ok || h.start < before || h.last >= w.Next {
			return nil, errWire
		}
		before = h.start
		d.held = append(d.held, h)
	}
	if !w.lag(d) {
		return nil, errWire
	}
	return d, nil
}

// lag gives the arrivals, which are the times of the events until then.
func (w *wire) lag(d *data) (ok bool) {
	if len(w.Lags) == 0 {
		return true
	}
	if len(w.Lags) != len(d.parts)+len(d.held) {
		return false
	}
	for i, l := range w.Lags {
		if !d.track(i).lag(l) {
			return false
		}
	}
	return true
}

// roundsOf gives a partial match its rounds.
func (w *wire) roundsOf(i int, p *partial) (ok bool) {
	if w.Rounds == nil {
		return true
	}
	if len(w.Rounds) != len(w.Parts) || len(w.Rounds[i]) > MaxGroupDepth {
		return false
	}
	if len(w.Rounds[i]) > 0 {
		p.rounds = &w.Rounds[i]
	}
	return !slices.ContainsFunc(w.Rounds[i], func(n int) bool { return n < 1 || n > math.MaxInt32 })
}

func (w *wire) part(ints []int64, values []*kept) (p partial, ok bool) {
	if len(ints) < partInts {
		return p, false
	}
	own := ints[trackInts:partInts]
	p.step, p.count, p.wait, p.fresh = int32(own[0]), int32(own[1]), uint64(own[2]), own[3]&1 != 0
	p.over = own[3]&2 != 0
	p.track, ok = w.track(ints, ints[partInts:], values)
	return p, ok && own[0] >= 0 && own[0] < MaxSteps && own[1] > 0 && own[1] <= math.MaxInt32 && own[2] > 0
}

func (w *wire) track(ints, refs []int64, values []*kept) (t track, ok bool) {
	for _, n := range ints {
		if !exact(n) {
			return t, false
		}
	}
	t = track{
		start: ints[0], last: ints[1], mark: ints[2],
		instants: instants{t0: w.Base + ints[3], tl: w.Base + ints[4], renewed: w.Base + ints[5]}, events: int(ints[6]),
	}
	t.arrived = t.instants
	for _, i := range refs {
		if i < 0 || i >= int64(len(values)) {
			return t, false
		}
		t.kept = append(t.kept, values[i])
	}
	return t, t.start >= 0 && t.last >= t.start && t.mark >= -1 && t.mark <= t.last && t.events > 0 &&
		exact(t.t0) && exact(t.tl) && exact(t.renewed)
}

func exact(n int64) bool { return n <= maxExact && n >= -maxExact }

// MarshalJSON writes [step, value].
func (k wireKept) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]any{k.Step, k.Value})
}

// UnmarshalJSON reads [step, value].
func (k *wireKept) UnmarshalJSON(text []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return errWire
	}
	if err := json.Unmarshal(pair[0], &k.Step); err != nil {
		return err
	}
	return json.Unmarshal(pair[1], &k.Value)
}
