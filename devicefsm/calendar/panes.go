package calendar

import (
	"slices"
	"time"
)

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
	i := slices.Index(unitNames, name)
	return Unit(max(i, 0)), i >= 0
}

func (u Unit) String() string { return unitNames[u] }

// Panes numbers the days, weeks, months or years of a zone, for windows: each moment is in
// exactly one, and each begins where the one before ends. Times are in unix milliseconds.
// Beyond the years that the zone knows, its nearest offset counts: what is counted has to be
// counted somewhere.
type Panes struct {
	Unit Unit
	Zone *Zone
}

// Pane is the number of the one that a time is in. The numbers are those of the calendar: they
// stay the same when something else becomes known of the zone.
func (p Panes) Pane(at int64) int64 {
	u := floorDiv(at, 1000)
	n := p.Unit.number(Local(u + p.Zone.at(u)).Date())
	// A clock that is put back over midnight shows the end of a day again after the next one
	// has begun.
	for p.Start(n+1) <= at {
		n++
	}
	for p.Start(n) > at {
		n--
	}
	return n
}

// Start is when one begins.
func (p Panes) Start(pane int64) int64 {
	first, _, _, _ := p.Zone.instants(int64(p.Unit.numbered(pane).At(0)))
	return first * 1000
}

// mondays are the days from 1970-01-01 back to the Monday before.
const mondays = 3

// number counts the units from the one that 1970-01-01 is in; years are their own numbers.
func (u Unit) number(d Date) int64 {
	switch u {
	case Week:
		return floorDiv(int64(d.midnight())/day+mondays, 7)
	case Month:
		return int64(d.Year-1970)*12 + int64(d.Month-1)
	case Year:
		return int64(d.Year)
	}
	return int64(d.midnight()) / day
}

// numbered is the first day of the unit of a number.
func (u Unit) numbered(n int64) Date {
	switch u {
	case Week:
		return Local((n*7 - mondays) * day).Date()
	case Month:
		return LocalOf(1970, time.Month(1+n), 1, 0, 0, 0).Date()
	case Year:
		return Date{int(n), 1, 1}
	}
	return Local(n * day).Date()
}
