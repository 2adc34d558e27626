package replay

import (
	"cmp"
	"slices"
	"time"
)

// Order is the history of one device: its entries in the order in which the statechart took
// them. Several processes may have written them, in any order, and some twice: of those with one
// number, that of the latest task counts, and nothing from then on of a task that was repeated.
// Twins are put into all entries.
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
		return cmp.Or(cmp.Compare(a.N, b.N), a.Task.Compare(b.Task))
	})
	var out []*Entry
	var repeated []time.Time // tasks of the instance that were tried again
	for _, e := range entries {
		last := len(out) - 1
		switch {
		case last < 0 || out[last].Instance != e.Instance:
			repeated = nil
		case slices.ContainsFunc(repeated, e.Task.Equal):
			continue
		case out[last].N == e.N:
			if !out[last].Task.Equal(e.Task) {
				repeated = append(repeated, out[last].Task)
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
	return e.Instance == before.Instance && e.N == before.N+1
}
