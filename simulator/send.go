package simulator

import (
	"fmt"
	"time"

	"devicetwin/device"
)

// send publishes as much as the window of unacknowledged messages allows.
func (d *player) send() (parting, bool) {
	for i := range d.inflight {
		if d.inflight[i].token == nil {
			d.publish(&d.inflight[i])
		}
	}
	for len(d.outbox) > 0 {
		next := d.outbox[0]
		if !next.onWire() {
			if len(d.inflight) > 0 {
				return parting{}, false
			}
			d.outbox = d.outbox[1:]
			if next.kind == draftLeave {
				return d.depart(next.act, false), true
			}
			d.credentials = next.credentials
			birth := d.birth("boot", next.credential)
			birth.marks, birth.id = factBirth, next.id
			return parting{kind: draftReconnect, next: &birth}, true
		}
		if len(d.inflight) >= d.fleet.options.InFlight {
			return parting{}, false
		}
		d.outbox = d.outbox[1:]
		f, err := d.prepare(next)
		if err != nil {
			d.fleet.fail(fmt.Errorf("device %s: %w", d.id, err))
			continue
		}
		d.inflight = append(d.inflight, f)
		d.publish(&d.inflight[len(d.inflight)-1])
	}
	return parting{}, false
}

// prepare gives a draft its number and its form, and records it for the oracle.
func (d *player) prepare(next draft) (flight, error) {
	f := flight{draft: next, topic: next.topic, payload: next.payload}
	if !next.numbered() {
		return f, nil
	}
	now := time.Now()
	d.last.seq++
	f.number = d.last
	if next.made.IsZero() {
		next.made = now
	}
	f.ts = d.identity.timeAt(next.made)
	msg := device.Message{
		Channel: next.channel, Name: next.name, Data: next.data,
		Time: now, Epoch: d.epoch, Seq: f.number.seq,
	}
	if d.identity.Unnumbered {
		msg.Epoch, msg.Seq = 0, 0
	}
	f.epoch, f.seq = msg.Epoch, msg.Seq
	var err error
	if f.topic, f.payload, err = d.fleet.options.Dialect.EncodeMessage(device.ID(d.id), msg, f.ts); err != nil {
		return f, err
	}
	if d.identity.Unnumbered {
		if f.digest, err = d.digest(f.topic, f.payload, now); err != nil {
			return f, err
		}
	}
	if believable(f.ts, now) {
		msg.Sent = f.ts
	}
	f.counts = d.match.counts(msg)
	completed := d.match.take(msg, d.events.of(f.ts, now))
	f.crosses = d.level.take(msg)
	f.duty = d.dutyOf(msg, f.crosses)
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.account.noteIssued(f.number)
	if d.identity.Unnumbered {
		d.fleet.admit()
		d.account.bare.note(f.digest, f.number)
	}
	if completed {
		d.note(fact{kind: factCompleted, at: now, number: f.number})
		if !d.waits {
			d.pending, d.waits = now, true
		}
	}
	if next.id != "" {
		d.note(fact{kind: next.marks, at: now, number: f.number, id: next.id})
		if next.marks == factBirth {
			d.waits = false
			d.fleet.count.reprovisions.Add(1)
		}
	}
	return f, nil
}

// dutyOf says what has to become of a message. A filter that has seen all that the
// device sent, in order, lets pass what has to be applied. The filters of bridges
// let pass that and more, because they forget: at a new connection, after a copy or
// a jump of the numbers, with time. What crosses the scenario's level is due
// whatever the model says.
func (d *player) dutyOf(m device.Message, crosses bool) duty {
	model := d.fleet.options.Model
	is := free
	switch passes := model.Pass(&d.filter, m); {
	case passes || crosses:
		is = due
	case model.Relevant(m):
		is = optional
	}
	// Of optional ones in a row, the ledger keeps the first and the last.
	if kept := is == due || is == optional && d.before != optional; kept && !d.fleet.admit() {
		is = free
	}
	d.before = is
	return is
}

func (d *player) publish(f *flight) {
	if f.attempts++; f.attempts > 1 && f.digest != 0 {
		d.mutex.Lock()
		d.account.bare.noteAgain(f.digest, f.counts)
		d.mutex.Unlock()
	}
	if f.published.IsZero() {
		f.published = time.Now()
	}
	f.token = d.link.publish(f.topic, f.payload)
}

// acknowledge takes the PUBACK of the oldest message in flight.
func (d *player) acknowledge() error {
	f := d.inflight[0]
	if err := f.token.Error(); err != nil {
		return err
	}
	d.inflight = d.inflight[1:]
	count := &d.fleet.count
	if !f.draft.numbered() {
		if f.draft.repeat {
			count.repeated.Add(1)
		}
		return nil
	}
	count.sent.Add(1)
	if f.duty == due {
		count.relevant.Add(1)
	}
	if f.crosses && f.duty == due {
		count.crossings.Add(1)
	}
	if f.draft.recorded {
		count.recorded.Add(1)
	}
	if d.identity.Unnumbered {
		count.bare.Add(1)
	}
	if f.draft.mixed {
		count.mixed.Add(1)
	}
	published := f.published
	if f.draft.aside || f.draft.recorded {
		published = time.Time{}
	}
	d.mutex.Lock()
	d.account.noteAcknowledged(f.number, f.duty, published)
	d.mutex.Unlock()
	d.fleet.options.Acknowledged(Acknowledged{
		Device: d.id, Channel: f.draft.channel, Epoch: f.epoch, Seq: f.seq, TS: unixMilli(f.ts),
		Digest: digestText(f.digest), Data: f.reading(),
	})
	if f.draft.repeat {
		d.delay(time.Now().Add(f.draft.after), draft{kind: draftCopy, topic: f.topic, payload: f.payload, repeat: true})
	}
	return nil
}
