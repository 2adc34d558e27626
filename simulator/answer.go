package simulator

import (
	"slices"
	"time"

	"devicetwin/device"
)

// read processes the inbox, and requests of the fleet.
func (d *player) read(now time.Time) {
	d.inboxMutex.Lock()
	commands := d.inbox
	d.inbox = nil
	d.inboxMutex.Unlock()
	for _, c := range commands {
		d.take(c, now)
	}
	d.mutex.Lock()
	part := d.part
	d.mutex.Unlock()
	if part && !d.parted {
		d.parted = true
		goodbye := d.birth("offline", "")
		goodbye.kind, goodbye.aside = draftMessage, true
		d.outbox = append(d.outbox, goodbye)
	}
}

// take handles one command. Brokers deliver at least once, so a known id
// is the same command again.
func (d *player) take(c command, now time.Time) {
	count := &d.fleet.count
	if slices.Contains(d.ids, c.id) {
		count.commandsRepeated.Add(1)
		return
	}
	if len(d.ids) == maxIDs {
		d.ids = slices.Delete(d.ids, 0, 1)
	}
	d.ids = append(d.ids, c.id)
	count.commands.Add(1)
	if c.name != d.fleet.options.Scenario.Expect.Command {
		d.outbox = append(d.outbox, acknowledgement(c, "succeeded", ""))
		return
	}
	d.mutex.Lock()
	d.note(fact{kind: factCommand, at: c.received, id: c.id, issued: c.issued})
	d.mutex.Unlock()
	if !d.pending.IsZero() {
		d.fleet.live.observe(c.received.Sub(d.pending))
		d.pending = time.Time{}
	}
	d.answer(c, now)
}

// answer answers as the plan says.
func (d *player) answer(c command, now time.Time) {
	answer, delay := d.answers.next()
	switch answer.Kind {
	case Obey, ObeyLate:
		login := d.credentials
		credential := c.id
		if given := c.credentials; given.ID != "" {
			credential = given.ID
			login = credentials{given.Username, given.Password}
		}
		d.delay(now.Add(delay),
			acknowledgement(c, "accepted", ""),
			draft{kind: draftReconnect, id: c.id, credential: credential, credentials: login})
	case Refuse:
		refusal := acknowledgement(c, "rejected", answer.Reason)
		refusal.marks, refusal.id = factRefusal, c.id
		d.outbox = append(d.outbox, refusal)
	}
}

func acknowledgement(c command, status, reason string) draft {
	data := map[string]any{"id": c.id, "status": status}
	if reason != "" {
		data["reason"] = reason
	}
	return draft{kind: draftMessage, channel: device.ChannelAck, name: c.name, data: data}
}

// summarize records for the fleet whether the device has come to rest.
func (d *player) summarize() {
	d.inboxMutex.Lock()
	waiting := len(d.inbox)
	d.inboxMutex.Unlock()
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.busy = d.planned || waiting > 0 || len(d.outbox) > 0 || len(d.inflight) > 0 || len(d.later) > 0 || d.part != d.parted
}
