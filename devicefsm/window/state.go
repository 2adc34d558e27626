package window

import "math"

// State is what is known of the windows of one entity: an immutable value, which may be
// copied, compared with == for identity, and written as JSON. In its zero value nothing
// was counted.
type State struct{ d *data }

// IsZero reports whether nothing was ever counted.
func (s State) IsZero() bool { return s.d == nil }

// Late is how many events came after one of their windows had closed.
func (s State) Late() uint64 { return s.data().late }

// Panes is how many panes are kept.
func (s State) Panes() int { return len(s.data().panes) }

// data is never changed once a State refers to it.
type data struct {
	seen   int64  // the time of the windows: see the package; never
	lag    int64  // of seen at the latest counted event, behind its arrival
	closed int64  // the last window that closed, by its last pane; never
	late   uint64 // events
	panes  []pane // by index
}

// pane is the aggregate of the events of a piece of time.
type pane struct {
	index  int64
	lag    int64 // the longest time from an event to its arrival
	count  uint64
	value  float64  // the sum, the least or the greatest
	hashes []uint64 // of distinct values: the least ones, sorted
}

// never is before every pane and every time.
const never = math.MinInt64 / 4

var nothing = &data{seen: never, closed: never}

func (s State) data() *data {
	if s.d == nil {
		return nothing
	}
	return s.d
}

// find is the place of a pane, or where it would be.
func (d *data) find(index int64) (at int, ok bool) {
	at = len(d.panes)
	for at > 0 && d.panes[at-1].index >= index {
		at--
	}
	return at, at < len(d.panes) && d.panes[at].index == index
}
