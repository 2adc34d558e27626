package replay

import (
	"cmp"
	"slices"
	"time"
)

// Order is the history of one device: its entries in the order in which the statechart took
// them. Several processes may have written them, in any order, and some twice: of those with one
// number, that of the latest task counts, and nothing that comes behind it and was taken before: a
// task that failed and was repeated, or what was undone when the workflow was reset. Where numbers
// begin again, those of the later runs come later. Twins are put into all entries.
//
// The list that is given is sorted.
func Order(entries []*Entry) []*Entry {
	begins := map[string]time.Time{} // of each instance
	for _, e := range entries {
		if at, ok := begins[e.Instance]; !ok || e.Task.Before(at) {
			begins[e.Instance] = e.Task
		}
	}
	slices.SortStableFunc(entries, func(a, b *Entry) int {
		if a.Instance != b.Instance {
			return cmp.Or(begins[a.Instance].Compare(begins[b.Instance]), cmp.Compare(a.Instance, b.Instance))
		}
		return cmp.Or(cmp.Compare(a.Runs, b.Runs), cmp.Compare(a.N, b.N), a.Task.Compare(b.Task))
	})
	var out []*Entry
	var again time.Time // of the instance: what was taken before it, and comes later, was undone
	for _, e := range entries {
		last := len(out) - 1
		switch {
		case last < 0 || out[last].Instance != e.Instance:
			again = time.Time{}
		case e.Task.Before(again):
			continue
		case out[last].Runs == e.Runs && out[last].N == e.N:
			if !out[last].Task.Equal(e.Task) {
				again = e.Task
			}
			out[last] = e
			continue
		}
		out = append(out, e)
	}
	var twin map[string]any
	for i, e := range out {
		switch {
		case e.Twin != nil:
			twin = e.Twin
		case i > 0 && follows(out[i-1], e):
			e.Twin = twin
		default:
			twin = nil
		}
	}
	return out
}

// follows reports whether nothing is missing between two entries.
func follows(before, e *Entry) bool {
	return e.Instance == before.Instance && e.Runs == before.Runs && e.N == before.N+1
}

// restarts reports whether the numbers began again between two entries: how much is missing
// before that is not known.
func restarts(before, e *Entry) bool {
	return e.Instance == before.Instance && e.Runs != before.Runs
}
