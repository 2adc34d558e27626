package calendar

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Days is a set of days of the week; its zero value has no day.
type Days uint8

// AllDays is every day of the week.
const AllDays Days = everyWeekday

// Has reports whether a day is in the set.
func (d Days) Has(day time.Weekday) bool { return d&(1<<day) != 0 }

// ParseDays reads days of the week such as mon-fri, or sat,sun. A range may go over the end of
// the week: fri-mon.
func ParseDays(text string) (Days, error) {
	var set Days
	for _, item := range strings.Split(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(item), "-")
		if !isRange {
			to = from
		}
		low, top := dayOf(from), dayOf(to)
		if low < 0 || top < 0 {
			return 0, fmt.Errorf("days %q: expected names such as mon, mon-fri or sat,sun", text)
		}
		for v := low; ; v = (v + 1) % 7 {
			set |= 1 << v
			if v == top {
				break
			}
		}
	}
	return set, nil
}

func dayOf(name string) int { return slices.Index(dayNames, strings.ToLower(strings.TrimSpace(name))) }

// ParseClock reads a time of day such as 08:00, counted from 00:00. 24:00 is the end of the
// day.
func ParseClock(text string) (time.Duration, error) {
	if text == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("time of day %q: expected hours and minutes such as 08:00", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// Times is times of day, on some days of the week.
type Times struct {
	Days   Days
	Clocks []time.Duration // in their order, each once
}

// Next is the first time after another at which it is one of the times of day, by the rules of
// the package for changes of clocks. It reports false if there is none in the time for which the zone is known.
func (s *Times) Next(z *Zone, after time.Time) (time.Time, bool) {
	if !z.knows(after.Unix()) || len(s.Clocks) == 0 || s.Days == 0 {
		return time.Time{}, false
	}
	u, ok := z.nextMeant(after.Unix(), s.nextLocal)
	return time.Unix(u, 0).UTC(), ok && z.knows(u)
}

func (s *Times) nextLocal(l Local) (Local, bool) {
	d := l.Date()
	for range 9 {
		if s.Days.Has(d.Weekday()) {
			for _, clock := range s.Clocks {
				if at := d.At(clock); at >= l {
					return at, true
				}
			}
		}
		d = d.Add(1)
	}
	return 0, false
}

// Every is a length of time, again and again from some moment on, which is not one of them
// itself. It does not know of clocks.
type Every struct {
	From   time.Time
	Length time.Duration
}

// Next is the first one after a time.
func (e Every) Next(after time.Time) (time.Time, bool) {
	if e.Length <= 0 {
		return time.Time{}, false
	}
	passed := after.Sub(e.From)
	n := passed / e.Length
	if passed < 0 && n*e.Length > passed {
		n--
	}
	return e.From.Add((max(n, 0) + 1) * e.Length).UTC(), true
}

// Hours are the hours of a week at which something is open: business hours.
type Hours struct{ spans [7][]span } // by the day on which they begin

// span is a part of a day, or of the night that begins on it.
type span struct{ from, to time.Duration } // to is beyond 24 hours if it is on the next day

// Add adds hours such as "08:00-12:00, 13:00-17:00" to each of the days. What ends before it
// begins ends on the next day: 22:00-06:00. The error is the first fault.
func (h *Hours) Add(days Days, text string) error {
	for _, item := range strings.Split(text, ",") {
		from, to, ok := strings.Cut(item, "-")
		if !ok {
			return fmt.Errorf("hours %q: expected times such as 08:00-17:00, or several with commas", text)
		}
		begins, err := ParseClock(strings.TrimSpace(from))
		if err != nil {
			return err
		}
		ends, err := ParseClock(strings.TrimSpace(to))
		if err != nil {
			return err
		}
		switch {
		case begins == 24*time.Hour || begins == ends:
			return fmt.Errorf("hours %q: they are empty; the whole day is 00:00-24:00", strings.TrimSpace(item))
		case ends < begins:
			ends += 24 * time.Hour
		}
		for d := range h.spans {
			if days.Has(time.Weekday(d)) {
				h.spans[d] = append(h.spans[d], span{begins, ends})
			}
		}
	}
	return nil
}

// Empty reports whether it is never open.
func (h *Hours) Empty() bool {
	return !slices.ContainsFunc(h.spans[:], func(s []span) bool { return len(s) > 0 })
}

// Edges are the times of day at which it opens or closes, in their order, each once.
func (h *Hours) Edges() []time.Duration {
	var edges []time.Duration
	for _, spans := range h.spans {
		for _, s := range spans {
			edges = append(edges, s.from%(24*time.Hour), s.to%(24*time.Hour))
		}
	}
	slices.Sort(edges)
	return slices.Compact(edges)
}

// Open reports whether it is open at a time: from the moment that an opening time means up to
// the one that a closing time means. A closing time that comes twice is the second one. Ok is
// false outside of what the zone knows.
func (h *Hours) Open(z *Zone, t time.Time) (open, ok bool) {
	l, ok := z.Local(t)
	if !ok {
		return false, false
	}
	for d := l.Date().Add(-2); ; d = d.Add(1) {
		for _, s := range h.spans[d.Weekday()] {
			from, to := h.moments(z, d, s)
			if from <= t.Unix() && t.Unix() < to {
				return true, true
			}
		}
		if d.At(0) > l+maxOffset {
			return false, true
		}
	}
}

// moments are those at which a span begins and ends on a day.
func (h *Hours) moments(z *Zone, d Date, s span) (from, to int64) {
	from, _, _, _ = z.instants(int64(d.At(s.from)))
	_, to, _, _ = z.instants(int64(d.At(s.to)))
	return from, to
}

// Next is the first time after another at which it opens or closes. It reports false if there
// is none in the time for which the zone is known.
func (h *Hours) Next(z *Zone, after time.Time) (at time.Time, opens, ok bool) {
	l, ok := z.Local(after)
	if !ok {
		return time.Time{}, false, false
	}
	var edges []int64
	for d, n := l.Date().Add(-2), 0; n < 2*7+4; d, n = d.Add(1), n+1 {
		for _, s := range h.spans[d.Weekday()] {
			from, to := h.moments(z, d, s)
			if from < to {
				edges = append(edges, from, to)
			}
		}
	}
	slices.Sort(edges)
	for _, e := range slices.Compact(edges) {
		if e <= after.Unix() || !z.knows(e) {
			continue
		}
		at := time.Unix(e, 0).UTC()
		now, _ := h.Open(z, at)
		before, _ := h.Open(z, at.Add(-time.Second))
		if now != before {
			return at, now, true
		}
	}
	return time.Time{}, false, false
}

// String is the days by their names, as ParseDays reads them.
func (d Days) String() string {
	has := func(i int) bool { return i < 7 && d.Has(time.Weekday((i+1)%7)) }
	name := func(i int) string { return dayNames[(i+1)%7] }
	var items []string
	for i := 0; i < 7; i++ { // from Monday on
		if !has(i) {
			continue
		}
		first := i
		for has(i + 1) {
			i++
		}
		switch i - first {
		case 0:
			items = append(items, name(first))
		case 1:
			items = append(items, name(first), name(i))
		default:
			items = append(items, name(first)+"-"+name(i))
		}
	}
	return strings.Join(items, ",")
}
