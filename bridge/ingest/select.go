package ingest

import (
	"devicetwin/device"
	"devicetwin/wire"
)

// Most messages are left out. To decide that, only the members that the device's
// models look at are decoded; all of a message is decoded when it is delivered, or
// when a fault of it is explained.

// members are those of a message that models look at.
type members struct {
	names map[string]bool
	all   bool
}

// membersOf are those that any of the models looks at. Without a model, everything
// is delivered.
func membersOf(models []Model) members {
	r := members{names: map[string]bool{}, all: len(models) == 0}
	for _, m := range models {
		names, all := m.Reads()
		r.all = r.all || all
		for _, name := range names {
			r.names[name] = true
		}
	}
	return r
}

// decideOn decides about a message that was received.
func (c *core) decideOn(d *deviceState, s *filterState, continuity uint32, r *wire.Received) decision {
	m := r.Message
	if !d.models.members.all && r.Select(d.models.members.names, c.selected) {
		m.Data = c.selected
		defer clear(c.selected)
	} else {
		r.Complete()
		m = r.Message
	}
	return c.decide(d, s, continuity, m)
}

// completed is a message as far as it is needed after the decision about it.
func (c *core) completed(d *deviceState, r *wire.Received, next decision) device.Message {
	switch {
	case next.deliver || next.tooLate || c.explains(d, &r.Message, next): // one that is too late may be held
		r.Complete()
	case next.settled:
		r.Identify()
	}
	return r.Message
}
