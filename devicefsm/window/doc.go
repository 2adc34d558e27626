// Package window counts over time: it aggregates the events of one entity over tumbling
// and sliding windows, by the times of the events.
//
// It is pure: no clock, no I/O, no goroutines. A [Spec] is compiled into a [Window], which
// never changes and may be used from any number of goroutines. What is open for one entity
// is a [State], an immutable value that is written as JSON. All times are unix
// milliseconds.
//
//	w, err := window.Compile(spec)
//	var s window.State                        // nothing was counted
//	for w.Due(s, time) {                      // an event of that time closes what is over
//		s, result = w.Close(s)
//	}
//	s, missed := w.Add(s, window.Sample{At: time, Arrived: now, Dated: true, Value: v})
//	if d, ok := w.Deadlines(s); ok {          // the first open window closes at d.Arrival
//		s, result = w.Close(s)            // without another event
//	}
//
// # Panes
//
// Time is divided into panes, each as long as the window slides; a window is the union of
// Over/Slide panes that follow one another, and is known by its last one. A pane keeps an
// aggregate, never events: memory does not depend on how many events there are (Li et al.,
// "No pane, no gain", SIGMOD Record 34(1), 2005). Windows begin at multiples of Slide since
// 1970-01-01T00:00:00Z, or where a [Frame] says. A window without an event does not exist:
// it never closes.
//
// # Time
//
// The time of a window is the latest one that a counted event had of its device: it never
// runs back, and only what is counted moves it, so that events that somebody else leaves
// out make no difference. A window is over when that time is at its end plus Grace; or,
// without such an event, as long after its latest arrival as the device would need to get
// there ([Deadlines].Arrival). Windows close in the order of their ends.
//
// An event of an earlier time counts in its own windows as long as they are open. What
// comes after one of its windows has closed is late: it counts in those that are open, and
// Add says how many it missed.
//
// # Accuracy
//
// count is exact. sum, mean and rate add doubles, pane by pane: their relative error is at
// most the number of events times 2^-53, of the sum of absolute values. min and max are
// exact. distinct is exact below [Window.Values] different values (of each window), up to
// collisions of 64-bit hashes; from there on it is an estimate by the k smallest hashes
// (Bar-Yossef et al., "Counting distinct elements in a data stream", RANDOM 2002), with a
// standard error of 1/√(k-2). Panes are merged without further loss.
//
// # Bounds
//
// A state has at most Over/Slide + Grace/Slide + 2 panes, of at most [Window.Values]
// hashes. If the times of events are so far apart that more would be open, the first
// windows close early: see [Window.Full].
package window
