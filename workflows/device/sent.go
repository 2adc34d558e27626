package device

import (
	"maps"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/twin/command"
)

// Ends of commands to devices of other dialects. Such a command ends when it is sent, because
// nobody answers; when the reported state shows it; or by an answer, which may have no id.

// untimed is a command without a time to live, which is in no queue.
type untimed struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	At   time.Time `json:"at"` // when it was sent
}

const (
	keptUntimed = 8
	// answerWithin is how long an answer without an id is taken for that of such a command.
	answerWithin = time.Minute
)

// noteDepth keeps how many events a command of the model follows from, for the event of its
// end: a model that answers the end of a command with the next would go on without one.
func (d *run) noteDepth(id string) {
	if d.depth == 0 || !d.follows(rulesDialects) {
		return
	}
	if d.depths == nil {
		d.depths = map[string]int{}
	}
	d.depths[id] = d.depth
}

// forgetDepths drops those of commands without a time to live that have been sent: what is
// to be known of their ends is known.
func (d *run) forgetDepths(messages []Outgoing) {
	for _, m := range messages {
		if m.Command != "" && m.TTL == 0 {
			delete(d.depths, m.ID)
		}
	}
}

// takeSent takes over what is known of the ends of the commands that were sent.
func (d *run) takeSent(now time.Time, messages []Outgoing, sent []SentCommand) {
	if d.deleted {
		return
	}
	for _, m := range messages {
		if m.Command == "" {
			continue
		}
		s := SentCommand{}
		if i := slices.IndexFunc(sent, func(s SentCommand) bool { return s.ID == m.ID }); i >= 0 {
			s = sent[i]
		}
		switch {
		case s.Failed != "":
			d.conclude(m, command.Failed, s.Failed, now)
		case s.Done:
			d.conclude(m, command.Succeeded, "", now)
		case m.TTL > 0:
			d.state.Commands.Await(m.ID, s.Shows)
			d.shown(now)
		default:
			d.awaitAnswer(untimed{m.ID, m.Command, now})
		}
	}
	if len(d.raised) > 0 || d.state.Commands.Flight == nil && len(d.state.Commands.Waiting) > 0 {
		d.again = true
	}
	d.stepRaised(now)
}

// conclude ends a command that is not to be answered.
func (d *run) conclude(m Outgoing, s command.Status, reason string, now time.Time) {
	ended := command.Command{ID: m.ID, Name: m.Command, Status: s, Reason: reason, Ended: now}
	if m.TTL > 0 {
		var ok bool
		if !d.connected() && s == command.Succeeded {
			ended, ok = d.state.Commands.EndWithData(m.ID, now)
		} else {
			ended, ok = d.state.Commands.Acknowledge(m.ID, s, nil, reason, now)
		}
		if !ok {
			return
		}
	}
	d.hasEnded(ended)
}

// hasEnded raises the end of a command, as of a cause of its own.
func (d *run) hasEnded(c command.Command) {
	cause, depth := d.cause, d.depth
	d.setCause(Cause{Kind: CauseCommand, Name: c.Name, ID: c.ID})
	d.depth = d.depths[c.ID]
	d.commandsEnded([]command.Command{c})
	d.cause, d.depth = cause, depth
}

// shown ends the command under way if the reported state shows it.
func (d *run) shown(now time.Time) {
	f := d.state.Commands.Flight
	if f == nil || len(f.Shows) == 0 || !d.document("", now).Shows(f.Shows) {
		return
	}
	if ended, ok := d.state.Commands.Acknowledge(f.ID, command.Succeeded, nil, "", now); ok {
		d.hasEnded(ended)
	}
}

func (d *run) awaitAnswer(u untimed) {
	d.state.Untimed = append(slices.Clone(d.state.Untimed), u)
	d.state.Untimed = d.state.Untimed[max(0, len(d.state.Untimed)-keptUntimed):]
}

// ofCommand gives an answer in a dialect the id and the name of the command that it is of. It
// is false of an answer without an id to nothing that is under way: devices say what they did
// also where others asked for it, or somebody pressed a button.
func (d *run) ofCommand(m device.Message) (device.Message, bool) {
	if m.Channel != device.ChannelAck || m.From == nil || !d.follows(rulesDialects) {
		return m, true
	}
	id, isText := m.Data["id"].(string)
	if _, has := m.Data["id"]; has && (!isText || id != "") {
		if known, ok := d.byUUID(id); ok {
			m = answerOf(m, known, m.Name)
		}
		return m, true
	}
	status, _ := d.ackStatus(m)
	c, ok := d.answered(m.Name, m.Time, status != command.Accepted)
	if !ok {
		return m, false
	}
	m = answerOf(m, c.ID, c.Name)
	d.causedBy(m)
	return m, true
}

func answerOf(m device.Message, id, name string) device.Message {
	data := maps.Clone(m.Data)
	if data == nil {
		data = map[string]any{}
	}
	data["id"] = id
	m.Data, m.Name = data, name
	return m
}

// answered is the command under way if it may have this name, which "" always is; else the
// reprovisioning, or the oldest command without a time to live. Of that one, the last answer
// is the only one.
func (d *run) answered(name string, at time.Time, last bool) (untimed, bool) {
	is := func(of string) bool { return name == "" || strings.EqualFold(name, of) }
	if f := d.state.Commands.Flight; f != nil && is(f.Name) {
		return untimed{ID: f.ID, Name: f.Name}, true
	}
	if r := d.state.Recovery; r != nil && !r.Failed && strings.EqualFold(name, ActivityReprovision) {
		return untimed{ID: r.Command, Name: ActivityReprovision}, true
	}
	i := slices.IndexFunc(d.state.Untimed, func(u untimed) bool { return is(u.Name) && at.Sub(u.At) <= answerWithin })
	if i < 0 {
		return untimed{}, false
	}
	u := d.state.Untimed[i]
	if last {
		d.state.Untimed = slices.Delete(slices.Clone(d.state.Untimed), i, i+1)
	}
	return u, true
}

// byUUID is the id of the command that was sent with a UUID.
func (d *run) byUUID(uuid string) (id string, ok bool) {
	if len(uuid) != len(device.CommandUUID("")) {
		return "", false
	}
	uuid = strings.ToLower(uuid)
	is := func(id string) bool { return device.CommandUUID(id) == uuid }
	if c, found := d.state.Commands.FindFunc(func(c command.Command) bool { return is(c.ID) }); found {
		return c.ID, true
	}
	if r := d.state.Recovery; r != nil && is(r.Command) {
		return r.Command, true
	}
	for _, u := range d.state.Untimed {
		if is(u.ID) {
			return u.ID, true
		}
	}
	return "", false
}
