package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"devicetwin/device"
)

// KeptEnded is how many ended commands a queue remembers.
const KeptEnded = 100

// Queue is the commands of one device. The zero Queue is empty. It belongs to
// one goroutine.
type Queue struct {
	// Flight is the command that was sent and has not ended.
	Flight *Command `json:"flight,omitempty"`
	// Waiting are those to be sent, oldest first.
	Waiting []Command `json:"waiting,omitempty"`
	// Ended are the newest that ended, in the order of their ends.
	Ended []Command `json:"ended,omitempty"`
}

// Add appends a command. With replace, those of its name that wait are superseded.
// If a command with the same key is known, Add returns that one and changes
// nothing. Refusals: 400 a command that is not valid, 413 too much data, 422 a key of
// another command, 429 a full queue.
func (q *Queue) Add(c Command, replace bool, l Limits) (added Command, superseded []Command, refused *device.Refused) {
	if known, ok := q.byKey(c.Key); ok {
		if known.Name != c.Name || known.Print != c.Print && known.Print != "" && c.Print != "" {
			return Command{}, nil, device.Refuse(422, "idempotency key %q belongs to another command, %s (%s)", c.Key, known.Name, known.ID)
		}
		return known, nil, nil
	}
	c.Status = Waiting
	if refused := c.check(l); refused != nil {
		return Command{}, nil, refused
	}
	if c.MaxDeliveries == 0 {
		c.MaxDeliveries = l.Deliveries
	}
	keep := slices.Clone(q.Waiting)
	if replace {
		keep = slices.DeleteFunc(keep, func(w Command) bool { return w.Name == c.Name })
	}
	count, bytes := len(keep), c.size()
	if q.Flight != nil {
		count, bytes = count+1, bytes+q.Flight.size()
	}
	for _, w := range keep {
		bytes += w.size()
	}
	switch {
	case count >= l.Waiting:
		return Command{}, nil, device.Refuse(429, "%d commands are already waiting", count)
	case bytes > l.Bytes:
		return Command{}, nil, device.Refuse(429, "the waiting commands would have %d bytes; the limit is %d", bytes, l.Bytes)
	}
	if replace {
		for _, w := range q.Waiting {
			if w.Name == c.Name {
				superseded = append(superseded, q.end(w, Superseded, nil, "by "+c.ID, c.Created))
			}
		}
	}
	q.Waiting = append(keep, c)
	return c, superseded, nil
}

func (q *Queue) byKey(key string) (Command, bool) {
	if key == "" {
		return Command{}, false
	}
	return q.FindFunc(func(c Command) bool { return c.Key == key })
}

// Find returns a command by its id.
func (q *Queue) Find(id string) (Command, bool) {
	return q.FindFunc(func(c Command) bool { return c.ID == id })
}

// FindFunc returns the first command that is meant: of the one under way, those that wait,
// oldest first, and those that ended.
func (q *Queue) FindFunc(is func(Command) bool) (Command, bool) {
	if q.Flight != nil && is(*q.Flight) {
		return *q.Flight, true
	}
	for _, list := range [][]Command{q.Waiting, q.Ended} {
		if i := slices.IndexFunc(list, is); i >= 0 {
			return list[i], true
		}
	}
	return Command{}, false
}

// Next returns the command to send now: the oldest that waits, if none is under
// way. It counts as sent. Call it only while the device is online.
func (q *Queue) Next(now time.Time) (Command, bool) {
	if q.Flight != nil || len(q.Waiting) == 0 {
		return Command{}, false
	}
	c := q.Waiting[0]
	q.Waiting[0] = Command{} // or its data would stay
	q.Waiting = q.Waiting[1:]
	c.Status, c.Sent, c.Deliveries = Sent, now, 1
	q.Flight = &c
	return c, true
}

// Again returns the command under way once more, unless the device has
// acknowledged it. It counts as sent again; Exhaust keeps to how often it may be.
func (q *Queue) Again() (Command, bool) {
	if q.Flight == nil || q.Flight.Status != Sent {
		return Command{}, false
	}
	q.Flight.Deliveries++
	return *q.Flight, true
}

// Await notes what the device's reported state shows when the command under way has
// succeeded; nil is that nothing does. Of any other command it changes nothing.
func (q *Queue) Await(id string, shows json.RawMessage) {
	if q.Flight != nil && q.Flight.ID == id {
		q.Flight.Shows = shows
	}
}

