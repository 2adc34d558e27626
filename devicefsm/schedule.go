package devicefsm

import (
	"fmt"
	"slices"
	"time"

	"devicetwin/devicefsm/calendar"
)

// Bounds of schedules.
const (
	maxSchedules = 64          // of a model
	minEvery     = time.Second // between two occurrences
	// keptMissed is how many occurrences of a schedule come in one step that were missed: the
	// latest ones. Those before them are left out, and reported.
	keptMissed = 100
	// maxSkipped bounds how many days without opening hours are passed over.
	maxSkipped = 4000
)

// schedule raises an event at times of a calendar, as long as its state is active.
type schedule struct {
	name  string
	state *state
	zone  string // by what clock; "" where that does not matter

	every  time.Duration
	from   time.Time // a moment that every counts from; zero: since the state was entered
	times  *calendar.Times
	cron   *calendar.Cron
	edge   *businessHours // raised when these open, or close
	opens  bool
	during *businessHours // only while these are open
	text   string         // for people: cron "*/5 8-17 * * 1-5"
}

// businessHours is an entry of `hours:`.
type businessHours struct {
	name  string
	zone  string
	hours calendar.Hours
}

// armed is a schedule that runs.
type armed struct {
	of    *schedule
	since int64 // its last occurrence, or when its state was entered; unix milliseconds
	due   int64 // its next one, on the service's clock; never for none that is known
}

// never is the due time of a schedule that has none.
const never = int64(1<<63 - 1)

// next is the first occurrence after a time, on the service's clock. The error says which
// zone is not known.
func (s *schedule) next(zones calendar.Zones, since int64) (int64, error) {
	after := time.UnixMilli(since).UTC()
	for range maxSkipped {
		at, ok, err := s.nextOf(zones, since, after)
		if err != nil || !ok {
			return never, err
		}
		if s.during == nil {
			return at.UnixMilli(), nil
		}
		z, err := zoneOf(zones, s.during.zone)
		if err != nil {
			return never, err
		}
		if open, ok := s.during.hours.Open(z, at); !ok || open {
			return orNever(at, ok), nil
		}
		opening, ok := s.during.nextEdge(z, at, true)
		if !ok {
			return never, nil
		}
		after = opening.Add(-time.Second)
	}
	return never, nil
}

func orNever(at time.Time, ok bool) int64 {
	if !ok {
		return never
	}
	return at.UnixMilli()
}

// nextOf is the first occurrence after a time, whatever hours are open.
func (s *schedule) nextOf(zones calendar.Zones, since int64, after time.Time) (at time.Time, ok bool, err error) {
	if s.every > 0 {
		from := s.from
		if from.IsZero() {
			from = time.UnixMilli(since).UTC()
		}
		at, ok = calendar.Every{From: from, Length: s.every}.Next(after)
		return at, ok, nil
	}
	z, err := zoneOf(zones, s.zone)
	if err != nil {
		return time.Time{}, false, err
	}
	switch {
	case s.times != nil:
		at, ok = s.times.Next(z, after)
	case s.cron != nil:
		at, ok = s.cron.Next(z, after)
	default:
		at, ok = s.edge.nextEdge(z, after, s.opens)
	}
	return at, ok, nil
}

// nextEdge is when the hours open next, or close.
func (h *businessHours) nextEdge(z *calendar.Zone, after time.Time, opens bool) (time.Time, bool) {
	for {
		at, opened, ok := h.hours.Next(z, after)
		if !ok || opened == opens {
			return at, ok
		}
		after = at
	}
}

func zoneOf(zones calendar.Zones, name string) (*calendar.Zone, error) {
	z, ok := zones.Zone(name)
	if !ok {
		return nil, fmt.Errorf("time zone %q is not recorded", name)
	}
	return z, nil
}

// startSchedules starts those of a state that was entered. Those of the whole chart belong to
// the device, and go on when the chart is left and entered again.
func (r *run) startSchedules(s *state) {
	for _, of := range s.schedules {
		if s.parent == nil && slices.ContainsFunc(r.s.schedules, func(a armed) bool { return a.of == of }) {
			continue
		}
		a := armed{of: of, since: r.s.service}
		r.arm(&a)
		r.s.schedules = append(slices.Clone(r.s.schedules), a)
	}
}

