package devicefsm

import (
	"cmp"
	"iter"
	"math"
	"slices"
)

// troubleChunkSize is how many troubles are copied by a change, at most.
const troubleChunkSize = 64

// troubleList are the troubles of an alarm, by their keys. It is never changed: a change
// copies one chunk, so that an event costs about the same whether 10 members of a group are
// in trouble or 10,000.
type troubleList struct {
	chunks []*troubleChunk // none is empty
	size   int
}

// troubleChunk is a part of the list, with what has to be known of it without looking at
// each trouble.
type troubleChunk struct {
	list   []trouble
	counts [troubleRaised + 1]int // by status
	// wall and event are what of it becomes due first, on the service's clock and as an
	// event; math.MaxInt64 if nothing waits.
	wall, event due
}

// newTroubleList makes a list of troubles that are sorted by their keys.
func newTroubleList(sorted []trouble) troubleList {
	l := troubleList{size: len(sorted)}
	for part := range slices.Chunk(sorted, troubleChunkSize) {
		l.chunks = append(l.chunks, newTroubleChunk(part))
	}
	return l
}

func newTroubleChunk(list []trouble) *troubleChunk {
	c := &troubleChunk{list: list, wall: due{wall: math.MaxInt64}, event: due{at: math.MaxInt64}}
	for i := range list {
		t := &list[i]
		c.counts[t.status]++
		if t.status != troubleWaiting {
			continue
		}
		if t.wall < c.wall.wall {
			c.wall = due{wall: t.wall, at: t.due, what: dueAlarm}
		}
		if t.due < c.event.at {
			c.event = due{wall: t.wall, at: t.due, what: dueAlarm}
		}
	}
	return c
}

// all are the troubles, in the order of their keys.
func (l troubleList) all() iter.Seq[trouble] {
	return func(yield func(trouble) bool) {
		for _, c := range l.chunks {
			for _, t := range c.list {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// find is the place of a key, or where it belongs: the chunk, and the place in it.
func (l troubleList) find(key string) (chunk, at int, found bool) {
	chunk, _ = slices.BinarySearchFunc(l.chunks, key, func(c *troubleChunk, key string) int {
		return cmp.Compare(c.list[len(c.list)-1].key, key)
	})
	if chunk == len(l.chunks) {
		if chunk == 0 {
			return 0, 0, false
		}
		chunk--
		return chunk, len(l.chunks[chunk].list), false
	}
	at, found = slices.BinarySearchFunc(l.chunks[chunk].list, key, func(t trouble, key string) int { return cmp.Compare(t.key, key) })
	return chunk, at, found
}

func (l troubleList) get(key string) (trouble, bool) {
	chunk, at, found := l.find(key)
	if !found {
		return trouble{}, false
	}
	return l.chunks[chunk].list[at], true
}

// with is the list with a trouble in the place of the one with its key, or added.
func (l troubleList) with(t trouble) troubleList {
	chunk, at, found := l.find(t.key)
	if len(l.chunks) == 0 {
		return newTroubleList([]trouble{t})
	}
	list := slices.Clone(l.chunks[chunk].list)
	if found {
		list[at] = t
		return l.replaced(chunk, 0, list)
	}
	list = slices.Insert(list, at, t)
	if len(list) <= troubleChunkSize {
		return l.replaced(chunk, 1, list)
	}
	return l.replaced(chunk, 1, list[:len(list)/2:len(list)/2], list[len(list)/2:])
}

// without is the list without a key.
func (l troubleList) without(key string) troubleList {
	chunk, at, found := l.find(key)
	if !found {
		return l
	}
	list := slices.Delete(slices.Clone(l.chunks[chunk].list), at, at+1)
	if len(list) == 0 {
		return l.replaced(chunk, -1)
	}
	return l.replaced(chunk, -1, list)
}

// replaced is the list with other chunks in the place of one.
func (l troubleList) replaced(chunk, more int, lists ...[]trouble) troubleList {
	chunks := make([]*troubleChunk, 0, len(l.chunks)+1)
	chunks = append(chunks, l.chunks[:chunk]...)
	for _, list := range lists {
		chunks = append(chunks, newTroubleChunk(list))
	}
	return troubleList{append(chunks, l.chunks[chunk+1:]...), l.size + more}
}

// changed is the list with each trouble as f leaves it, of the chunks that a condition is for:
// in the others f would change nothing.
func (l troubleList) changed(may func(c *troubleChunk) bool, f func(t *trouble)) troubleList {
	chunks := slices.Clone(l.chunks)
	for i, c := range chunks {
		if !may(c) {
			continue
		}
		list := slices.Clone(c.list)
		for j := range list {
			f(&list[j])
		}
		chunks[i] = newTroubleChunk(list)
	}
	return troubleList{chunks, l.size}
}

// isDue reports whether something of the chunk that waits is due, on either clock.
func (c *troubleChunk) isDue(wall, event int64) bool {
	return c.wall.wall <= wall || c.event.at <= event
}

// isRaised reports whether all of it is.
func (c *troubleChunk) isRaised() bool { return c.counts[troubleRaised] == len(c.list) }

// count is how many have a status.
func (l troubleList) count(status troubleStatus) int {
	n := 0
	for _, c := range l.chunks {
		n += c.counts[status]
	}
	return n
}
