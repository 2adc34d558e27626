package device

import (
	"encoding/json"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// A partial match knows how far it is, and not by which messages. A plan may have a pattern see the
// latest messages again (devicefsm.PlanReplay): for that, a run keeps some, if its worker is told to.

const (
	// MaxRecent is how many messages a run keeps at most.
	MaxRecent = 256
	// recentData bounds what one of them says, and recentSize that of all, in bytes of JSON.
	recentData = 1 << 10
	recentSize = 48 << 10
)

// recentMessage is one that the device sent.
type recentMessage struct {
	Channel device.Channel `json:"c"`
	Name    string         `json:"n,omitempty"`
	Data    map[string]any `json:"d,omitempty"`
	// At is where it counted on the device's clock, and Arrived on the service's; zero where that is
	// the same.
	At      time.Time `json:"t"`
	Arrived time.Time `json:"a,omitzero"`
	Size    int       `json:"s,omitempty"` // of Data as JSON
}

// keepRecent keeps a message that was stepped. Behind one that says too much, nothing is kept of what
// was before: a pattern that sees the rest must not miss one in between.
func (d *run) keepRecent(m device.Message) {
	most := min(d.settings.Kept.Recent, MaxRecent)
	switch {
	case most <= 0:
		d.state.Recent = nil
		return
	case m.Channel == device.ChannelSystem && (m.Name == device.MessageSeen || m.Name == device.MessageFault):
		return
	}
	raw, err := json.Marshal(m.Data)
	if err != nil || len(raw) > recentData {
		d.state.Recent = nil
		return
	}
	kept := recentMessage{Channel: m.Channel, Name: m.Name, Data: m.Data, At: d.state.Snapshot.EventTime(), Size: len(raw)}
	if arrived := d.state.Snapshot.Time(); !arrived.Equal(kept.At) {
		kept.Arrived = arrived
	}
	list := append(d.state.Recent[:len(d.state.Recent):len(d.state.Recent)], kept)
	size := 0
	for _, r := range list {
		size += r.Size
	}
	first := max(0, len(list)-most)
	for _, r := range list[:first] {
		size -= r.Size
	}
	for ; size > recentSize; first++ {
		size -= list[first].Size
	}
	d.state.Recent = list[first:]
}

// recentFor are the events that the latest messages are for a model, oldest first; nil: the run keeps
// none.
func (d *run) recentFor(m *devicefsm.Model) []devicefsm.Event {
	if d.settings.Kept.Recent <= 0 {
		return nil
	}
	events := []devicefsm.Event{}
	for _, r := range d.state.Recent {
		name, ok := m.Classify(device.Message{Channel: r.Channel, Name: r.Name, Data: r.Data})
		if !ok {
			continue
		}
		ev := devicefsm.Event{Name: name, Data: r.Data, Time: r.At, Arrived: r.At}
		if !r.Arrived.IsZero() {
			ev.Arrived = r.Arrived
		}
		events = append(events, ev)
	}
	return events
}