// arm finds the next occurrence.
func (r *run) arm(a *armed) {
	due, err := a.of.next(r.s.zones, a.since)
	if err != nil {
		r.fault("schedule %q: %v", a.of.name, err)
	}
	a.due = due
}

func (r *run) stopSchedules(s *state) {
	if len(s.schedules) == 0 || s.parent == nil {
		return
	}
	r.s.schedules = slices.DeleteFunc(slices.Clone(r.s.schedules), func(a armed) bool { return a.of.state == s })
}

// fireSchedule raises the event of a schedule that is due.
func (r *run) fireSchedule(i int) {
	r.changed = true
	r.s.schedules = slices.Clone(r.s.schedules)
	a := &r.s.schedules[i]
	at := a.due
	a.since = at
	r.arm(a)
	r.clock.now = at
	data := r.occurrence(a.of, at)
	r.external(a.of.name, data, r.ownTime(a.of.name, data))
}

// occurrence is the data of the event of a schedule.
func (r *run) occurrence(of *schedule, at int64) map[string]any {
	due := fromMillis(at)
	data := map[string]any{"due": due.Format(time.RFC3339)}
	zone := of.zone
	if zone == "" {
		zone = r.m.zone
	}
	if z, ok := r.s.zones.Zone(zone); ok {
		if l, known := z.Local(due); known {
			data["local"] = l.String()
		}
	}
	return data
}

// leaveOutMissed leaves out all but the latest occurrences of each schedule that were missed
// up to a time of the service's clock, as while the service was down for long.
func (r *run) leaveOutMissed(service int64) {
	for i := range r.s.schedules {
		a := r.s.schedules[i]
		if a.due > service || !a.atLeast(r.s.zones, a.since, service, keptMissed+1) {
			continue
		}
		// The latest moment after which so many are left: at low there are more, at high fewer.
		low, high := a.since, service
		for high-low > time.Second.Milliseconds() {
			if middle := low + (high-low)/2; a.atLeast(r.s.zones, middle, service, keptMissed) {
				low = middle
			} else {
				high = middle
			}
		}
		first := a.due
		a.since = a.phase(low)
		r.arm(&a)
		r.changed = true
		r.s.schedules = slices.Clone(r.s.schedules)
		r.s.schedules[i] = a
		r.fault("schedule %q: more than %d occurrences were missed; those from %s to %s are left out",
			a.of.name, keptMissed, fromMillis(first).Format(time.RFC3339), fromMillis(low).Format(time.RFC3339))
	}
}

// phase is the last moment up to a time from which a length of time counts on; of any other
// schedule it is the time.
func (a *armed) phase(at int64) int64 {
	if length := a.of.every.Milliseconds(); length > 0 && a.of.from.IsZero() {
		return a.since + (at-a.since)/length*length
	}
	return at
}

// atLeast reports whether there are n occurrences after a time, up to another.
func (a *armed) atLeast(zones calendar.Zones, after, until int64, n int) bool {
	at := a.phase(after)
	for range n {
		due, err := a.of.next(zones, at)
		if err != nil || due > until {
			return false
		}
		at = due
	}
	return true
}

// Schedule is a schedule that runs.
type Schedule struct {
	Name  string    `json:"name"`            // also of its event
	State string    `json:"state,omitempty"` // path of the state that it belongs to; "" is the whole chart
	Rule  string    `json:"rule"`            // for people: cron "*/5 8-17 * * 1-5"
	Zone  string    `json:"zone,omitempty"`  // "" where no clock matters
	Next  time.Time `json:"next,omitzero"`   // zero if there is none in the years that are known
}

// Schedules are those that run, in the order of the model, with their next times.
func (m *Model) Schedules(s *Snapshot) []Schedule {
	s, err := m.bind(s)
	if err != nil || s.done {
		return nil
	}
	var list []Schedule
	for _, a := range s.schedules {
		next := Schedule{Name: a.of.name, State: a.of.state.path, Rule: a.of.text, Zone: a.of.zone}
		if a.due != never {
			next.Next = fromMillis(a.due)
		}
		list = append(list, next)
	}
	return list
}
