package simulator

import (
	"fmt"
	"strconv"
	"time"

	"devicetwin/device"
)

// The ledger numbers all messages of a device in its own way: each numbering of the
// device is an epoch of the ledger, and a device that numbers nothing has one. What
// the workflow says that it applied is brought to these numbers first.

// numbering is an epoch of the ledger whose epoch on the wire had a numbering before.
type numbering struct{ ledger, wire int64 }

// renumber begins a numbering: in a new epoch, or again in the same.
func (d *player) renumber(newEpoch bool) {
	if d.identity.Unnumbered {
		return
	}
	before := d.last.epoch
	d.last = number{epoch: before + 1}
	if newEpoch {
		d.epoch++
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if !newEpoch || len(d.account.restarts) > 0 { // before that, both are the same
		d.account.noteNumbering(before, d.last.epoch, d.epoch)
	}
}

// noteNumbering notes which epoch of the wire one of the ledger is, from the first
// numbering on that began again.
func (a *account) noteNumbering(before, ledger, wire int64) {
	if len(a.restarts) == 0 {
		a.restarts = append(a.restarts, numbering{before, wire})
	}
	a.restarts = append(a.restarts, numbering{ledger, wire})
}

// onWire is the epoch of the wire.
func (a *account) onWire(ledger int64) int64 {
	for _, n := range a.restarts {
		if n.ledger == ledger {
			return n.wire
		}
	}
	return ledger
}

// ledgerEpochs are those of an epoch of the wire, in order.
func (a *account) ledgerEpochs(wire int64) (all []int64) {
	for _, n := range a.restarts {
		if n.wire == wire {
			all = append(all, n.ledger)
		}
	}
	if len(all) == 0 {
		all = append(all, wire)
	}
	return all
}

// identified is a message that was applied, by its number in the ledger.
type identified struct {
	number  number
	durable time.Time
}

// identify finds out which messages the entries of a log are. A number that is not
// higher than the one before belongs to the next numbering of its epoch, if there is
// one. AppliedAgain is as in tally.
func (a *account) identify(log AppliedLog) (all []identified, appliedAgain uint64) {
	all = make([]identified, 0, len(log.Entries))
	type place struct {
		at      int
		highest uint64
	}
	places := map[int64]place{}
	uses := a.bare.uses()
	for _, e := range log.Entries {
		if e.Seq == 0 {
			n, known := uses.next(e.Digest)
			if known {
				all = append(all, identified{n, e.Durable})
			}
			continue
		}
		epochs, p := a.ledgerEpochs(e.Epoch), places[e.Epoch]
		if e.Seq <= p.highest && p.at+1 < len(epochs) {
			p = place{at: p.at + 1}
		}
		p.highest = max(p.highest, e.Seq)
		places[e.Epoch] = p
		all = append(all, identified{number{epochs[p.at], e.Seq}, e.Durable})
	}
	return all, uses.appliedAgain
}

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

// bareUses hands out the messages of a digest, one for each application.
type bareUses struct {
	account      *bareAccount
	free         map[uint64][]number
	again        map[uint64]int
	begun        bool // a message of this run was applied
	appliedAgain uint64
}

func (b *bareAccount) uses() *bareUses {
	u := &bareUses{account: b, free: map[uint64][]number{}, again: map[uint64]int{}}
	if b == nil {
		return u
	}
	for _, m := range b.sent {
		u.free[m.digest] = append(u.free[m.digest], m.number)
		u.again[m.digest] = b.again[m.digest]
	}
	return u
}

// next is the message that an entry with this digest stands for. A message that was
// never sent in this run has the number of none; those before the first message of
// the run are passed over, and so are last wills.
func (u *bareUses) next(digest uint64) (n number, ok bool) {
	if u.account == nil {
		return n, false
	}
	left, known := u.free[digest]
	switch {
	case len(left) > 0:
		u.free[digest], u.begun = left[1:], true
		return left[0], true
	case u.account.wills[digest]:
	case !known:
		return number{epoch: u.unknown()}, u.begun
	case u.again[digest] > 0:
		u.again[digest]--
	default:
		u.appliedAgain++
	}
	return n, false
}

// unknown is an epoch of the run, so that a message that was never sent shows.
func (u *bareUses) unknown() int64 {
	if len(u.account.sent) == 0 {
		return 0
	}
	return u.account.sent[0].number.epoch
}

// digest is that by which the service knows a message without a number.
func (d *player) digest(topic string, payload []byte, now time.Time) (uint64, error) {
	received, err := d.fleet.options.Dialect.Decode(topic, payload, false, now)
	if err != nil {
		return 0, fmt.Errorf("read the device's own message: %w", err)
	}
	sum, err := strconv.ParseUint(received[0].Message.Digest, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("read the digest of the device's own message: %w", err)
	}
	return sum, nil
}

// noteWill lets the account pass over the device's last will.
func (d *player) noteWill(topic string, will []byte) error {
	if !d.identity.Unnumbered {
		return nil
	}
	sum, err := d.digest(topic, will, time.Now())
	if err != nil {
		return err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.account.bare.wills[sum] = true
	return nil
}

// lost names a message for the report.
func (d *player) lost(n number) LostMessage {
	m := LostMessage{Device: d.id, Epoch: d.account.onWire(n.epoch), Seq: n.seq}
	if b := d.account.bare; b != nil {
		m.Epoch, m.Seq = 0, 0
		for _, sent := range b.sent {
			if sent.number == n {
				m.Digest = digestText(sent.digest)
			}
		}
	}
	return m
}

// digestText is how the service writes a digest, "" if there is none.
func digestText(digest uint64) string {
	if digest == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", digest)
}

// reading is what a message of telemetry said.
func (f flight) reading() map[string]any {
	if f.draft.channel != device.ChannelTelemetry {
		return nil
	}
	return f.draft.data
}
