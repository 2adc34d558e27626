package devicefsm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/pattern"
	"devicetwin/devicefsm/window"
)

// snapshotVersion is the format that MarshalJSON writes.
const snapshotVersion = 1

// Snapshot is everything that is known about one device's statechart and
// patterns between two events. It is an immutable value: Step gives a new one.
// As JSON it is a small object with a format version; reading it back changes
// nothing. The zero Snapshot belongs to no device: Model.Start gives the first.
type Snapshot struct {
	model    *Model // nil as long as the snapshot only was decoded
	active   stateSet
	leaves   []*state // the active atomic states in document order
	patterns []pattern.State
	troubles []troubleList // of each alarm, by their keys
	windows  []window.State
	history  map[int][]int // by history state: what was active

	context     map[string]any
	timers      []timer // by due time as events, then by when they were started
	invocations []invocation
	schedules   []armed        // in the order in which their states were entered
	zones       calendar.Zones // what is known of the time zones of the model
	clock       int64          // the device's: the latest of the times that its messages said, unix milliseconds
	service     int64          // the service's: the latest arrival, or what the service did itself
	lag         int64          // of the service's clock at the device's last event, behind which that was
	shown       int64          // time of the latest transition
	aliveAt     int64          // when the device was last seen on the service's clock, if the model has liveness
	silent      bool
	done        bool   // a final state of the root was reached: nothing happens any more
	counter     uint64 // of action ids

	decoded *wireSnapshot
}

// timer is a delayed transition or a delayed raise.
type timer struct {
	state, index int   // which delay of which state; state -1: a raise
	due          int64 // as an event
	wall         int64 // on the service's clock
	event        string
	data         map[string]any
	id           string
}

// invocation is a running activity.
type invocation struct {
	id           string
	state, index int
}

// wireSnapshot is the JSON form.
type wireSnapshot struct {
	V           int                      `json:"v"`
	Model       string                   `json:"model"`
	Active      []string                 `json:"s"`
	Context     map[string]any           `json:"c,omitempty"`
	Service     int64                    `json:"t"`
	Clock       *int64                   `json:"dt,omitempty"`
	Lag         int64                    `json:"lag,omitempty"`
	Shown       *int64                   `json:"tr,omitempty"`
	Timers      []wireTimer              `json:"timers,omitempty"`
	Invocations []wireInvocation         `json:"inv,omitempty"`
	Schedules   []wireSchedule           `json:"sch,omitempty"`
	Zones       calendar.Zones           `json:"z,omitempty"`
	History     map[string][]string      `json:"h,omitempty"`
	Patterns    map[string]pattern.State `json:"p,omitempty"`
	Troubles    map[string][]wireTrouble `json:"al,omitempty"`
	Windows     map[string]window.State  `json:"w,omitempty"`
	AliveAt     int64                    `json:"alive,omitempty"`
	Silent      bool                     `json:"silent,omitempty"`
	Done        bool                     `json:"done,omitempty"`
	Counter     uint64                   `json:"n,omitempty"`
}

type wireTimer struct {
	State *string        `json:"s,omitempty"`
	Index int            `json:"i,omitempty"`
	Due   int64          `json:"d"`
	Lag   int64          `json:"l,omitempty"` // by how much it is later on the service's clock
	Event string         `json:"e,omitempty"`
	Data  map[string]any `json:"data,omitempty"`
	ID    string         `json:"id,omitempty"`
}

type wireTrouble struct {
	Key    string        `json:"k,omitempty"`
	Parent string        `json:"p,omitempty"`
	Status troubleStatus `json:"s"`
	Since  int64         `json:"t"`
	Due    int64         `json:"d,omitempty"`
	Lag    int64         `json:"l,omitempty"` // by how much it is later on the service's clock
}

type wireSchedule struct {
	State string `json:"s,omitempty"`
	Name  string `json:"n"`
	Since int64  `json:"a"`
	Due   *int64 `json:"d,omitempty"`
}

type wireInvocation struct {
	ID    string `json:"id"`
	State string `json:"s"`
	Index int    `json:"i,omitempty"`
}

// Context is the chart's context. It belongs to the snapshot: do not change it.
func (s *Snapshot) Context() map[string]any {
	if s.decoded != nil {
		return s.decoded.Context
	}
	return s.context
}

// Done reports whether the chart has reached a final state of its root.
func (s *Snapshot) Done() bool { return s.done || s.decoded != nil && s.decoded.Done }

// Silent reports whether device.silent was raised and device.alive was not.
func (s *Snapshot) Silent() bool { return s.silent || s.decoded != nil && s.decoded.Silent }

// Time is where the service's clock was at the latest event or timer, UTC, in whole
// milliseconds.
func (s *Snapshot) Time() time.Time {
	if s.decoded != nil {
		return fromMillis(s.decoded.Service)
	}
	return fromMillis(s.service)
}

