package replay

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"time"

	"devicetwin/devicefsm"
)

// Part is a part of a device's history that a test can play, with one model.
type Part struct {
	Model *devicefsm.Model
	Start time.Time // when the test begins
	// Entries are those after the start.
	Entries []*Entry
	// AsNew says that the device was as a new one at the start; else Before is its state then, which
	// a test that begins with a new device does not have.
	AsNew  bool
	Before string
	// After is the state's name at the end, and Invoked the names of activities by their ids.
	After   string
	Invoked map[string]string
}

// PartSince is the part of a history, as Order returns it, that ends with its last entry, and begins
// where the device was last as a new one before a time; if it never was, at that time. It begins
// after the last change of the model. ok is false if the history has nothing from that time on, or
// its model is not at hand.
func PartSince(history []*Entry, since time.Time, byHash func(hash string) (*devicefsm.Model, bool)) (p Part, ok bool) {
	d := &player{r: New(Config{Model: byHash})}
	p.Invoked = map[string]string{}
	from := -1 // the first entry of the part
	begin := func(i int, at time.Time, m *devicefsm.Model, s *devicefsm.Snapshot) {
		from, p.Start, p.Before, p.AsNew = i, at, "", false
		if s != nil {
			p.Before, p.AsNew = m.StateName(s), isNew(m, s)
		}
	}
	for i, e := range history {
		if i > 0 && !follows(history[i-1], e) {
			d.snapshot, from = nil, -1
		}
		if e.Do == DoEnd {
			continue
		}
		model, known := d.modelOf(e)
		if !known {
			d.snapshot, from = nil, -1
			continue
		}
		if e.Before != nil {
			d.snapshot = e.Before
		}
		late := !e.At().Before(since)
		begins := e.Do == DoStart || e.Do == DoNamed || e.Do == DoMigrate
		if !begins && (late && from < 0 || !ok && d.snapshot != nil && isNew(model, d.snapshot)) {
			begin(i, e.At(), model, d.snapshot)
		}
		ok = ok || late
		for _, a := range e.Actions {
			if a.Type == devicefsm.ActionInvoke {
				p.Invoked[a.ID] = a.Name
			}
		}
		after, _, applied, err := d.apply(model, e)
		if err != nil || !applied {
			after = e.After
		}
		if d.snapshot, p.Model = after, model; after != nil {
			p.After = model.StateName(after)
		}
		if begins {
			begin(i+1, e.Arrived, model, after)
			p.AsNew = p.AsNew || e.Do == DoStart // also if what it does at its start takes it elsewhere
		}
	}
	if !ok || from < 0 || p.Model == nil {
		return p, false
	}
	p.Entries = history[from:]
	return p, true
}

// isNew reports whether a device is as one that begins: in what it was given and not in when.
func isNew(m *devicefsm.Model, s *devicefsm.Snapshot) bool {
	if m.StateName(s) == "" || s.Done() || s.Silent() {
		return false
	}
	fresh, _ := m.StartIn(s.Zones(), s.Time())
	return reflect.DeepEqual(timeless(fresh), timeless(s))
}

// timeless is a snapshot as JSON, without clocks and counters.
func timeless(s *devicefsm.Snapshot) map[string]any {
	raw, err := json.Marshal(s)
	var all map[string]any
	if err != nil || json.Unmarshal(raw, &all) != nil {
		return nil
	}
	maps.DeleteFunc(all, func(key string, _ any) bool {
		switch key {
		case "t", "dt", "lag", "tr", "n", "alive":
			return true
		}
		return false
	})
	return all
}

// InvocationEnd is the id of the activity that an event says has ended; "" for other events.
func (e *Entry) InvocationEnd() (id string, failed bool) {
	if id, ok := strings.CutPrefix(e.Event, "done.invoke."); ok {
		return id, false
	}
	id, _ = strings.CutPrefix(e.Event, "error.invoke.")
	if id == e.Event {
		return "", false
	}
	return id, true
}
