package devicefsm

import (
	"slices"
	"time"
)

// maxTroubles bounds what an entity keeps of all its alarms together.
const maxTroubles = 12_000

// alarmRule is one entry of `alarms:`.
type alarmRule struct {
	name         string // also of the event that it raises
	begins, ends []descriptor
	by           string // the key of the events' data that says what the trouble is of
	settle       time.Duration
	explainedBy  int // the alarm that explains this one; -1: none
}

// endedEvent is the event that is raised when a trouble that was raised has ended.
func (a *alarmRule) endedEvent() string { return a.name + ".ended" }

// concerns reports whether an event begins or ends a trouble.
func (a *alarmRule) concerns(event string) bool {
	return matchesAny(a.begins, event) || matchesAny(a.ends, event)
}

func matchesAny(list []descriptor, event string) bool {
	return slices.ContainsFunc(list, func(d descriptor) bool { return d.matches(event) })
}

// troubleStatus is how far a trouble has come.
type troubleStatus int

const (
	troubleNew       troubleStatus = iota // within a step only
	troubleWaiting                        // until it has lasted for `settle`
	troubleExplained                      // as long as what explains it lasts
	troubleRaised
)

// trouble is something that has begun and not ended, of one key.
type trouble struct {
	key       string
	parent    string // of its event's data: which of the other troubles may explain it; "" is any
	status    troubleStatus
	since     int64 // as an event, unix milliseconds
	due, wall int64 // when it is raised, if it waits: as an event, and on the service's clock
}

// AlarmChange is an alarm that was raised, or that has ended.
type AlarmChange struct {
	Alarm string
	Key   string // what it is of
	Ended bool
	At    time.Time // as an event
	Since time.Time // of the trouble
}

// Alarms counts the troubles of one alarm.
type Alarms struct {
	Alarm     string `json:"alarm"`
	Raised    int    `json:"raised"`
	Waiting   int    `json:"waiting,omitempty"`   // for their settle time
	Explained int    `json:"explained,omitempty"` // by a trouble of another alarm
}

// Alarms are the model's alarms with their troubles, in the order of the file.
func (m *Model) Alarms(s *Snapshot) []Alarms {
	s, err := m.bind(s)
	if err != nil {
		return nil
	}
	all := make([]Alarms, len(m.alarms))
	for i := range all {
		all[i] = s.countTroubles(i)
	}
	return all
}

func (s *Snapshot) countTroubles(alarm int) Alarms {
	l := s.troubles[alarm]
	return Alarms{
		Alarm:  s.model.alarms[alarm].name,
		Raised: l.count(troubleRaised), Waiting: l.count(troubleWaiting), Explained: l.count(troubleExplained),
	}
}

// alarmEvent is an event that an alarm raises.
type alarmEvent struct {
	name string
	data map[string]any
}

// trackAlarms begins and ends troubles, and returns what is raised. An alarm sees the
// events from outside, and none that alarms or patterns raise.
func (r *run) trackAlarms(name string, data map[string]any) []alarmEvent {
	var events []alarmEvent
	var changed []int        // alarms
	var began map[int]string // keys, by alarm
	for i, a := range r.m.alarms {
		if !a.concerns(name) {
			continue
		}
		key, ok := r.alarmKey(a, name, data)
		if !ok {
			continue
		}
		if matchesAny(a.begins, name) {
			if r.beginTrouble(i, key, name, data) {
				if began == nil {
					began = map[int]string{}
				}
				began[i] = key
				changed = append(changed, i)
			}
			continue
		}
		if t, ok := r.s.troubles[i].get(key); ok {
			r.setTroubles(i, r.s.troubles[i].without(key))
			changed = append(changed, i)
			if t.status == troubleRaised {
				events = append(events, r.alarmChange(a, t, true, r.s.countTroubles(i)))
			}
		}
	}
	for i, a := range r.m.alarms {
		key, begins := began[i]
		switch {
		case a.explainedBy >= 0 && slices.Contains(changed, a.explainedBy):
			events = append(events, r.explainTroubles(i)...)
		case begins:
			events = append(events, r.explainTrouble(i, key)...)
		}
	}
	return events
}

// alarmKey is what a trouble is of; "" is the entity itself, where the event does not say.
func (r *run) alarmKey(a *alarmRule, event string, data map[string]any) (key string, ok bool) {
	v, given := data[a.by]
	if !given || v == nil {
		return "", true
	}
	if key, ok = v.(string); !ok || len(key) > maxDistinct {
		r.fault("alarm %q: event %q has no string of at most %d bytes in %q", a.name, clip(event), maxDistinct, a.by)
		return "", false
	}
	return key, true
}

// setTroubles puts a list in the place of an alarm's.
func (r *run) setTroubles(alarm int, list troubleList) {
	r.changed = true
	r.s.troubles = slices.Clone(r.s.troubles)
	r.s.troubles[alarm] = list
}

// parentOf is what a trouble says of its parent; "" is nothing, also where that cannot be kept,
// which does not keep the trouble from being tracked.
func (r *run) parentOf(a *alarmRule, event string, data map[string]any) string {
	v, given := data["parent"]
	if !given || v == nil {
		return ""
	}
	parent, ok := v.(string)
	if !ok || len(parent) > maxDistinct {
		r.fault("alarm %q: event %q has no string of at most %d bytes in \"parent\": it counts as one without a parent", a.name, clip(event), maxDistinct)
		return ""
	}
	return parent
}

