package diff

import (
	"cmp"
	"slices"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// Costs of a message.
const (
	CostNothing = "nothing" // it is irrelevant in every state
	CostChange  = "change"  // a signal, unless it repeats what the device said before
	CostSignal  = "signal"  // a signal each time
)

// Message is an example of the messages that cost something else.
type Message struct {
	Channel device.Channel `json:"channel"`
	Name    string         `json:"name,omitempty"`
	Data    map[string]any `json:"data"`
	Old     Cost           `json:"old"`
	New     Cost           `json:"new"`
}

// Cost is what a message costs under one of the models.
type Cost struct {
	Event string `json:"event,omitempty"` // "" for none
	Cost  string `json:"cost"`            // CostNothing, CostChange or CostSignal
}

// maxExamples bounds the messages of a rule that are tried.
const maxExamples = 2000

// messages are examples of those that cost something else: one for each event and pair of
// costs.
func messages(old, new *devicefsm.Model) []Message {
	var list []Message
	for _, msg := range slices.Concat(old.ExampleMessages(maxExamples), new.ExampleMessages(maxExamples)) {
		m := Message{Channel: msg.Channel, Name: msg.Name, Data: msg.Data, Old: costOf(old, msg), New: costOf(new, msg)}
		if m.Old.Cost == m.New.Cost || slices.ContainsFunc(list, func(have Message) bool { return have.Old == m.Old && have.New == m.New }) {
			continue
		}
		list = append(list, m)
	}
	slices.SortStableFunc(list, func(a, b Message) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.New.Event, b.New.Event), cmp.Compare(a.Old.Event, b.Old.Event))
	})
	return list
}

// rank puts what costs more now before what costs less.
func rank(m Message) int {
	if m.Costlier() {
		return 0
	}
	return 1
}

// Costlier reports whether the message costs more now than it did.
func (m Message) Costlier() bool { return price[m.New.Cost] > price[m.Old.Cost] }

var price = map[string]int{CostNothing: 0, CostChange: 1, CostSignal: 2}

func costOf(m *devicefsm.Model, msg device.Message) Cost {
	event, _, settled := m.Class(msg)
	if event == "" {
		event, _ = m.Classify(msg)
	}
	switch {
	case !m.Relevant(msg):
		return Cost{event, CostNothing}
	case settled:
		return Cost{event, CostChange}
	}
	return Cost{event, CostSignal}
}
