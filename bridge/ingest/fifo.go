package ingest

// keptRing is the ring that an empty fifo keeps.
const keptRing = 64

// fifo is a queue in a ring that grows and, once empty, lets go of its memory but for
// a small ring.
type fifo[T any] struct {
	ring  []T
	first int
	n     int
}

func (q *fifo[T]) len() int { return q.n }

func (q *fifo[T]) head() T { return q.ring[q.first] }

// at is the one with a place, from 0 for the head.
func (q *fifo[T]) at(i int) T { return q.ring[(q.first+i)%len(q.ring)] }

// last is what was pushed last.
func (q *fifo[T]) last() T { return q.ring[(q.first+q.n-1)%len(q.ring)] }

func (q *fifo[T]) push(v T) {
	if q.n == len(q.ring) {
		grown := make([]T, max(4, 2*q.n))
		copied := copy(grown, q.ring[q.first:])
		copy(grown[copied:], q.ring[:q.first])
		q.ring, q.first = grown, 0
	}
	q.ring[(q.first+q.n)%len(q.ring)] = v
	q.n++
}

func (q *fifo[T]) pop() T {
	var zero T
	v := q.ring[q.first]
	q.ring[q.first] = zero
	q.first = (q.first + 1) % len(q.ring)
	q.n--
	if q.n == 0 && len(q.ring) > keptRing {
		q.ring, q.first = nil, 0
	}
	return v
}
