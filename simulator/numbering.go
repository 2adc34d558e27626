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
	if a.bare != nil {
		return a.bare.identify(log, a.relevant)
	}
	all = make([]identified, 0, len(log.Entries))
	type place struct {
		at      int
		highest uint64
	}
	places := map[int64]place{}
	for _, e := range log.Entries {
		if e.Seq == 0 {
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
	return all, 0
}

// noteWill lets the account pass over the device's last will.
func (d *player) noteWill(will Utterance) error {
	if !d.identity.Unnumbered {
		return nil
	}
	for _, m := range will.Means {
		sum, err := readDigest(m)
		if err != nil {
			return err
		}
		d.mutex.Lock()
		d.account.bare.wills[sum] = true
		d.mutex.Unlock()
	}
	return nil
}

// readDigest is that by which the service knows a message without a number.
func readDigest(m device.Message) (uint64, error) {
	sum, err := strconv.ParseUint(m.Digest, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("read the digest of the device's own message: %w", err)
	}
	return sum, nil
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
