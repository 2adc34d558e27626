package calendar

import "time"

// Unit is a part of a calendar.
type Unit int

// The units of a calendar. A Week begins on Monday.
const (
	Day Unit = iota
	Week
	Month
	Year
)

var unitNames = []string{"day", "week", "month", "year"}

// ParseUnit is the unit of a name: day, week, month or year.
func ParseUnit(name string) (Unit, bool) {
	for i, n := range unitNames {
		if n == name {
			return Unit(i), true
		}
	}
	return 0, false
}

func (u Unit) String() string { return unitNames[u] }

// Period is a part of a calendar as time: Start <= t < End.
type Period struct {
	First      Date // its first day
	Start, End time.Time
}

// Period is the day, week, month or year that contains a time. Each moment is in exactly one.
// It reports false where the zone does not know all of it.
func (z *Zone) Period(u Unit, t time.Time) (Period, bool) {
	local, ok := z.Local(t)
	if !ok {
		return Period{}, false
	}
	first := u.first(local.Date())
	// A clock that is put back over midnight shows the end of a day again after the next one
	// has begun.
	for _, candidate := range []Date{first, u.next(first, 1), u.next(first, -1)} {
		if p, ok := z.period(u, candidate); ok && !t.Before(p.Start) && t.Before(p.End) {
			return p, true
		}
	}
	return Period{}, false
}

// After is the period that follows.
func (z *Zone) After(u Unit, p Period) (Period, bool) { return z.period(u, u.next(p.First, 1)) }

func (z *Zone) period(u Unit, first Date) (Period, bool) {
	start, known := z.Instant(first.At(0))
	end, known2 := z.Instant(u.next(first, 1).At(0))
	return Period{first, start, end}, known && (known2 || z.endsWith(end))
}

// endsWith reports whether what is known ends with this moment.
func (z *Zone) endsWith(end time.Time) bool { return end.Unix() == z.until }

// first is the first day of the part of the calendar that a day is in.
func (u Unit) first(d Date) Date {
	switch u {
	case Week:
		return d.Add(-(int(d.Weekday()) + 6) % 7)
	case Month:
		return Date{d.Year, d.Month, 1}
	case Year:
		return Date{d.Year, time.January, 1}
	}
	return d
}

// next is the first day of the part that is n later.
func (u Unit) next(first Date, n int) Date {
	switch u {
	case Week:
		return first.Add(7 * n)
	case Month:
		return LocalOf(first.Year, first.Month+time.Month(n), 1, 0, 0, 0).Date()
	case Year:
		return Date{first.Year + n, time.January, 1}
	}
	return first.Add(n)
}
