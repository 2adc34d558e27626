package ingest

import (
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/wire"
)

// maxRequests is how many requests of one device's shadows may be unanswered, as
// in the protocol: those that were received are unanswered until Temporal has them.
const maxRequests = 10

// request queues a request of a shadow, or turns it away where the workflow must not
// be troubled with it.
func (c *core) request(e *entry, r *wire.Received, now time.Time) {
	id, m := r.ID, r.Message
	c.counts.Messages.Add(1)
	if n := len(m.Twin.Payload); n > c.cfg.MaxRequest {
		c.turnAway(e, id, m, 413, wire.Refuse(wire.ReasonTooLarge, "%d bytes of state, the limit is %d", n, c.cfg.MaxRequest))
		return
	}
	d := c.device(id)
	d.traffic.add(1, len(m.Twin.Payload))
	if c.waitsForAcceptance(e) {
		e.device = d
	}
	c.trace(r)
	of := c.noteMessage(r, history.Refused)
	if d.quarantined {
		c.turnAway(e, id, m, 500, c.overQuota(d, 1, e.lane.stream.absent, now))
		return
	}
	if c.reportsAgain(d, e.lane.stream.continuity, &m) {
		c.decided(of, history.Repeated)
		c.admit(d, m, decision{settled: true, of: of}, e, now)
		return
	}
	if refused := c.tooMany(d, m, e.lane.stream.absent, now); refused != nil {
		c.turnAway(e, id, m, 429, refused)
		if m.Alive() {
			c.renewRefused(d, e, now)
		}
		return
	}
	c.counts.Relevant.Add(1)
	if asks(m) {
		d.requests++
	}
	c.decided(of, history.Delivered)
	c.admitRequest(d, &m, of, e, now)
}

// admitRequest queues a request that the workflow is given.
func (c *core) admitRequest(d *deviceState, m *device.Message, of int, e *entry, now time.Time) {
	if !reads(*m) {
		d.filter.joined()
	}
	d.noteGiven(e.lane.stream.continuity, m)
	c.admit(d, *m, decision{deliver: true, of: of}, e, now)
}

// tooMany reports why a request is one too many, or nil. What a device says of its state in a
// dialect of its own may wait like any other message: nobody would ask again.
func (c *core) tooMany(d *deviceState, m device.Message, absent time.Duration, now time.Time) *wire.Refused {
	if asks(m) && d.requests >= maxRequests {
		return wire.Refuse(ReasonQuota, "%d requests of the device are unanswered", d.requests)
	}
	return c.overQuota(d, 1, absent, now)
}

// turnAway answers a request that the workflow does not get. Of what nobody would be answered
// it makes a dead letter, as of any other message.
func (c *core) turnAway(e *entry, id device.ID, m device.Message, code int, why *wire.Refused) {
	if asks(m) {
		c.rejectRequest(e, id, m, code)
		return
	}
	c.refuse(e, why)
	c.reportRefused(c.device(id), m.Topic(), e.Payload, e.At, why)
}

// asks reports that a message is a request, which is answered.
func asks(m device.Message) bool {
	return m.Channel == device.ChannelTwin && m.Twin.Reply != ""
}

// asks reports that an item is a request, which is answered.
func (it *item) asks() bool { return it.message != nil && asks(*it.message) }

// rejectRequest answers a request without the workflow.
func (c *core) rejectRequest(e *entry, id device.ID, m device.Message, code int) {
	c.counts.Rejected.Add(1)
	if e != nil {
		e.open++
	}
	c.out.rejections = append(c.out.rejections, outgoing[Rejection]{Rejection{id, m, code, m.Time}, e})
}

// noTwin refuses what is for a device that has no workflow: a request for its
// shadow, or a message while there is no model to start a workflow with.
func (c *core) noTwin(d *deviceState, it item) {
	if it.asks() {
		c.rejectRequest(it.entry, d.id, *it.message, 404)
		return
	}
	if isReport(it.message) { // nobody is there to see it
		c.counts.FaultReportsDropped.Add(1)
		return
	}
	if it.passive {
		d.renewed = time.Time{} // there was nothing to be renewed
		return
	}
	c.refuseItem(it, wire.Refuse(ReasonRefused, "no model for this device: no rule matches its id, and it has not named one"))
}

// passive reports that a batch is nothing but what no workflow has to be started
// for.
func (b *backlog) passive() bool {
	for _, it := range b.batch {
		if !it.passive {
			return false
		}
	}
	return len(b.batch) > 0
}

// reads reports that a message is a request that no workflow has to be started for:
// there is nothing to get, or to delete, where none is.
func reads(m device.Message) bool {
	return m.Channel == device.ChannelTwin && m.Name != device.MethodUpdate
}

// requestsIn counts the requests among items.
func requestsIn(items []item) (n int16) {
	for i := range items {
		if items[i].asks() {
			n++
		}
	}
	return n
}
