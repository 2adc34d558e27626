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

// request queues a request of a shadow, or rejects it where the workflow must not
// be troubled with it.
func (c *core) request(e *entry, r *wire.Received, now time.Time) {
	id, m := r.ID, r.Message
	c.counts.Messages.Add(1)
	if len(m.Twin.Payload) > c.cfg.MaxRequest {
		c.rejectRequest(e, id, m, 413)
		return
	}
	d := c.device(id)
	d.traffic.add(1, len(m.Twin.Payload))
	if c.waitsForAcceptance() {
		e.device = d
	}
	c.trace(r)
	of := c.noteMessage(r, history.Refused)
	switch {
	case d.quarantined:
		c.rejectRequest(e, id, m, 500)
	case d.requests >= maxRequests, c.overQuota(d, 1, e.lane.stream.absent, now) != nil:
		c.rejectRequest(e, id, m, 429)
		if m.Alive() {
			c.renewRefused(d, e, now)
		}
	default:
		c.counts.Relevant.Add(1)
		d.requests++
		if !reads(m) {
			d.filter.joined()
		}
		c.decided(of, history.Delivered)
		c.admit(d, m, decision{deliver: true, of: of}, e, now)
	}
}

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
	if it.channel() == device.ChannelTwin {
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
func requestsIn(items []item) (n int) {
	for _, it := range items {
		if it.channel() == device.ChannelTwin {
			n++
		}
	}
	return n
}