// EventTime is where the device's clock was then: the time of the latest event, as
// an event.
func (s *Snapshot) EventTime() time.Time {
	if w := s.decoded; w != nil {
		return fromMillis((&Snapshot{clock: orNoTime(w.Clock), service: w.Service, lag: w.Lag}).now())
	}
	return fromMillis(s.now())
}

// orNoTime is noTime for nil; timeOrNil is the other way round.
func orNoTime(t *int64) int64 {
	if t == nil {
		return noTime
	}
	return *t
}

func timeOrNil(t int64) *int64 {
	if t == noTime {
		return nil
	}
	return &t
}

// ModelHash is the Hash of the model that made the snapshot.
func (s *Snapshot) ModelHash() string {
	switch {
	case s.decoded != nil:
		return s.decoded.Model
	case s.model != nil:
		return s.model.hash
	}
	return ""
}

// MarshalJSON writes the same bytes for the same snapshot, in any process.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	if s.decoded != nil {
		return json.Marshal(s.decoded)
	}
	if s.model == nil {
		return []byte("null"), nil
	}
	w := wireSnapshot{
		V: snapshotVersion, Model: s.model.hash, Context: s.context,
		Service: s.service, Clock: timeOrNil(s.clock), Lag: s.lag, Shown: timeOrNil(s.shown),
		AliveAt: s.aliveAt, Silent: s.silent, Done: s.done, Counter: s.counter,
		Active: []string{}, Zones: s.zones,
	}
	path := func(index int) string { return s.model.states[index].path }
	for _, l := range s.leaves {
		w.Active = append(w.Active, l.path)
	}
	for _, t := range s.timers {
		wt := wireTimer{Index: t.index, Due: t.due, Lag: t.wall - t.due, Event: t.event, Data: t.data, ID: t.id}
		if t.state >= 0 {
			p := path(t.state)
			wt.State = &p
		}
		w.Timers = append(w.Timers, wt)
	}
	for _, i := range s.invocations {
		w.Invocations = append(w.Invocations, wireInvocation{ID: i.id, State: path(i.state), Index: i.index})
	}
	for _, a := range s.schedules {
		ws := wireSchedule{State: a.of.state.path, Name: a.of.name, Since: a.since}
		if a.due != never {
			ws.Due = &a.due
		}
		w.Schedules = append(w.Schedules, ws)
	}
	// One map into another: the order does not matter.
	for _, h := range slices.Sorted(maps.Keys(s.history)) {
		if w.History == nil {
			w.History = map[string][]string{}
		}
		for _, i := range s.history[h] {
			w.History[path(h)] = append(w.History[path(h)], path(i))
		}
	}
	for i, p := range s.patterns {
		if !p.IsZero() {
			if w.Patterns == nil {
				w.Patterns = map[string]pattern.State{}
			}
			w.Patterns[s.model.patterns[i].name] = p
		}
	}
	w.Troubles = s.wireTroubles()
	for i, state := range s.windows {
		if !state.IsZero() {
			if w.Windows == nil {
				w.Windows = map[string]window.State{}
			}
			w.Windows[s.model.windows[i].name] = state
		}
	}
	b, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	return b, nil
}

// UnmarshalJSON reads what MarshalJSON wrote. Whether it fits a model is seen
// when it is used with one.
func (s *Snapshot) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*s = Snapshot{}
		return nil
	}
	w := &wireSnapshot{}
	if err := json.Unmarshal(b, w); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	if w.V != snapshotVersion {
		advice := "it was written by an earlier release"
		if w.V > snapshotVersion {
			advice = "upgrade this program"
		}
		return fmt.Errorf("read snapshot: version %d; this program reads version %d: %s", w.V, snapshotVersion, advice)
	}
	*s = Snapshot{decoded: w}
	return nil
}

// Accepts is why a snapshot cannot be used with this model, or nil if it can: it
// was made by another model, or it is empty or damaged.
func (m *Model) Accepts(s *Snapshot) error {
	_, err := m.bind(s)
	return err
}

// bind resolves the names in a decoded snapshot.
func (m *Model) bind(s *Snapshot) (*Snapshot, error) {
	if s != nil && s.model == m {
		return s, nil
	}
	if s == nil || s.decoded == nil && s.model == nil {
		return nil, fmt.Errorf("use snapshot with model %s: the snapshot is empty", m.name)
	}
	w := s.decoded
	if w == nil {
		b, err := s.MarshalJSON()
		if err != nil {
			return nil, err
		}
		w = &wireSnapshot{}
		if err := json.Unmarshal(b, w); err != nil {
			return nil, fmt.Errorf("use snapshot with model %s: %w", m.name, err)
		}
	}
	if w.Model != m.hash {
		return nil, fmt.Errorf("use snapshot with model %s: it was made by another model: %.12s, not %.12s", m.name, w.Model, m.hash)
	}
	out := &Snapshot{
		model: m, context: w.Context, clock: orNoTime(w.Clock), service: w.Service, lag: w.Lag, shown: orNoTime(w.Shown), aliveAt: w.AliveAt, silent: w.Silent,
		done: w.Done, counter: w.Counter, active: newStateSet(len(m.states)),
		patterns: make([]pattern.State, len(m.patterns)), troubles: make([]troubleList, len(m.alarms)),
		windows: make([]window.State, len(m.windows)), zones: w.Zones,
	}
	if err := m.bindStates(out, w); err != nil {
		return nil, fmt.Errorf("use snapshot with model %s: %w", m.name, err)
	}
	if err := m.bindTroubles(out, w); err != nil {
		return nil, fmt.Errorf("use snapshot with model %s: %w", m.name, err)
	}
	return out, nil
}

