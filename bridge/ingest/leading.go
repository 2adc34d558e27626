package ingest

import "slices"

// leading are the first ones of many, in an order, without sorting all of them.
type leading[T any] struct {
	limit   int
	compare func(a, b T) int // as of slices.SortFunc
	found   []T
	full    bool // the first limit of found are sorted, and the last of them is the one to beat
}

func newLeading[T any](limit int, compare func(a, b T) int) *leading[T] {
	return &leading[T]{limit: limit, compare: compare}
}

func (l *leading[T]) add(x T) {
	if l.limit <= 0 || l.full && l.compare(x, l.found[l.limit-1]) >= 0 {
		return
	}
	if l.found = append(l.found, x); len(l.found) >= 2*l.limit {
		l.list()
		l.full = true
	}
}

// list is the first ones, in order.
func (l *leading[T]) list() []T {
	slices.SortFunc(l.found, l.compare)
	l.found = l.found[:min(len(l.found), max(0, l.limit))]
	return l.found
}
