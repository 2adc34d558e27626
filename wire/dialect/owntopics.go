package dialect

import (
	"slices"
	"strings"

	"devicetwin/device"
)

// DeviceTopics are filters of the topics of one device, in which {id} stands for its name:
// of those that it publishes on, and of those that it may read: all below its name, and what
// is sent to all.
//
// Topics are left out that do not have the name of the device as it is: because its id has more
// than one variable, or one that is computed; and those of which the first level has a
// variable, because a device with the right name would share the topics of others.
func (d *Dialect) DeviceTopics() (published, read []string) {
	for _, r := range d.rules {
		for _, name := range r.names(d.id) {
			if filter, below := r.topic.own(name); filter != "" {
				published, read = append(published, filter), append(read, below)
			}
		}
	}
	for _, o := range d.outgoing() {
		if o.id == nil && o.topic.fixed() {
			read = append(read, o.topic.filter())
		} else if name := o.id.only(); !computed(o.vars, name) {
			if _, below := o.topic.own(name); below != "" {
				read = append(read, below)
			}
		}
	}
	slices.Sort(published)
	slices.Sort(read)
	return slices.Compact(published), slices.Compact(read)
}

// names are the variables in the topic of a rule that are whole names of devices which publish
// there. Of what is ignored, it is that of other messages.
func (r *rule) names(usual *idTemplate) (names []string) {
	if r.ignored() {
		return []string{usual.only()}
	}
	for _, m := range r.messages {
		if name := m.id.only(); !m.relayed && !computed(m.vars, name) {
			names = append(names, name)
		}
	}
	return names
}

// only is the variable that is all of the name of a device; "" if there is none.
func (t *idTemplate) only() string {
	if t == nil || t.kind != device.KindDevice || len(t.parts) != 1 {
		return ""
	}
	return t.parts[0].variable
}

func computed(vars []variable, name string) bool {
	return slices.ContainsFunc(vars, func(v variable) bool { return v.name == name })
}

// own is the filter of the topics of a template in which a variable is {id}, and of all below
// that; both are "" if it has no level with the variable that others do not share.
func (t *template) own(name string) (filter, below string) {
	if name == "" || !t.fixed() {
		return "", ""
	}
	var levels []string
	for _, l := range t.levels {
		if l.kind == levelRest || l.kind == levelMany {
			levels = append(levels, "#")
			break
		}
		switch {
		case l.kind == levelText:
			levels = append(levels, l.before)
		case l.variable >= 0 && t.names[l.variable] == name:
			levels = append(levels, l.before+"{id}"+l.after)
			below = strings.Join(levels, "/") + "/#"
		default:
			levels = append(levels, "+")
		}
	}
	if below == "" {
		return "", ""
	}
	return strings.Join(levels, "/"), below
}
