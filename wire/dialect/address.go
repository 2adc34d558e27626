package dialect

import (
	"fmt"
	"maps"
	"slices"

	"devicetwin/device"
)

// maxRemembered bounds a variable of an address, in bytes: the twin of the device keeps it.
const maxRemembered = 256

// addressOf is how the device of a message is reached. It is shared by all messages, unless it has
// variables.
func (m *message) addressOf(s *scope) *device.Address {
	var vars map[string]string
	for _, name := range m.remember {
		value := s.text(name)
		if value == "" || len(value) > maxRemembered {
			continue
		}
		if vars == nil {
			vars = make(map[string]string, len(m.remember))
		}
		vars[name] = value
	}
	if vars == nil {
		return m.from
	}
	from := *m.from
	from.Vars = vars
	return &from
}

// addressMessages gives each message of a dialect that has words for its devices their address.
func (d *Dialect) addressMessages() {
	if len(d.outgoing()) == 0 {
		return
	}
	for _, m := range d.messages() {
		if m.id == nil {
			continue
		}
		m.from = &device.Address{Dialect: d.name, Awake: m.awake}
		if m.id.text != d.id.text {
			m.from.ID = m.id.text
		}
		m.remember = d.needed(m.id)
	}
}

// AddressOf is the address of an entity of which nothing was received, as the dialect would make it: with the
// template by which its id is made, where it is not the dialect's own (""), and with variables. The
// error is that of a template, or of a variable that no words for the entity need.
func (d *Dialect) AddressOf(id device.ID, template string, vars map[string]string) (*device.Address, error) {
	by := d.id
	if template != "" {
		var err error
		if by, err = parseIDTemplate(template); err != nil {
			return nil, fmt.Errorf("id %q: %w", template, err)
		}
	}
	to := &device.Address{Dialect: d.name, Vars: vars}
	if by = by.of(id.Kind()); by.text != d.id.text {
		to.ID = by.text
	}
	needed := d.needed(by)
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !slices.Contains(needed, name) {
			return nil, fmt.Errorf("variable %s: the address of a device %s has none of the name, but %q", name, by.text, needed)
		}
	}
	return to, nil
}

// messages are those of all rules, each once.
func (d *Dialect) messages() (all []*message) {
	for _, r := range d.rules {
		for _, m := range r.messages {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}

// needed are the variables, sorted, that what is sent to devices with an id needs and the id
// does not say.
func (d *Dialect) needed(id *idTemplate) []string {
	names := map[string]bool{}
	known := d.knownOf(id)
	for _, o := range d.outgoing() {
		if o.id == nil || o.id.text != id.text {
			continue
		}
		for _, name := range o.needs(known) {
			names[name] = true
		}
	}
	for _, name := range id.variables() {
		delete(names, name)
	}
	return slices.Sorted(maps.Keys(names))
}

// knownOf are the variables of devices with an id: those of the id, and of the topics and
// messages of such devices.
func (d *Dialect) knownOf(id *idTemplate) (names []string) {
	names = id.variables()
	for _, r := range d.rules {
		for _, m := range r.messages {
			if m.id == nil || m.id.text != id.text {
				continue
			}
			names = append(names, r.topic.names...)
			for _, v := range m.vars {
				names = append(names, v.name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
