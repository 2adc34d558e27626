package devicefsm

import (
	"maps"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
)

// Model is a compiled model file. It never changes, and any number of
// goroutines may use it at once.
type Model struct {
	name    string
	kind    device.Kind
	hash    string
	written written
	edition int // by whose rules an event is processed: see Edition
	config  map[string]any
	context map[string]any

	silentAfter, tolerance time.Duration
	byArrival              bool // events count when they arrive: `time: arrival`

	rules    []rule
	events   map[string]bool // names that the model knows: of rules, patterns and the service
	patterns []*patternRule
	alarms   []*alarmRule
	members  *Membership // of groups with this model; nil: it is not that of a group
	windows  []*windowRule
	process  *processRule // nil: no event is processed one by one
	// windowReads are the windows that expressions read; "": any of them.
	windowReads []string
	windowTimes bool // some expression may read when a window starts or ends

	root        *state
	states      []*state // in document order
	byPath      map[string]*state
	transitions []*transition
	classes     *classTable // what events can do
	readsTwin   bool

	byCalendar bool                      // there are schedules or windows, or expressions read the time
	zone       string                    // of what names none
	zones      []string                  // to be recorded, sorted
	hours      map[string]*businessHours // by name
	scheduled  map[string]bool           // names of schedules
}

// Name is the model's name, as in `model:`, or the base of the file's name.
func (m *Model) Name() string { return m.name }

// Kind is of which kind the entities are that may run the model, as in `kind:`; that of a group
// is its name, if it does not say another.
func (m *Model) Kind() device.Kind { return m.kind }

// Hash identifies the model: hex SHA-256 of its canonical form. Comments, white
// space, the order of keys where it means nothing, and the way a duration is
// written do not change it.
func (m *Model) Hash() string { return m.hash }

// Config is the model's `config:` section, which a device gets when it is
// reprovisioned. The caller may keep and change the copy.
func (m *Model) Config() map[string]any { return copyJSON(m.config).(map[string]any) }

// States are the dotted paths of all atomic and final states, in document order.
func (m *Model) States() []string {
	var paths []string
	for _, s := range m.states {
		if s.isAtomic() {
			paths = append(paths, s.path)
		}
	}
	return paths
}

// Liveness is how long a device may be silent before device.silent, and how
// much later than that it may be noticed; zeros if the model has none.
func (m *Model) Liveness() (silentAfter, tolerance time.Duration) {
	return m.silentAfter, m.tolerance
}

// rule says which messages are an event.
type rule struct {
	event   string
	channel device.Channel
	name    string // of the message, on the channels where it has one; "" is any
	when    *expr
}

// Classify returns the name of a message's event: the first rule of `events:` that
// fits; else, on the events and system channels, the message's own name, and
// for an acknowledgement "<command>.<status>", such as "reprovision.rejected",
// unless it is a status that only the service sets. Statuses that have a meaning are
// in lower case there, however the device writes them.
// Otherwise ok is false, and the message is not an event.
func (m *Model) Classify(msg device.Message) (name string, ok bool) {
	s := newScope()
	c := m.classify(&msg, (*Model).ackEvent, s)
	s.free()
	return c.name, c.name != ""
}

// ClassifyAsWritten is Classify with the status of an acknowledgement as the device
// writes it, for what was begun when only the exact word counted.
func (m *Model) ClassifyAsWritten(msg device.Message) (name string, ok bool) {
	s := newScope()
	c := m.classify(&msg, (*Model).ackEventAsWritten, s)
	s.free()
	return c.name, c.name != ""
}

// ackEvent is the event of an acknowledgement; "" if there is none.
func (m *Model) ackEvent(command, status string) string {
	switch lower := strings.ToLower(status); {
	case m.isOutcome(lower):
		return ""
	case slices.Contains(ackStatuses, lower):
		status = lower
	}
	return command + "." + status
}

// ackEventAsWritten is ackEvent when only the exact word counted.
func (m *Model) ackEventAsWritten(command, status string) string {
	if m.isOutcome(status) {
		return ""
	}
	return command + "." + status
}

// classified is what the rules make of a message.
type classified struct {
	name    string // of its event; "" for none
	failed  bool   // a `when` did, on the message
	differs bool   // it may be another event in another edition
}

// classify needs a scope to work in.
func (m *Model) classify(msg *device.Message, ack func(m *Model, command, status string) string, s *scope) classified {
	*s = scope{msg: msg.Data, edition: m.edition, lenient: true}
	for i := range m.rules {
		r := &m.rules[i]
		if r.channel != msg.Channel || r.name != "" && r.name != msg.Name {
			continue
		}
		if r.when == nil {
			return classified{r.event, s.failed, s.differs}
		}
		if r.when.holds(s) {
			return classified{r.event, s.failed, s.differs}
		}
	}
	name := ""
	switch msg.Channel {
	case device.ChannelEvents, device.ChannelSystem:
		if msg.Name != device.MessageSeen && msg.Name != device.MessageFault {
			name = msg.Name
		}
	case device.ChannelAck:
		if status, _ := msg.Data["status"].(string); status != "" && msg.Name != "" {
			name = ack(m, msg.Name, status)
		}
	}
	return classified{name, s.failed, s.differs}
}

// StateName is the dotted path of the active atomic state; those of parallel
// regions are joined with commas, in document order.
func (m *Model) StateName(s *Snapshot) string {
	s, err := m.bind(s)
	if err != nil {
		return ""
	}
	return nameOf(s.leaves)
}

func nameOf(leaves []*state) string {
	if len(leaves) == 1 {
		return leaves[0].path
	}
	paths := make([]string, len(leaves))
	for i, l := range leaves {
		paths[i] = l.path
	}
	return strings.Join(paths, ",")
}

// Value is the state value as XState v5 writes it: "online",
// {"connector": "charging"}, with one key for each region of a parallel state.
func (m *Model) Value(s *Snapshot) any {
	s, err := m.bind(s)
	if err != nil {
		return nil
	}
	return valueOf(m.root, s.active)
}

func valueOf(s *state, active stateSet) any {
	value := map[string]any{}
	for _, c := range s.children {
		if !active.has(c.index) {
			continue
		}
		if s.kind == compound && c.isAtomic() {
			return c.key
		}
		value[c.key] = valueOf(c, active)
	}
	return value
}

// copyJSON is a deep copy of a JSON value; nil maps become empty ones.
func copyJSON(v any) any {
	switch x := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(x))
		maps.Copy(m, x)
		for k, e := range m {
			m[k] = copyJSON(e)
		}
		return m
	case []any:
		list := make([]any, len(x))
		for i, e := range x {
			list[i] = copyJSON(e)
		}
		return list
	}
	return v
}
