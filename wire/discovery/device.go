package discovery

import (
	"maps"
	"slices"
	"strings"
)

// device is what entities are of that have an identifier in common.
type device struct {
	id        string
	keys      map[key]int    // of its entities, and of how many
	names     map[string]int // that its entities have for it
	entities  map[*entity]bool
	objects   map[string][]*entity // its entities by the object in their topic
	available map[string]*heard    // by availability.same
	commands  map[string]string    // see Learner.commandsOf; nil: not known yet
	seldom    bool                 // it has messages that are seldom: see Learner.commandsOf
}

func newDevice() *device {
	return &device{keys: map[key]int{}, names: map[string]int{}, entities: map[*entity]bool{}, objects: map[string][]*entity{}, available: map[string]*heard{}}
}

// add makes an entity one of the device.
func (d *device) add(e *entity) {
	e.device = d
	d.entities[e], d.commands = true, nil
	for _, k := range e.owner.keys {
		d.keys[k]++
	}
	d.names[e.owner.name]++
	d.identify()
	d.objects[e.object] = append(d.objects[e.object], e)
	d.name(e.object)
}

// hears is what the topics of an availability said, for one more entity. New says that nobody had it.
func (d *device) hears(a *availability) (h *heard, isNew bool) {
	if h = d.available[a.same]; h == nil {
		h, isNew = &heard{availability: a, said: make([]say, len(a.topics))}, true
		d.available[a.same] = h
	}
	h.entities++
	return h, isNew
}

// remove makes an entity one of no device. It returns the keys, and what the topics of an availability said, that
// nobody has any more.
func (d *device) remove(e *entity) (gone []key, unheard *heard) {
	delete(d.entities, e)
	d.commands = nil
	for _, k := range e.owner.keys {
		if d.keys[k]--; d.keys[k] == 0 {
			delete(d.keys, k)
			gone = append(gone, k)
		}
	}
	if d.names[e.owner.name]--; d.names[e.owner.name] == 0 {
		delete(d.names, e.owner.name)
	}
	d.identify()
	d.objects[e.object] = slices.DeleteFunc(d.objects[e.object], func(o *entity) bool { return o == e })
	if len(d.objects[e.object]) == 0 {
		delete(d.objects, e.object)
	}
	d.name(e.object)
	if a := e.availability; a != nil {
		h := d.available[a.same]
		if h.entities--; h.entities == 0 {
			delete(d.available, a.same)
			unheard = h
		}
	}
	return gone, unheard
}

// identify sets the id: of the names that entities have for the device, the first one by its
// characters, because the order in which configs come is another one after a restart.
func (d *device) identify() {
	d.id = ""
	for name := range d.names {
		if d.id == "" || name < d.id {
			d.id = name
		}
	}
}

// name sets the names of the entities with an object: that, unless several have it. Of two
// with one unique id, one is the other in another config.
func (d *device) name(object string) {
	all := d.objects[object]
	same, ofComponent := map[string]bool{}, map[string]map[string]bool{}
	for _, e := range all {
		same[e.unique] = true
		if ofComponent[e.component] == nil {
			ofComponent[e.component] = map[string]bool{}
		}
		ofComponent[e.component][e.unique] = true
	}
	for _, e := range all {
		switch {
		case len(same) == 1:
			e.name = object
		case len(ofComponent[e.component]) == 1:
			e.name = e.component + "_" + object
		default:
			e.name = strings.Join(slices.DeleteFunc([]string{e.component, e.node, object}, func(s string) bool { return s == "" }), "_")
		}
	}
}

// status is what the availability of the entities says of the device: one that is available shows that the device
// is connected.
func (d *device) status() say {
	found := nothing
	for _, same := range slices.Sorted(maps.Keys(d.available)) {
		switch d.available[same].verdict() {
		case online:
			return online
		case offline:
			found = offline
		}
	}
	return found
}
