package devicefsm

import (
	"iter"
	"math/bits"
	"slices"
)

// stateSet is a set of states, by their index in document order. All sets of
// one model have the same length.
type stateSet []uint64

func newStateSet(n int) stateSet { return make(stateSet, (n+63)/64) }

func (s stateSet) has(i int) bool {
	return i >= 0 && i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0
}

func (s stateSet) add(i int)    { s[i>>6] |= 1 << (i & 63) }
func (s stateSet) remove(i int) { s[i>>6] &^= 1 << (i & 63) }

func (s stateSet) clone() stateSet { return slices.Clone(s) }

func (s stateSet) union(t stateSet) {
	for i := range t {
		s[i] |= t[i]
	}
}

// intersects also takes the nil set, which is empty.
func (s stateSet) intersects(t stateSet) bool {
	for i := range min(len(s), len(t)) {
		if s[i]&t[i] != 0 {
			return true
		}
	}
	return false
}

func (s stateSet) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// intersection returns a new set.
func (s stateSet) intersection(t stateSet) stateSet {
	out := make(stateSet, len(s))
	for i := range s {
		out[i] = s[i] & t[i]
	}
	return out
}

// all yields the members in document order.
func (s stateSet) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(i<<6 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// backward yields the members in reverse document order.
func (s stateSet) backward() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := len(s) - 1; i >= 0; i-- {
			for w := s[i]; w != 0; {
				top := 63 - bits.LeadingZeros64(w)
				if !yield(i<<6 + top) {
					return
				}
				w &^= 1 << top
			}
		}
	}
}
