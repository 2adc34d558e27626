package devicefsm

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"devicetwin/devicefsm/calendar"
)

// schedules finds schedules that probably mean something else than they say: at times that
// some days do not have, or have twice, never, or for nobody.
func (c *checker) schedules() {
	for _, s := range c.m.states {
		for _, of := range s.schedules {
			c.untaken(of)
			c.neverDue(of)
			c.unevenDays(of)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.hoursAt)) {
		if !c.usedHours[name] {
			c.hoursAt[name].FaultHint("a schedule with hours, opens or closes uses them, or inHours in an expression", "hours %q are never used", name)
		}
	}
	c.unevenHours()
	c.clockInAlways()
}

func (c *checker) untaken(of *schedule) {
	if !slices.ContainsFunc(c.m.descriptors(), func(d descriptor) bool { return d.matches(of.name) }) {
		c.scheduleAt[of].KeyAt.Faultf("nothing takes the event %q of this schedule", of.name)
	}
}

// neverDue tries a schedule by UTC: whether it is ever due does not depend on the zone.
func (c *checker) neverDue(of *schedule) {
	zones := calendar.Zones{}
	for _, name := range c.m.zones {
		zones[name] = calendar.UTC
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if due, err := of.next(zones, start.UnixMilli()); err == nil && due == never {
		at := c.scheduleAt[of]
		switch {
		case of.during != nil:
			at.Value.Faultf("schedule %q is never due in hours %q", of.name, of.during.name)
		case of.edge != nil:
			at.Value.Faultf("schedule %q is never due: hours %q neither open nor close", of.name, of.edge.name)
		}
	}
}

func (c *checker) unevenDays(of *schedule) {
	fields := c.scheduleAt[of].Value.Fields(scheduleKeys...)
	missing, twice := calendar.UnevenHours(of.zone)
	n := fields["at"]
	if of.cron != nil {
		n = fields["cron"]
		if _, warnings, err := calendar.ParseCron(n.String()); err == nil {
			for _, w := range warnings {
				n.Faultf("cron expression %q: %s", n.String(), w)
			}
		}
	}
	if clock, ok := firstClock(of, missing); ok {
		n.Faultf("%s: when clocks are put forward in %s, there is no %s; it is due at the change then", of.text, of.zone, clockText(clock))
	}
	if clock, ok := firstClock(of, twice); ok {
		n.Faultf("%s: when clocks are put back in %s, %s comes twice; it is due the first time", of.text, of.zone, clockText(clock))
	}
}

// firstClock is the first time of day of a schedule in one of several spans such as 02:00-03:00.
func firstClock(of *schedule, spans string) (time.Duration, bool) {
	for low, high := range spansIn(spans) {
		switch {
		case of.times != nil:
			for _, clock := range of.times.Clocks {
				if low <= clock && clock < high {
					return clock, true
				}
			}
		case of.cron != nil:
			if clock, ok := of.cron.Clock(low); ok && clock < high {
				return clock, true
			}
		}
	}
	return 0, false
}

func clockText(clock time.Duration) string {
	return fmt.Sprintf("%02d:%02d", clock/time.Hour, clock%time.Hour/time.Minute)
}

// unevenHours finds business hours that begin or end at a time of day that a zone does not
// always have once.
func (c *checker) unevenHours() {
	for _, name := range slices.Sorted(maps.Keys(c.hoursAt)) {
		h := c.m.hours[name]
		missing, twice := calendar.UnevenHours(h.zone)
		for _, clock := range h.hours.Edges() {
			if within(clock, missing) {
				c.hoursAt[name].Faultf("hours %q: when clocks are put forward in %s, there is no %s; they begin or end at the change then", name, h.zone, clockText(clock))
			}
			if within(clock, twice) {
				c.hoursAt[name].Faultf("hours %q: when clocks are put back in %s, %s comes twice; they begin the first time and end the second time", name, h.zone, clockText(clock))
			}
		}
	}
}

// within reports whether a time of day is in one of several spans such as 02:00-03:00.
func within(clock time.Duration, spans string) bool {
	for low, high := range spansIn(spans) {
		if low <= clock && clock < high {
			return true
		}
	}
	return false
}

// spansIn are the times of day at which each of several spans begins and ends; "" has none.
func spansIn(text string) iter.Seq2[time.Duration, time.Duration] {
	return func(yield func(low, high time.Duration) bool) {
		for span := range strings.SplitSeq(text, ",") {
			from, to, _ := strings.Cut(span, "-")
			low, err := calendar.ParseClock(from)
			high, err2 := calendar.ParseClock(to)
			if err == nil && err2 == nil && !yield(low, high) {
				return
			}
		}
	}
}

// clockInAlways finds eventless transitions that wait for a time: nothing happens then at
// which they would be looked at.
func (c *checker) clockInAlways() {
	for _, s := range c.m.states {
		for _, t := range s.always {
			if t.guard != nil && t.guard.readsClock() {
				c.places[t].FaultHint("a schedule raises an event at a time", "guard %q goes by the time, and always is looked at only when something else happens", t.guard.source)
			}
		}
	}
}