// Exhaust ends the command under way if it would now be sent again, and has been sent
// as often as it may be. Call it before Again.
func (q *Queue) Exhaust(now time.Time, l Limits) (Command, bool) {
	f := q.Flight
	if f == nil || f.Status != Sent {
		return Command{}, false
	}
	if f.MaxDeliveries == 0 { // it was added when there was no limit
		f.MaxDeliveries = l.Deliveries
	}
	if f.MaxDeliveries == 0 || f.Deliveries < f.MaxDeliveries {
		return Command{}, false
	}
	ended := q.end(*f, Exhausted, nil, fmt.Sprintf("sent %d times without an answer", f.Deliveries), now)
	q.Flight = nil
	return ended, true
}

// Acknowledge records the device's acknowledgement of the command under way. One
// of any other command, or with a status that is the service's to set, changes
// nothing.
func (q *Queue) Acknowledge(id string, s Status, result json.RawMessage, reason string, now time.Time) (c Command, changed bool) {
	if q.Flight == nil || q.Flight.ID != id || !s.FromDevice() {
		return Command{}, false
	}
	if s == Accepted {
		changed = q.Flight.Status != Accepted
		q.Flight.Status = Accepted
		return *q.Flight, changed
	}
	ended := q.end(*q.Flight, s, result, reason, now)
	q.Flight = nil
	return ended, true
}

// AcknowledgeLate records the device's acknowledgement of a command that has ended,
// which stays as it ended. One that only repeats what the device had said before
// changes nothing.
func (q *Queue) AcknowledgeLate(id string, s Status, reason string, now time.Time) (c Command, changed bool) {
	i := slices.IndexFunc(q.Ended, func(c Command) bool { return c.ID == id })
	if i < 0 || !s.FromDevice() {
		return Command{}, false
	}
	if c := q.Ended[i]; c.Status.FromDevice() && (s == c.Status || s == Accepted) {
		return c, false
	}
	q.Ended[i].Late = &Late{Status: s, At: now, Reason: clip(reason, maxReason)}
	return q.Ended[i], true
}

// Cancel ends a command that waits or is under way. The device does not learn of
// it, and may still carry out what it was sent. Refusals: 404 an unknown command,
// 409 one that has ended.
func (q *Queue) Cancel(id, reason string, now time.Time) (Command, *device.Refused) {
	if q.Flight != nil && q.Flight.ID == id {
		ended := q.end(*q.Flight, Cancelled, nil, reason, now)
		q.Flight = nil
		return ended, nil
	}
	if i := slices.IndexFunc(q.Waiting, func(c Command) bool { return c.ID == id }); i >= 0 {
		ended := q.end(q.Waiting[i], Cancelled, nil, reason, now)
		q.Waiting = slices.Delete(q.Waiting, i, i+1)
		return ended, nil
	}
	if c, ok := q.Find(id); ok {
		return c, device.Refuse(409, "command %s has already ended: %s", clip(id, maxKey), c.Status)
	}
	return Command{}, device.Refuse(404, "unknown command %s", clip(id, maxKey))
}

// Expire ends the commands whose time to live is over: the one under way first, then
// those that wait, in their order.
func (q *Queue) Expire(now time.Time) []Command {
	var ended []Command
	if q.Flight != nil && !now.Before(q.Flight.Expires) {
		reason := "no answer in time"
		if q.Flight.Status == Accepted {
			reason = "accepted, and not done in time"
		}
		ended = append(ended, q.end(*q.Flight, Expired, nil, reason, now))
		q.Flight = nil
	}
	q.Waiting = slices.DeleteFunc(q.Waiting, func(c Command) bool {
		over := !now.Before(c.Expires)
		if over {
			ended = append(ended, q.end(c, Expired, nil, "not sent in time", now))
		}
		return over
	})
	return ended
}

// Deadline is when the next command expires.
func (q *Queue) Deadline() (at time.Time, ok bool) {
	if q.Flight != nil {
		at, ok = q.Flight.Expires, true
	}
	for _, c := range q.Waiting {
		if !ok || c.Expires.Before(at) {
			at, ok = c.Expires, true
		}
	}
	return at, ok
}

// end remembers how a command ended.
func (q *Queue) end(c Command, s Status, result json.RawMessage, reason string, now time.Time) Command {
	c.Status, c.Ended = s, now
	c.Data, c.Shows, c.Result, c.Reason = nil, nil, clipJSON(result), clip(reason, maxReason)
	q.Ended = append(q.Ended, c)
	if extra := len(q.Ended) - KeptEnded; extra > 0 {
		q.Ended = slices.Delete(q.Ended, 0, extra)
	}
	return c
}
