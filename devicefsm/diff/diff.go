package diff

import (
	"devicetwin/devicefsm"
)

// Diff is what two versions of a model do differently.
type Diff struct {
	Old Version `json:"old"`
	New Version `json:"new"`
	// Changes are in the order of the parts of a model file, and within those in that of
	// the models.
	Changes []Change `json:"changes"`
	// Messages are examples of messages that cost something else now, one of each kind.
	Messages []Message `json:"messages"`
	// States are the states of the old model with their paths in the new one, without those
	// that are gone.
	States map[string]State `json:"states"`
}

// Version names one of the models.
type Version struct {
	Name string `json:"name"`
	Hash string `json:"hash"`
}

// State is the state of the new model that a state of the old one has become.
type State struct {
	Path string `json:"path"`
	// Guess says that the paths are different: the two only do much the same.
	Guess bool `json:"guess,omitempty"`
}

// What may have happened to a part of a model.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
	Renamed = "renamed" // a guess
	Moved   = "moved"   // it has another place in an order that counts
)

// Change is a difference.
type Change struct {
	What string `json:"what"` // Added, Removed, Changed, Renamed or Moved
	// Part is what has changed: setting, event, pattern, window, alarm, hours, context,
	// config, state, id, kind, initial, transition, timer, invocation, schedule, entry, exit, output.
	Part string `json:"part"`
	// State is the path of the state that it is a part of, in the new model if it is there;
	// "" is the whole chart.
	State string `json:"state,omitempty"`
	Name  string `json:"name,omitempty"`
	Old   string `json:"old,omitempty"`
	New   string `json:"new,omitempty"`
	// Guess says that it is not certain that Old has become New.
	Guess bool `json:"guess,omitempty"`
}

// Same reports whether the models are the same version: their hashes are equal.
func (d *Diff) Same() bool { return d.Old.Hash == d.New.Hash }

// Differs reports whether the models do anything differently. Two versions that do not are
// only written differently.
func (d *Diff) Differs() bool { return len(d.Changes) > 0 || len(d.Messages) > 0 }

// Compare finds the differences. It does not ask whether the models are versions of one
// another: those of unrelated ones are all there is.
func Compare(old, new *devicefsm.Model) *Diff {
	a, b := old.Outline(), new.Outline()
	d := &Diff{
		Old: Version{a.Name, a.Hash}, New: Version{b.Name, b.Hash},
		Changes: []Change{}, Messages: []Message{}, States: states(a.States, b.States),
	}
	c := comparison{d: d, old: a, new: b}
	c.settings()
	c.sections("event", a.Events, b.Events)
	c.sections("pattern", a.Patterns, b.Patterns)
	c.sections("window", a.Windows, b.Windows)
	c.sections("alarm", a.Alarms, b.Alarms)
	c.sections("hours", a.Hours, b.Hours)
	c.object("context", a.Context, b.Context)
	c.object("config", a.Config, b.Config)
	c.states()
	d.Messages = append(d.Messages, messages(old, new)...)
	return d
}

// comparison is the work of Compare.
type comparison struct {
	d        *Diff
	old, new devicefsm.Outline
}

func (c *comparison) add(change Change) { c.d.Changes = append(c.d.Changes, change) }