func (m *Model) bindStates(out *Snapshot, w *wireSnapshot) error {
	for _, path := range w.Active {
		s := m.byPath[path]
		if s == nil || !s.isAtomic() {
			return fmt.Errorf("unknown atomic state %q", path)
		}
		for a := s; a != nil; a = a.parent {
			out.active.add(a.index)
		}
	}
	out.leaves = m.leavesOf(out.active)
	if !m.legal(out.active) {
		return fmt.Errorf("states %q are not a valid configuration", w.Active)
	}
	for _, t := range w.Timers {
		bound := timer{state: -1, due: t.Due, wall: t.Due + t.Lag, event: t.Event, data: t.Data, id: t.ID}
		if t.State != nil {
			s := m.byPath[*t.State]
			if s == nil || t.Index < 0 || t.Index >= len(s.after) || !out.active.has(s.index) {
				return fmt.Errorf("unknown delay %d of active state %q", t.Index, *t.State)
			}
			bound.state, bound.index = s.index, t.Index
		}
		out.timers = append(out.timers, bound)
	}
	for _, i := range w.Invocations {
		s := m.byPath[i.State]
		if s == nil || i.Index < 0 || i.Index >= len(s.invokes) || !out.active.has(s.index) {
			return fmt.Errorf("unknown invocation %d of active state %q", i.Index, i.State)
		}
		out.invocations = append(out.invocations, invocation{id: i.ID, state: s.index, index: i.Index})
	}
	if err := m.bindSchedules(out, w.Schedules); err != nil {
		return err
	}
	// One map into another: the order does not matter.
	for _, path := range slices.Sorted(maps.Keys(w.History)) {
		h := m.byPath[path]
		if h == nil || !h.isHistory() {
			return fmt.Errorf("unknown history state %q", path)
		}
		for _, p := range w.History[path] {
			s := m.byPath[p]
			if s == nil || !s.within(h.parent) {
				return fmt.Errorf("history %q holds %q, which is not in its state", path, p)
			}
			if out.history == nil {
				out.history = map[int][]int{}
			}
			out.history[h.index] = append(out.history[h.index], s.index)
		}
		slices.Sort(out.history[h.index])
	}
	for i, p := range m.patterns {
		out.patterns[i] = w.Patterns[p.name]
	}
	for i, rule := range m.windows {
		out.windows[i] = w.Windows[rule.name]
		if err := rule.window.Accepts(out.windows[i]); err != nil {
			return fmt.Errorf("window %q: %w", rule.name, err)
		}
	}
	return nil
}

func (m *Model) bindSchedules(out *Snapshot, list []wireSchedule) error {
	for _, ws := range list {
		s := m.byPath[ws.State]
		at := -1
		if s != nil && out.active.has(s.index) {
			at = slices.IndexFunc(s.schedules, func(of *schedule) bool { return of.name == ws.Name })
		}
		if at < 0 {
			return fmt.Errorf("unknown schedule %q of active state %q", ws.Name, ws.State)
		}
		a := armed{of: s.schedules[at], since: ws.Since, due: never}
		if ws.Due != nil {
			a.due = *ws.Due
		}
		out.schedules = append(out.schedules, a)
	}
	return nil
}

// legal reports whether a set of states is a configuration: closed upwards, one
// child of every compound state, every region of every parallel one.
func (m *Model) legal(active stateSet) bool {
	if !active.has(0) {
		return false
	}
	for i := range active.all() {
		s, n, regions := m.states[i], 0, 0
		if s.parent != nil && !active.has(s.parent.index) {
			return false
		}
		for _, c := range s.children {
			if !c.isHistory() {
				regions++
				if active.has(c.index) {
					n++
				}
			}
		}
		if s.isHistory() || s.kind == compound && n != 1 || s.kind == parallel && n != regions {
			return false
		}
	}
	return true
}

func (m *Model) leavesOf(active stateSet) []*state {
	var leaves []*state
	for i := range active.all() {
		if s := m.states[i]; s.isAtomic() {
			leaves = append(leaves, s)
		}
	}
	return leaves
}
