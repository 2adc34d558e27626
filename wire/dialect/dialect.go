package dialect

import (
	"slices"

	"devicetwin/device"
	"devicetwin/source"
	"devicetwin/wire"
	"devicetwin/wire/format"
)

// Dialect is what a file says of how devices speak. It cannot be changed, and may be used
// from any goroutine.
type Dialect struct {
	name        string
	description string
	filters     []string
	rules       []*rule     // the most exact template first
	id          *idTemplate // of devices, where a message says nothing else

	commands  []*command
	desired   []*desired
	questions []*question // to a device, after its birth
	openings  []*question // to all
	discovery *discovered // nil: nothing is learned from discovery messages

	// What follows is that of a configuration.
	limits limits
	clock  wire.Clock
	lazy   bool
	mine   func(name string) bool // nil: all are

	checkID func(device.ID) error // nil: all are fine
}

// limits are those of one payload; see wire.Config.
type limits struct{ payload, depth, objects int }

// check refuses a payload that is too large; nil: it is not.
func (l *limits) check(payload []byte) *wire.Refused {
	if len(payload) > l.payload {
		return wire.Refuse(wire.ReasonTooLarge, "%d bytes, the limit is %d", len(payload), l.payload)
	}
	return nil
}

// Kinds are those of the entities whose messages it reads, sorted; devices are among them only
// if there are some.
func (d *Dialect) Kinds() (all []device.Kind) {
	for _, m := range d.messages() {
		if m.id != nil {
			all = append(all, m.id.kind)
		}
	}
	if d.discovery != nil {
		all = append(all, device.KindDevice)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Name is what the file calls it.
func (d *Dialect) Name() string { return d.name }

// Description is a line for people; it may be empty.
func (d *Dialect) Description() string { return d.description }

// Filters are the topic filters that bring in everything that the dialect reads.
func (d *Dialect) Filters() []string { return slices.Clone(d.filters) }

// configured is the dialect under a configuration.
func (d *Dialect) configured(c wire.Config) *Dialect {
	configured := *d
	configured.limits = limits{c.MaxPayload, c.MaxDepth, c.MaxObjects}
	configured.clock = wire.Clock{MaxAhead: c.MaxClockAhead, MaxBehind: c.MaxClockBehind}
	configured.lazy, configured.mine, configured.checkID = c.Lazy, c.Mine, c.CheckID
	return &configured
}

// rule says which messages are made of what is published on the topics of a template.
type rule struct {
	at       source.Node // of the template
	topic    *template
	payload  *format.Format
	plain    bool // the payload is JSON as it is, and an object may be the data of a message
	messages []*message

	// id is that of the first message whose device the topic says; nil: there is none.
	id *idTemplate
	// oneDevice: all messages are of that device.
	oneDevice bool
	// read are the members of a payload that formulas read which read nothing else of it, each
	// with a place of its own.
	read map[string]int
	// ofOthers: what is published may be a last will, by which the broker speaks, or relayed.
	ofOthers bool
}

// prepare notes what is known of a rule before there is a message.
func (r *rule) prepare() {
	r.oneDevice, r.read = len(r.messages) > 0, map[string]int{}
	for _, m := range r.messages {
		for _, f := range m.formulas() {
			for _, name := range f.members {
				if _, known := r.read[name]; !known {
					r.read[name] = len(r.read)
				}
			}
		}
		r.ofOthers = r.ofOthers || m.channel == device.ChannelStatus || m.relayed
		if len(m.vars) > 0 || m.each != nil {
			r.oneDevice = false
			continue
		}
		if r.id == nil {
			r.id = m.id
		}
		r.oneDevice = r.oneDevice && m.id == r.id
	}
}

// ignored reports whether what is published there is passed over.
func (r *rule) ignored() bool { return len(r.messages) == 0 }

// reports reports whether it is something of the state of devices.
func (r *rule) reports() bool {
	return slices.ContainsFunc(r.messages, func(m *message) bool { return m.channel == device.ChannelTwin })
}
