package bridge

import (
	"errors"
	"time"

	"devicetwin/device"
	"devicetwin/twin"
	"devicetwin/wire"
)

// maxRequests is how many requests of one device's shadows may be unanswered, as
// in the protocol: those of the bridge are unanswered until Temporal has them.
const maxRequests = 10

// request queues a request of a shadow, or answers it at once where the workflow
// must not be troubled with it.
func (c *core) request(e *entry, r wire.Received, now time.Time) {
	c.counts.messages.Add(1)
	limits := twin.DefaultLimits()
	if len(e.Payload) > limits.Request {
		_, _, rejection := twin.Update(twin.Document{}, e.Payload, now, limits)
		c.reject(e, r.Message, rejection)
		return
	}
	d := c.device(string(r.ID))
	e.device = d
	c.trace(d.id, r.Message)
	if rejection := c.tooMany(d, e.Payload, now); rejection != nil {
		c.reject(e, r.Message, rejection)
		return
	}
	c.counts.relevant.Add(1)
	d.requests++
	c.admit(d, &judged{message: r.Message, signal: true}, e, now)
}

// tooMany refuses a request of a device that has too many unanswered ones, is
// beyond its quota, or takes no signals.
func (c *core) tooMany(d *deviceState, payload []byte, now time.Time) *twin.Rejection {
	switch {
	case d.stuck:
		return twin.Reject(500, twin.ClientToken(payload, twin.DefaultLimits()))
	case d.requests >= maxRequests, c.overQuota(d, 1, now) != nil:
		return twin.Reject(429, twin.ClientToken(payload, twin.DefaultLimits()))
	}
	return nil
}

// reject answers a request without the workflow.
func (c *core) reject(e *entry, request device.Message, rejection *twin.Rejection) {
	c.counts.rejected.Add(1)
	if c.out.answer(wire.ReplyTopic(request, "rejected"), rejection.Payload(e.At), e) {
		e.open++
	}
}

// onlyAsks reports that a batch is nothing but requests that no workflow has to
// be started for: there is nothing to get, or to delete, where none is.
func (w *backlog) onlyAsks() bool {
	for _, it := range w.batch {
		if it.message.Channel != device.ChannelTwin || it.message.Name == "update" {
			return false
		}
	}
	return len(w.batch) > 0
}

// unknown answers such a request to a device that has no workflow.
func (c *core) unknown(it item) {
	r := it.message.Twin
	name := r.Shadow
	if name == "" {
		name = it.entry.device.id
	}
	c.reject(it.entry, it.message, twin.NoShadow(name, twin.ClientToken(r.Payload, twin.DefaultLimits())))
}

// answered takes the requests among items off the device's count.
func (d *deviceState) answered(items []item) {
	for _, it := range items {
		if it.message.Channel == device.ChannelTwin {
			d.requests--
		}
	}
}

// notFound reports whether a device has no workflow, as the signaller says.
func notFound(err error) bool {
	var n interface{ NotFound() bool }
	return errors.As(err, &n) && n.NotFound()
}
