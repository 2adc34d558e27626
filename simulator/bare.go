package simulator

import (
	"maps"
	"slices"
)

// bareAccount is the messages of a device without numbers, by their digests. Equal
// messages have the same.
type bareAccount struct {
	sent    []bareMessage
	again   map[uint64]int // further times that a message was published
	wills   map[uint64]bool
	blurred bool // a message that counts in the sequence was published again
}

type bareMessage struct {
	digest uint64
	number number
}

func newBareAccount() *bareAccount {
	return &bareAccount{again: map[uint64]int{}, wills: map[uint64]bool{}}
}

func (b *bareAccount) note(digest uint64, n number) {
	b.sent = append(b.sent, bareMessage{digest, n})
}

// noteAgain notes that a message is published once more: its PUBACK was lost with a
// connection, and without a number nobody can distinguish the two.
func (b *bareAccount) noteAgain(digest uint64, counts bool) {
	b.again[digest]++
	b.blurred = b.blurred || counts
}

func (a *account) blurred() bool { return a.bare != nil && a.bare.blurred }

// identify finds out which messages the entries of a log are. Those before the first
// message of the run are passed over, and so are last wills.
//
// One that was sent once is known by its digest. Of several that are equal, or equal to the
// last will, an entry is the first that was sent between what was applied before it and
// after it. One that has no such place is the last will, or was published again, or is out
// of order.
func (b *bareAccount) identify(log AppliedLog) (all []identified, appliedAgain uint64) {
	m := bareMatch{account: b, left: map[uint64][]number{}, equal: map[uint64]bool{}, again: maps.Clone(b.again)}
	for _, s := range b.sent {
		m.left[s.digest] = append(m.left[s.digest], s.number)
		m.equal[s.digest] = len(m.left[s.digest]) > 1 || b.wills[s.digest]
	}
	for _, e := range log.Entries {
		m.add(e)
	}
	m.place()
	m.placeRest()
	for _, e := range m.entries {
		if e.known {
			all = append(all, e.identified)
		}
	}
	return all, m.appliedAgain
}

// bareMatch hands out the messages of each digest, one for each application.
type bareMatch struct {
	account      *bareAccount
	left         map[uint64][]number // those that no entry stands for yet, in order
	equal        map[uint64]bool     // a digest does not say which message it is
	again        map[uint64]int
	begun        bool // a message of this run was applied
	entries      []bareEntry
	appliedAgain uint64
}

// bareEntry is an entry of the log.
type bareEntry struct {
	identified
	digest uint64
	known  bool // the number is
	open   bool // it will be, unless the entry is none of the ledger
}

// add takes the next entry.
func (m *bareMatch) add(e Applied) {
	entry := bareEntry{identified: identified{durable: e.Durable}, digest: e.Digest}
	left, sent := m.left[e.Digest]
	switch {
	case e.Seq > 0: // the device has no numbers
		entry.known, entry.number = true, number{epoch: e.Epoch}
	case m.equal[e.Digest]:
		entry.open, m.begun = true, true
	case len(left) > 0:
		entry.known, entry.number = true, left[0]
		m.left[e.Digest], m.begun = nil, true
	case sent:
		m.surplus(e.Digest)
	case m.account.wills[e.Digest]:
	case m.begun: // never sent: the number of none, so that it shows
		entry.known, entry.number = true, number{epoch: m.account.sent[0].number.epoch}
	}
	m.entries = append(m.entries, entry)
}

// surplus is one application more than there were messages.
func (m *bareMatch) surplus(digest uint64) {
	if m.again[digest] > 0 {
		m.again[digest]--
		return
	}
	m.appliedAgain++
}

// place gives numbers to equal ones, from between those before and after them.
func (m *bareMatch) place() {
	after := make([]number, len(m.entries)) // the lowest known number behind each
	lowest := number{}
	for i, e := range slices.Backward(m.entries) {
		after[i] = lowest
		if e.sent() && (lowest == number{} || e.number.before(lowest)) {
			lowest = e.number
		}
	}
	highest := number{}
	for i := range m.entries {
		e := &m.entries[i]
		if e.sent() && highest.before(e.number) {
			highest = e.number
		}
		if !e.open {
			continue
		}
		left := m.left[e.digest]
		at := slices.IndexFunc(left, func(n number) bool { return highest.before(n) })
		if at >= 0 && (after[i] == number{} || left[at].before(after[i])) {
			m.take(e, at)
		}
	}
}

func (e bareEntry) sent() bool { return e.known && e.number.seq > 0 && !e.open }

// take gives an entry one of the numbers that are left for its digest.
func (m *bareMatch) take(e *bareEntry, at int) {
	left := m.left[e.digest]
	e.number, e.known = left[at], true
	m.left[e.digest] = slices.Delete(left, at, at+1)
}

// placeRest is for the equal ones that are nowhere in order.
func (m *bareMatch) placeRest() {
	for i := range m.entries {
		e := &m.entries[i]
		switch {
		case !e.open || e.known:
		case m.account.wills[e.digest]:
		case m.again[e.digest] > 0:
			m.again[e.digest]--
		case len(m.left[e.digest]) > 0: // out of order
			m.take(e, 0)
		default:
			m.appliedAgain++
		}
	}
}
