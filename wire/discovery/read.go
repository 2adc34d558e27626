package discovery

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"devicetwin/internal/jsonobject"
)

// Read reads a payload that is not a config. It has nothing if nobody reads its topic, or nothing in it
// is a value; it is kept for configs that come later.
func (l *Learner) Read(topic string, raw []byte) []Message {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.kept.set(topic, raw)
	u := l.topics[topic]
	if u == nil || len(raw) == 0 {
		return nil
	}
	c := collection{absent: l.options.Absent}
	p := l.payload(raw)
	for _, r := range u.reads {
		c.read(r.entity, r.read, p)
	}
	shared := slices.ContainsFunc(u.available, func(a availableOn) bool { return a.device != u.available[0].device })
	for _, a := range u.available {
		if a.heard.hear(a.topic, p) {
			of := c.device(a.device)
			of.status, of.relayed = a.device.status(), shared
		}
	}
	return l.messages(&c)
}

// catchUp reads, for entities that are new, what was on their topics before: what they
// reported.
func (l *Learner) catchUp(entities []*entity) (all []Message) {
	for _, e := range entities {
		if !e.controls {
			continue
		}
		for i := range e.reads {
			k := l.kept.get(e.reads[i].topic)
			if k == nil {
				continue
			}
			c := collection{absent: l.options.Absent}
			c.read(e, &e.reads[i], l.payload(k.payload))
			for _, m := range l.messages(&c) {
				if m.Kind == Reported {
					m.Kept = true
					all = append(all, m)
				}
			}
		}
	}
	return all
}

// collection is what a payload says of devices.
type collection struct {
	of     []collected
	absent func(string) bool
}

type collected struct {
	device           *device
	status           say
	relayed          bool
	values, reported map[string]any
	events           []Message
}

// device is what it says of one. The pointer is good until the next call.
func (c *collection) device(d *device) *collected {
	i := slices.IndexFunc(c.of, func(of collected) bool { return of.device == d })
	if i < 0 {
		i = len(c.of)
		c.of = append(c.of, collected{device: d})
	}
	return &c.of[i]
}

// read adds what an entity reads of a payload.
func (c *collection) read(e *entity, r *read, p *payload) {
	text, ok := p.render(r.template)
	if !ok || text == "" || text == "None" || c.absent(text) {
		return
	}
	switch r.what {
	case readState:
		c.state(e, r, text, p.depth)
	case readAttributes:
		if object, ok := objectOf(text, p.depth); ok {
			c.set(e, r.member, object)
		}
	case readEvent:
		object, ok := objectOf(text, p.depth)
		if kind, is := object["event_type"].(string); ok && is && kind != "" {
			c.event(e, object)
		}
	case readTrigger:
		if r.trigger == "" || text == r.trigger {
			c.event(e, r.data)
		}
	case readTag:
		c.event(e, map[string]any{"tag": text})
	}
}

func objectOf(text string, depth int) (map[string]any, bool) {
	if !strings.HasPrefix(text, "{") {
		return nil, false
	}
	v, ok := jsonobject.ParseWithin([]byte(text), depth)
	if !ok || v.Kind() != jsonobject.Object {
		return nil, false
	}
	object, ok := v.Decoded().(map[string]any)
	return object, ok
}

// state adds a state, which may have several members.
func (c *collection) state(e *entity, r *read, text string, depth int) {
	object, isObject := objectOf(text, depth)
	switch {
	case isObject && r.values.kind == members:
		for name, v := range object {
			if name != "state" {
				c.set(e, name, v)
				continue
			}
			if s, ok := scalar(v); ok && !c.absent(s) {
				if v, ok := r.values.of(s); ok {
					c.set(e, "", v)
				}
			}
		}
	case isObject && r.values.kind == automatic:
		c.set(e, r.member, object)
	default:
		if v, ok := r.values.of(text); ok {
			c.set(e, r.member, v)
		}
	}
}

// set adds a value of an entity.
func (c *collection) set(e *entity, member string, v any) {
	name := withMember(e.name, member)
	of := c.device(e.device)
	put(&of.values, name, v)
	if e.controls {
		put(&of.reported, name, v)
	}
}

func put(to *map[string]any, name string, v any) {
	if *to == nil {
		*to = map[string]any{}
	}
	(*to)[name] = v
}

func (c *collection) event(e *entity, data map[string]any) {
	of := c.device(e.device)
	of.events = append(of.events, Message{Kind: Event, Name: e.name, Data: maps.Clone(data)})
}

// messages are those of what was added, by device, in an order that is always the same.
func (l *Learner) messages(c *collection) (all []Message) {
	slices.SortFunc(c.of, func(a, b collected) int { return cmp.Compare(a.device.id, b.device.id) })
	for i := range c.of {
		of := &c.of[i]
		d := of.device
		first := len(all)
		if of.status != nothing {
			all = append(all, Message{Kind: Status, Online: of.status == online, Relayed: of.relayed})
		}
		if len(of.values) > 0 {
			all = append(all, Message{Kind: Values, Data: of.values})
		}
		if len(of.reported) > 0 {
			all = append(all, Message{Kind: Reported, Data: of.reported})
		}
		slices.SortStableFunc(of.events, func(a, b Message) int { return cmp.Compare(a.Name, b.Name) })
		all = append(all, of.events...)
		commands := l.commandsOf(d)
		for i := first; i < len(all); i++ {
			all[i].Device = d.id
			if k := all[i].Kind; len(commands) > 0 && (k == Status || k == Reported || !d.seldom) {
				all[i].Commands = commands
			}
		}
	}
	return all
}
