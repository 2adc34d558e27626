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
// last will, an entry is one that was sent between what was applied before it and after it,
// so that as many as possible are in order. One that has no such place is the last will, or
// was published again, or is out of order.
func (b *bareAccount) identify(log AppliedLog, relevant []sentMessage) (all []identified, appliedAgain uint64) {
	m := bareMatch{account: b, left: map[uint64][]number{}, equal: map[uint64]bool{}, again: maps.Clone(b.again)}
	for _, s := range b.sent {
		m.left[s.digest] = append(m.left[s.digest], s.number)
		m.equal[s.digest] = len(m.left[s.digest]) > 1 || b.wills[s.digest]
	}
	for _, e := range log.Entries {
		m.add(e)
	}
	m.place()
	m.placeRest(relevant)
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
	open   bool // it will be, unless it has no place in the ledger
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

// place gives numbers to equal ones: to those that were applied between two that are known,
// of those that were sent between them.
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
	var together []*bareEntry
	for i := range m.entries {
		e := &m.entries[i]
		if e.open {
			together = append(together, e)
		}
		if e.sent() {
			if highest.before(e.number) {
				highest = e.number
			}
			together = together[:0]
		}
		if last := i+1 == len(m.entries) || m.entries[i+1].sent(); last && len(together) > 0 {
			m.align(together, m.between(together, highest, after[i]))
		}
	}
}

// sent reports whether the entry is of a message that is known by its digest.
func (e bareEntry) sent() bool { return e.known && e.number.seq > 0 && !e.open }

// between are the messages that entries can be, of those that were sent after one and before
// another. Zero ones bound nothing.
func (m *bareMatch) between(entries []*bareEntry, after, before number) (all []bareMessage) {
	seen := map[uint64]bool{}
	for _, e := range entries {
		if seen[e.digest] {
			continue
		}
		seen[e.digest] = true
		for _, n := range m.left[e.digest] {
			if after.before(n) && (before == number{} || n.before(before)) {
				all = append(all, bareMessage{e.digest, n})
			}
		}
	}
	slices.SortFunc(all, func(a, b bareMessage) int {
		if a.number.before(b.number) {
			return -1
		}
		return 1
	})
	return all
}

// maxAligned bounds the table of align, in cells.
const maxAligned = 1 << 22

// align makes as many entries as possible messages, both in their order: it is the longest
// common subsequence of their digests.
func (m *bareMatch) align(entries []*bareEntry, messages []bareMessage) {
	width := len(messages) + 1
	if len(entries) > maxAligned/width {
		messages = messages[:min(len(messages), maxAligned/len(entries))]
		width = len(messages) + 1
	}
	most := make([]int32, (len(entries)+1)*width) // of entries and messages from there on
	for i := len(entries) - 1; i >= 0; i-- {
		for j := len(messages) - 1; j >= 0; j-- {
			at := i*width + j
			if entries[i].digest == messages[j].digest {
				most[at] = most[at+width+1] + 1
			} else {
				most[at] = max(most[at+width], most[at+1])
			}
		}
	}
	for i, j := 0, 0; i < len(entries) && j < len(messages); {
		at := i*width + j
		switch {
		case most[at+width] == most[at]:
			i++ // a later one is as good
		case entries[i].digest == messages[j].digest:
			m.take(entries[i], messages[j].number)
			i, j = i+1, j+1
		default:
			j++
		}
	}
}

// take gives an entry one of the numbers that are left for its digest.
func (m *bareMatch) take(e *bareEntry, n number) {
	e.number, e.known = n, true
	m.left[e.digest] = slices.DeleteFunc(m.left[e.digest], func(l number) bool { return l == n })
}

// placeRest is for the equal ones that are nowhere in order. What has to be applied and was not
// is out of order.
func (m *bareMatch) placeRest(relevant []sentMessage) {
	due := make(map[number]bool, len(relevant))
	for _, r := range relevant {
		due[r.number] = true
	}
	for i := range m.entries {
		e := &m.entries[i]
		if !e.open || e.known || m.account.wills[e.digest] {
			continue
		}
		left := m.left[e.digest]
		missing := slices.IndexFunc(left, func(n number) bool { return due[n] })
		if m.again[e.digest] > 0 || missing < 0 {
			m.surplus(e.digest)
			continue
		}
		m.take(e, left[missing])
	}
}
