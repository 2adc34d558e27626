package bridge

import (
	"encoding/json"
	"errors"
	"time"

	"devicetwin/device"
	"devicetwin/twin"
)

// maxRequests is how many requests of one device's shadows may be unanswered, as
// in the protocol: those of the bridge are unanswered until Temporal has them.
const maxRequests = 10

const twinShapes = "expected a request of the shadow protocol or an answer to one, and names of [a-zA-Z0-9:_-]"

// twinRequest is one request as its topic tells it.
type twinRequest struct {
	id, shadow string
	method     string // get, update, delete
	base       string // the topic without the method
}

// interpretTwin takes a delivery whose topic belongs to a scheme, and reports
// false for any other.
func (c *core) interpretTwin(e *entry, now time.Time) bool {
	for _, scheme := range c.schemes {
		id, ok := scheme.ID(e.Topic)
		if !ok {
			continue
		}
		if !c.cfg.Partition.owns(id) {
			c.counts.foreign.Add(1)
			return true
		}
		id, shadow, rest, ok := scheme.Parse(e.Topic)
		switch {
		case !ok:
			c.refuse(e, refuse(ReasonBadTopic, twinShapes))
		case !twin.IsRequest(rest): // an answer, which a filter with # brings back
			c.counts.ignored.Add(1)
		default:
			c.request(e, twinRequest{id: id, shadow: shadow, method: rest, base: scheme.Base(id, shadow)}, now)
		}
		return true
	}
	return false
}

// request queues a request of a shadow, or answers it at once where the workflow
// must not be troubled with it.
func (c *core) request(e *entry, r twinRequest, now time.Time) {
	c.counts.messages.Add(1)
	limits := twin.DefaultLimits()
	if len(e.Payload) > limits.Request {
		_, _, rejection := twin.Update(twin.Document{}, e.Payload, now, limits)
		c.reject(e, r.base+"/"+r.method, rejection)
		return
	}
	d := c.device(r.id)
	e.device = d
	m := device.Message{
		Channel: device.ChannelTwin, Name: r.method, Time: e.At, Redelivered: e.Dup,
		Digest: digest(address{channel: device.ChannelTwin, name: r.base + "/" + r.method}, e.Payload, 0),
		Twin: &device.TwinRequest{
			Shadow: r.shadow, Reply: r.base, Payload: e.Payload, Reports: r.method == "update" && reports(e.Payload),
		},
	}
	c.trace(r.id, m)
	if rejection := c.tooMany(d, e.Payload, now); rejection != nil {
		c.reject(e, r.base+"/"+r.method, rejection)
		return
	}
	c.counts.relevant.Add(1)
	d.requests++
	c.admit(d, &decoded{message: m, signal: true}, e, now)
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

// reports tells whether an update has reported properties. What is no JSON has
// none; the workflow says so.
func reports(payload []byte) bool {
	var update struct {
		State struct {
			Reported map[string]json.RawMessage `json:"reported"`
		} `json:"state"`
	}
	return json.Unmarshal(payload, &update) == nil && update.State.Reported != nil
}

// reject answers a request without the workflow.
func (c *core) reject(e *entry, request string, rejection *twin.Rejection) {
	c.counts.rejected.Add(1)
	if c.out.answer(request+"/rejected", rejection.Payload(e.At), e) {
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
	c.reject(it.entry, r.Reply+"/"+it.message.Name, twin.NoShadow(name, twin.ClientToken(r.Payload, twin.DefaultLimits())))
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