func (r *run) beginTrouble(alarm int, key, event string, data map[string]any) bool {
	if _, found := r.s.troubles[alarm].get(key); found {
		return false
	}
	total := 0
	for _, l := range r.s.troubles {
		total += l.size
	}
	if total >= maxTroubles {
		r.fault("alarm %q: that of %q is not kept: there are %d already", r.m.alarms[alarm].name, clip(key), total)
		return false
	}
	t := trouble{key: key, since: r.at, parent: r.parentOf(r.m.alarms[alarm], event, data)}
	r.setTroubles(alarm, r.s.troubles[alarm].with(t))
	return true
}

// explainTrouble looks at what explains a trouble that has begun.
func (r *run) explainTrouble(alarm int, key string) []alarmEvent {
	t, _ := r.s.troubles[alarm].get(key)
	raised := r.explain(r.m.alarms[alarm], &t)
	r.setTroubles(alarm, r.s.troubles[alarm].with(t))
	if !raised {
		return nil
	}
	return r.raisedTroubles(alarm, []trouble{t})
}

// explainTroubles looks again at what explains the troubles of an alarm.
func (r *run) explainTroubles(alarm int) []alarmEvent {
	var raised []trouble
	mayChange := func(c *troubleChunk) bool { return !c.isRaised() }
	r.setTroubles(alarm, r.s.troubles[alarm].changed(mayChange, func(t *trouble) {
		if r.explain(r.m.alarms[alarm], t) {
			raised = append(raised, *t)
		}
	}))
	return r.raisedTroubles(alarm, raised)
}

// explain gives a trouble the status that it has by what explains it now, and reports
// whether it is raised by that. One that is no longer explained waits as if it began now:
// whatever it was, what explained it has just ended.
func (r *run) explain(a *alarmRule, t *trouble) (raised bool) {
	explained := r.isExplained(a, t)
	switch {
	case t.status == troubleRaised, explained && t.status == troubleExplained, !explained && t.status == troubleWaiting:
	case explained:
		t.status, t.due, t.wall = troubleExplained, 0, 0
	case a.settle > 0:
		t.status, t.due, t.wall = troubleWaiting, r.at+a.settle.Milliseconds(), r.s.service+a.settle.Milliseconds()
	default:
		t.status = troubleRaised
		return true
	}
	return false
}

// isExplained reports whether a trouble of the alarm that explains this one lasts, raised
// or not.
func (r *run) isExplained(a *alarmRule, t *trouble) bool {
	if a.explainedBy < 0 {
		return false
	}
	causes := r.s.troubles[a.explainedBy]
	if t.parent == "" {
		return causes.size > 0
	}
	_, found := causes.get(t.parent)
	return found
}

// settleTroubles raises the troubles of an alarm that have waited for long enough.
func (r *run) settleTroubles(alarm int) {
	var raised []trouble
	isDue := func(c *troubleChunk) bool { return c.isDue(r.s.service, r.at) }
	r.setTroubles(alarm, r.s.troubles[alarm].changed(isDue, func(t *trouble) {
		if t.status == troubleWaiting && (t.wall <= r.s.service || t.due <= r.at) {
			t.status, t.due, t.wall = troubleRaised, 0, 0
			raised = append(raised, *t)
		}
	}))
	r.observeRaised(r.raisedTroubles(alarm, raised))
}

func (r *run) raisedTroubles(alarm int, raised []trouble) []alarmEvent {
	if len(raised) == 0 {
		return nil
	}
	var events []alarmEvent
	n := r.s.countTroubles(alarm)
	for _, t := range raised {
		events = append(events, r.alarmChange(r.m.alarms[alarm], t, false, n))
	}
	return events
}

// alarmChange notes what happened to an alarm, and is its event.
func (r *run) alarmChange(a *alarmRule, t trouble, ended bool, n Alarms) alarmEvent {
	e := alarmEvent{name: a.name, data: map[string]any{
		"since": timeText(t.since), "raised": float64(n.Raised), "explained": float64(n.Explained),
	}}
	if t.key != "" {
		e.data[a.by] = t.key
	}
	if t.parent != "" {
		e.data["parent"] = t.parent
	}
	if ended {
		e.name = a.endedEvent()
		e.data["seconds"] = float64(max(0, r.at-t.since)) / 1000
	}
	r.out.Alarms = append(r.out.Alarms, AlarmChange{Alarm: a.name, Key: t.key, Ended: ended, At: fromMillis(r.at), Since: fromMillis(t.since)})
	return e
}

// nextTrouble is what of the alarms becomes due first, on each clock, where that is before
// the given ones.
func (s *Snapshot) nextTrouble(wall, event due) (due, due) {
	for i, l := range s.troubles {
		for _, c := range l.chunks {
			if c.wall.wall < wall.wall {
				wall = c.wall
				wall.index = i
			}
			if c.event.at < event.at {
				event = c.event
				event.index = i
			}
		}
	}
	return wall, event
}
