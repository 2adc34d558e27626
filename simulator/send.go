package simulator

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"devicetwin/device"
)

// send publishes as much as the window of unacknowledged messages allows.
func (d *player) send() (parting, bool) {
	window := d.fleet.options.InFlight
	for {
		for i := range d.inflight[:min(len(d.inflight), window)] {
			if d.inflight[i].token == nil {
				d.publish(&d.inflight[i])
			}
		}
		if len(d.outbox) == 0 {
			return parting{}, false
		}
		next := d.outbox[0]
		if !next.onWire() {
			if len(d.inflight) > 0 {
				return parting{}, false
			}
			d.outbox = d.outbox[1:]
			return d.leaves(next), true
		}
		if len(d.inflight) >= window {
			return parting{}, false
		}
		d.outbox = d.outbox[1:]
		flights, err := d.prepare(next)
		if err != nil {
			d.fleet.fail(fmt.Errorf("device %s: %w", d.id, err))
			continue
		}
		d.inflight = append(d.inflight, flights...)
	}
}

// leaves is how a draft that is not published ends the link.
func (d *player) leaves(next draft) parting {
	if next.kind == draftLeave {
		return d.depart(next.act, false)
	}
	d.credentials = next.credentials
	birth := d.birth("boot", next.credential)
	birth.marks, birth.id = factBirth, next.id
	return parting{kind: draftReconnect, next: &birth}
}

// prepare gives the messages of a draft their numbers and their form, and records them
// for the oracle.
func (d *player) prepare(next draft) ([]flight, error) {
	if !next.numbered() {
		return []flight{{draft: next, said: next.said}}, nil
	}
	now := time.Now()
	if next.made.IsZero() {
		next.made = now
	}
	ts := d.identity.timeAt(next.made)
	m := device.Message{Channel: next.channel, Name: next.name, Data: next.data, Time: now}
	if !d.identity.Unnumbered {
		m.Epoch, m.Seq = d.epoch, d.last.seq+1
	}
	said, err := d.voice.Say(m, ts)
	if err != nil {
		return nil, err
	}
	flights := make([]flight, len(said))
	for i, u := range said {
		f := flight{draft: next, said: u, ts: ts}
		for _, meant := range u.Means {
			p, err := d.enter(meant, ts, now)
			if err != nil {
				return nil, err
			}
			f.parts = append(f.parts, p)
		}
		flights[i] = f
	}
	d.mark(next, now)
	return flights, nil
}

// enter is one message in the ledger.
func (d *player) enter(m device.Message, ts, now time.Time) (p part, err error) {
	if d.identity.Unnumbered {
		if p.digest, err = readDigest(m); err != nil {
			return p, err
		}
	}
	d.last.seq++
	p.message, p.number = m, d.last
	if believable(ts, now) {
		m.Sent = ts
	}
	p.counts = d.match.counts(m)
	completed := d.match.take(m, d.events.of(ts, now))
	p.crosses = d.level.take(m)
	p.duty = d.dutyOf(m, p.crosses)
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.account.noteIssued(p.number)
	if d.identity.Unnumbered {
		d.fleet.admit()
		d.account.bare.note(p.digest, p.number)
	}
	if completed {
		d.note(fact{kind: factCompleted, at: now, number: p.number})
		if !d.waits {
			d.pending, d.waits = now, true
		}
	}
	return p, nil
}

// mark notes what a draft means to the oracle, by the last of its messages.
func (d *player) mark(next draft, now time.Time) {
	if next.id == "" {
		return
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.note(fact{kind: next.marks, at: now, number: d.last, id: next.id})
	if next.marks == factBirth {
		d.waits = false
		d.fleet.count.reprovisions.Add(1)
	}
}

// dutyOf says what has to become of a message. A filter that has seen all that the
// device sent, in order, lets pass what has to be applied. The filters of bridges
// let pass that and more, because they forget: at a new connection, after a copy or
// a jump of the numbers, with time. What crosses the scenario's level is due
// whatever the model says. What a device reports of its state is not for the filters, and is
// due if it is news.
func (d *player) dutyOf(m device.Message, crosses bool) duty {
	model := d.model
	is := free
	switch {
	case m.Channel == device.ChannelTwin && !d.news(m):
		is = optional
	case m.Channel == device.ChannelTwin, model.Pass(&d.filter, m), crosses:
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

// news reports whether a device reports something else of its state than it did last.
func (d *player) news(m device.Message) (is bool) {
	if d.reported == nil {
		d.reported = map[string]any{}
	}
	for name, value := range reportedBy(m) {
		if last, known := d.reported[name]; !known || !reflect.DeepEqual(last, value) {
			d.reported[name], is = value, true
		}
	}
	return is
}

// reportedBy are the properties that a message reports: its data, or what was read of it.
func reportedBy(m device.Message) map[string]any {
	if m.Twin == nil {
		return m.Data
	}
	var update struct {
		State struct {
			Reported map[string]any `json:"reported"`
		} `json:"state"`
	}
	if err := json.Unmarshal(m.Twin.Payload, &update); err != nil {
		return nil // it was made by the dialect
	}
	return update.State.Reported
}

func (d *player) publish(f *flight) {
	if f.attempts++; f.attempts > 1 && d.identity.Unnumbered {
		d.mutex.Lock()
		for _, p := range f.parts {
			d.account.bare.noteAgain(p.digest, p.counts)
		}
		d.mutex.Unlock()
	}
	if f.published.IsZero() {
		f.published = time.Now()
	}
	f.token = d.link.publish(f.said)
}

// acknowledge takes the PUBACK of the oldest message in flight.
func (d *player) acknowledge() error {
	f := d.inflight[0]
	if err := f.token.Error(); err != nil {
		return err
	}
	d.inflight = d.inflight[1:]
	if f.draft.kind == draftCopy && f.draft.repeat {
		d.fleet.count.repeated.Add(1)
	}
	for _, p := range f.parts {
		d.noteAck(f, p)
	}
	if f.draft.numbered() && f.draft.repeat {
		d.delay(time.Now().Add(f.draft.after), draft{kind: draftCopy, said: f.said, repeat: true})
	}
	return nil
}

// noteAck enters the PUBACK of a message.
func (d *player) noteAck(f flight, p part) {
	count := &d.fleet.count
	count.sent.Add(1)
	if p.duty == due {
		count.relevant.Add(1)
	}
	if p.crosses && p.duty == due {
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
	d.account.noteAcknowledged(p.number, p.duty, published)
	d.mutex.Unlock()
	d.fleet.options.Acknowledged(Acknowledged{
		Device: d.id, Channel: p.message.Channel, Epoch: p.message.Epoch, Seq: p.message.Seq, TS: unixMilli(f.ts),
		Digest: digestText(p.digest), Data: p.reading(),
	})
}

// reading is what a message of telemetry said.
func (p part) reading() map[string]any {
	if p.message.Channel != device.ChannelTelemetry {
		return nil
	}
	return p.message.Data
}
