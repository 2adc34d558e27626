package simulator

import (
	"slices"
	"time"
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
func (d *player) take(c Command, now time.Time) {
	count := &d.fleet.count
	if d.heardBefore(c.ID) {
		count.commandsRepeated.Add(1)
		return
	}
	count.commands.Add(1)
	if c.Name != d.fleet.options.Scenario.Expect.Command {
		d.outbox = append(d.outbox, draftsOf(d.voice.Answer(c, "succeeded", ""))...)
		return
	}
	d.mutex.Lock()
	d.note(fact{kind: factCommand, at: c.Received, id: c.ID, issued: c.Issued})
	d.mutex.Unlock()
	if !d.pending.IsZero() {
		d.fleet.live.observe(c.Received.Sub(d.pending))
		d.pending = time.Time{}
	}
	d.answer(c, now)
}

// heardBefore reports whether a command with this id came before, and remembers it.
// Without an id, a device cannot know.
func (d *player) heardBefore(id string) bool {
	switch {
	case id == "":
		return false
	case slices.Contains(d.ids, id):
		return true
	case len(d.ids) == maxIDs:
		d.ids = slices.Delete(d.ids, 0, 1)
	}
	d.ids = append(d.ids, id)
	return false
}

// answer answers as the plan says.
func (d *player) answer(c Command, now time.Time) {
	answer, delay := d.answers.next()
	switch answer.Kind {
	case Obey, ObeyLate:
		login := d.credentials
		credential := c.ID
		if given := c.Credentials; given.ID != "" {
			credential = given.ID
			login = credentials{given.Username, given.Password}
		}
		back := draft{kind: draftReconnect, id: c.ID, credential: credential, credentials: login}
		d.delay(now.Add(delay), append(draftsOf(d.voice.Answer(c, "accepted", "")), back)...)
	case Refuse:
		refusal := draftsOf(d.voice.Answer(c, "rejected", answer.Reason))
		refusal[0].marks, refusal[0].id = factRefusal, c.ID
		d.outbox = append(d.outbox, refusal...)
	}
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
