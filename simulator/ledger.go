package simulator

import (
	"slices"
	"time"
)

// duty is what has to become of a message.
type duty uint8

const (
	free     duty = iota // it can do nothing, in whatever state the device is
	optional             // it can do nothing after the messages before it: a bridge that has seen them may leave it out
	due                  // it has to be applied
)

// sentMessage is a message that has to be applied and has its PUBACK.
type sentMessage struct {
	number number
	at     int64 // of the PUBLISH, Unix nanoseconds; 0: not to be measured
}

// account is what one device sent. It is written in the order of the numbers.
type account struct {
	relevant []sentMessage
	optional []span // acknowledged
	// issued are the highest number given out in each epoch, in order; what is
	// above the acknowledged ones was published but has no PUBACK.
	issued       []number
	acknowledged []number // the highest acknowledged of each epoch, in order
	first        number   // the first number of the run
	// restarts are the numberings that began again in an epoch of the wire, and bare
	// is nil of a device with numbers.
	restarts []numbering
	bare     *bareAccount
}

// noteIssued notes that a message with this number is about to be published.
func (a *account) noteIssued(n number) {
	if len(a.issued) == 0 {
		a.first = n
	}
	a.issued = raise(a.issued, n)
}

// span is a run of numbers of one epoch.
type span struct {
	epoch    int64
	from, to uint64
}

// noteAcknowledged notes the PUBACK of a message. PUBACKs come in order. A zero
// time keeps the message out of the latencies.
func (a *account) noteAcknowledged(n number, is duty, published time.Time) {
	a.acknowledged = raise(a.acknowledged, n)
	switch is {
	case free:
		return
	case optional:
		a.noteOptional(n)
		return
	}
	m := sentMessage{number: n}
	if !published.IsZero() {
		m.at = published.UnixNano()
	}
	a.relevant = append(a.relevant, m)
}

func (a *account) noteOptional(n number) {
	if last := len(a.optional) - 1; last >= 0 && a.optional[last].epoch == n.epoch && a.optional[last].to+1 == n.seq {
		a.optional[last].to++
		return
	}
	a.optional = append(a.optional, span{n.epoch, n.seq, n.seq})
}

func raise(highest []number, n number) []number {
	if last := len(highest) - 1; last >= 0 && highest[last].epoch == n.epoch {
		highest[last] = n
		return highest
	}
	return append(highest, n)
}

func reaches(highest []number, n number) bool {
	for _, h := range highest {
		if h.epoch == n.epoch {
			return n.seq <= h.seq
		}
	}
	return false
}

// sent reports whether the number was given out in this run.
func (a *account) sent(n number) bool { return n.seq > 0 && reaches(a.issued, n) }

// unacknowledged reports whether the message is without PUBACK.
func (a *account) unacknowledged(n number) bool { return !reaches(a.acknowledged, n) }

// open is how many published messages have no PUBACK.
func (a *account) open() uint64 {
	total := uint64(0)
	for _, h := range a.issued {
		total += h.seq
	}
	for _, h := range a.acknowledged {
		total -= h.seq
	}
	return total
}

// tally is the outcome of the comparison for one device.
type tally struct {
	Relevant   uint64
	Applied    uint64
	Lost       uint64
	Duplicated uint64
	Reordered  uint64
	Unexpected uint64
	Optional   uint64
	LeftOut    uint64 // of the optional ones, those that were not applied
	// Behind is the first that Reordered counts, and After what was applied before it.
	Behind, After number
	// AppliedAgain are further applications of messages without a number, of which the
	// service may not have known that they came twice.
	AppliedAgain uint64
	// Gone are the messages that Lost counts.
	Gone []sentMessage
	// Durable is when each message that was applied had become durable.
	Durable map[number]time.Time
}

func (t tally) faulty() bool { return t.Lost+t.Duplicated+t.Reordered+t.Unexpected > 0 }

// compare holds what a device sent against what its workflow applied. Entries
// of an earlier run, with lower epochs, are passed over.
// The latencies of the relevant messages are given to observe.
func (a *account) compare(log AppliedLog, observe func(time.Duration)) tally {
	t := tally{Relevant: uint64(len(a.relevant)), Durable: make(map[number]time.Time, len(log.Entries))}
	var highest number
	entries, appliedAgain := a.identify(log)
	t.AppliedAgain = appliedAgain
	for _, e := range entries {
		n := e.number
		if n.epoch < a.first.epoch {
			continue
		}
		_, again := t.Durable[n]
		switch {
		case !a.sent(n):
			t.Unexpected++
			continue
		case again:
			t.Duplicated++
			continue
		case n.before(highest):
			if t.Reordered++; t.Reordered == 1 {
				t.Behind, t.After = n, highest
			}
		default:
			highest = n
		}
		t.Durable[n] = e.durable
	}
	t.countOptional(a.optional)
	for _, m := range a.relevant {
		durable, ok := t.Durable[m.number]
		if !ok {
			t.Lost++
			t.Gone = append(t.Gone, m)
			continue
		}
		t.Applied++
		if m.at != 0 {
			observe(max(0, durable.Sub(time.Unix(0, m.at))))
		}
	}
	return t
}

func (t *tally) countOptional(spans []span) {
	for _, s := range spans {
		t.Optional += s.to - s.from + 1
		for seq := s.from; seq <= s.to; seq++ {
			if _, ok := t.Durable[number{s.epoch, seq}]; !ok {
				t.LeftOut++
			}
		}
	}
}

// covered reports whether the log holds every relevant message, cheaply enough
// to be asked again and again.
func (a *account) covered(log AppliedLog) bool {
	if len(log.Entries) < len(a.relevant) {
		return false
	}
	have := make(map[number]struct{}, len(log.Entries))
	entries, _ := a.identify(log)
	for _, e := range entries {
		have[e.number] = struct{}{}
	}
	return !slices.ContainsFunc(a.relevant, func(m sentMessage) bool {
		_, ok := have[m.number]
		return !ok
	})
}
