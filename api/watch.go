package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"devicetwin/device"
)

// Types of the events of a stream.
const (
	EventSnapshot   = "snapshot"   // Device: the whole, at the beginning
	EventState      = "state"      // StateChange
	EventTwin       = "twin"       // TwinChange
	EventCommand    = "command"    // Command, when its status changes
	EventConnection = "connection" // ConnectionChange
	EventTags       = "tags"       // an object of strings
	EventGone       = "gone"       // the device was deleted; the stream ends
	EventProblem    = "problem"    // Trouble: the stream continues when it is over
	EventEnd        = "end"        // Trouble: the stream ends; the client may reconnect
)

// Event is one event of a stream. ID is empty for an end.
type Event struct {
	ID   string
	Type string
	Data any
}

// StateChange is a transition, or a state that was found without one.
type StateChange struct {
	State      string      `json:"state" doc:"Paths of the active atomic states, joined by commas."`
	Transition *Transition `json:"transition,omitempty" doc:"The transition that led there; absent if it is no longer known."`
}

// TwinChange is a shadow document after a change.
type TwinChange struct {
	Shadow string `json:"shadow,omitempty" doc:"Name of the shadow; absent for the classic one."`
	Twin
}

// ConnectionChange is the connection according to the device's last status message.
type ConnectionChange struct {
	Connection string `json:"connection" enum:"online,offline,unknown"`
}

// Trouble says why a stream cannot continue.
type Trouble struct {
	Detail string `json:"detail"`
}

// changes are the events between two polls of a device.
func changes(was, is Device) []Event {
	var events []Event
	add := func(kind string, data any) { events = append(events, Event{Type: kind, Data: data}) }
	fresh := newTransitions(was.Transitions, is.Transitions)
	for _, t := range fresh {
		add(EventState, StateChange{State: t.To, Transition: &t})
	}
	if len(fresh) == 0 && was.State != is.State {
		add(EventState, StateChange{State: is.State})
	}
	if was.Connection != is.Connection {
		add(EventConnection, ConnectionChange{is.Connection})
	}
	if was.Twin.Version != is.Twin.Version {
		add(EventTwin, TwinChange{Twin: is.Twin})
	}
	names := slices.Concat(slices.Collect(maps.Keys(was.Shadows)), slices.Collect(maps.Keys(is.Shadows)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if was.Shadows[name].Version != is.Shadows[name].Version {
			add(EventTwin, TwinChange{Shadow: name, Twin: is.Shadows[name]})
		}
	}
	statuses := map[string]device.CommandStatus{}
	for _, c := range was.Commands {
		statuses[c.ID] = c.Status
	}
	for _, c := range is.Commands {
		if statuses[c.ID] != c.Status {
			add(EventCommand, c)
		}
	}
	if !maps.Equal(was.Tags, is.Tags) {
		add(EventTags, is.Tags)
	}
	return events
}

// newTransitions are those of after that before has not, the oldest first. Both
// are given the newest first.
func newTransitions(before, after []Transition) []Transition {
	n := len(after)
	if len(before) > 0 {
		if i := slices.IndexFunc(after, func(t Transition) bool { return sameTransition(t, before[0]) }); i >= 0 {
			n = i
		}
	}
	fresh := slices.Clone(after[:n])
	slices.Reverse(fresh)
	return fresh
}

// sameTransition reports whether two are one. The registry may have told the number of a version
// only between them.
func sameTransition(a, b Transition) bool {
	for _, t := range []*Transition{&a, &b} {
		t.ModelVersion = 0
		if t.Migration != nil {
			m := *t.Migration
			m.FromVersion, m.ToVersion = 0, 0
			t.Migration = &m
		}
	}
	return reflect.DeepEqual(a, b)
}

// watch is a device with readers. The hub's mutex guards it.
type watch struct {
	id   device.ID
	mark string // of this watch, in the ids of its events
	last Device

	readers map[*reader]struct{}
	recent  []Event // the newest, at most keptEvents
	count   int     // of all events so far
	away    bool    // the last poll failed
}

func (w *watch) eventID(n int) string { return w.mark + "-" + strconv.Itoa(n) }

// publish sends an event to all readers. One that has too many waiting is
// disconnected, so that its queue does not grow and others are not delayed.
func (w *watch) publish(log *slog.Logger, kind string, data any) {
	w.count++
	e := Event{ID: w.eventID(w.count), Type: kind, Data: data}
	w.recent = append(w.recent, e)
	w.recent = w.recent[max(0, len(w.recent)-keptEvents):]
	for r := range w.readers {
		select {
		case r.events <- e:
		default:
			log.Warn("stream disconnected: its reader is too slow", "device", w.id, "waiting", len(r.events))
			r.end("too slow: come back with Last-Event-ID")
			delete(w.readers, r)
		}
	}
}

func (r *reader) end(why string) {
	r.ended = why
	close(r.events)
}

func (w *watch) endReaders(why string) {
	for r := range w.readers {
		r.end(why)
	}
	clear(w.readers)
}

// since is the events after the one of an id; a snapshot, if that is not known.
func (w *watch) since(id string) []Event {
	if number, ok := strings.CutPrefix(id, w.mark+"-"); ok {
		n, err := strconv.Atoi(number)
		if missed := w.count - n; err == nil && missed >= 0 && missed <= len(w.recent) {
			return slices.Clone(w.recent[len(w.recent)-missed:])
		}
	}
	return []Event{{ID: w.eventID(w.count), Type: EventSnapshot, Data: w.last}}
}

// text is the event as it is sent (HTML living standard, 9.2).
func (e Event) text() ([]byte, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil, fmt.Errorf("write %s event: %w", e.Type, err)
	}
	id := ""
	if e.ID != "" {
		id = "id: " + e.ID + "\n"
	}
	return fmt.Appendf(nil, "%sevent: %s\ndata: %s\n\n", id, e.Type, data), nil
}
