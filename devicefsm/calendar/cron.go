package calendar

import (
	"math/bits"
	"time"
)

// Cron is a parsed cron expression: see ParseCron. Its zero value is never due.
type Cron struct {
	text     string
	minutes  uint64 // bit of each minute
	hours    uint32
	days     uint32 // of the month; bit 0 is its last day
	months   uint16
	weekdays uint8 // bit 0 is Sunday
}

const (
	everyMinute  = 1<<60 - 1
	everyHour    = 1<<24 - 1
	everyDay     = 1<<32 - 2
	everyMonth   = 1<<13 - 2
	everyWeekday = 1<<7 - 1
	lastDay      = 1 // bit of days
)

// String is the expression as it was written.
func (c Cron) String() string { return c.text }

// paced reports whether the expression is for every hour of the day, and so means a pace, not
// times of day.
func (c *Cron) paced() bool { return c.hours == everyHour }

// matches reports whether the expression is for a day. Where it names days of the month and
// days of the week, either is enough, as in POSIX.
func (c *Cron) matches(d Date) bool {
	if c.months&(1<<d.Month) == 0 {
		return false
	}
	ofMonth := c.days&(1<<d.Day) != 0 || c.days&lastDay != 0 && d.Add(1).Day == 1
	ofWeek := c.weekdays&(1<<d.Weekday()) != 0
	switch {
	case c.days == everyDay:
		return ofWeek
	case c.weekdays == everyWeekday:
		return ofMonth
	}
	return ofMonth || ofWeek
}

// searchDays bounds how far ahead a day is looked for: 29 February is eight years away when
// a century has none.
const searchDays = 366*8 + 2

// nextLocal is the first local time of the expression at or after another.
func (c *Cron) nextLocal(l Local) (Local, bool) {
	l = Local(-floorDiv(-int64(l), 60) * 60) // the next whole minute
	d := l.Date()
	hour, minute, _ := l.Clock()
	for range searchDays {
		if c.matches(d) {
			if clock, ok := c.nextClock(hour, minute); ok {
				return d.At(clock), true
			}
		}
		d, hour, minute = d.Add(1), 0, 0
	}
	return 0, false
}

// nextClock is the first time of day at or after another.
func (c *Cron) nextClock(hour, minute int) (time.Duration, bool) {
	if c.minutes == 0 {
		return 0, false
	}
	for h := nextBit(uint64(c.hours), hour); h < 64; h = nextBit(uint64(c.hours), h+1) {
		if h > hour {
			minute = 0
		}
		if m := nextBit(c.minutes, minute); m < 64 {
			return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute, true
		}
	}
	return 0, false
}

// nextBit is the first bit that is set, from one on; 64 if there is none.
func nextBit(set uint64, from int) int { return bits.TrailingZeros64(set >> from << from) }

// Next is the first time after another at which the expression is due in a zone, by the rules
// of the package for changes of clocks. It reports false if there is none in the time for which the zone is
// known, or in eight years.
func (c *Cron) Next(z *Zone, after time.Time) (time.Time, bool) {
	if !z.knows(after.Unix()) {
		return time.Time{}, false
	}
	var u int64
	var ok bool
	if c.paced() {
		u, ok = c.nextShown(z, after.Unix())
	} else {
		u, ok = z.nextMeant(after.Unix(), c.nextLocal)
	}
	if !ok || !z.knows(u) {
		return time.Time{}, false
	}
	return time.Unix(u, 0).UTC(), true
}

// nextShown is the first moment after another at which the clock shows a time of the
// expression.
func (c *Cron) nextShown(z *Zone, after int64) (int64, bool) {
	from := after + 1
	for {
		offset, ends, hasEnd := z.segment(from)
		l, ok := c.nextLocal(Local(from + offset))
		switch u := int64(l) - offset; {
		case ok && (!hasEnd || u < ends):
			return u, true
		case !hasEnd || !ok:
			return 0, false
		}
		from = ends
	}
}

// segment is the offset at a time, and when it ends.
func (z *Zone) segment(u int64) (offset, ends int64, hasEnd bool) {
	offset = z.offset
	for _, c := range z.changes {
		if c.at > u {
			return offset, c.at, true
		}
		offset = c.offset
	}
	return offset, 0, false
}

// nextMeant is the first moment after another that is meant by a local time of a sequence,
// which next goes through: the first one at or after a local time.
func (z *Zone) nextMeant(after int64, next func(Local) (Local, bool)) (int64, bool) {
	l := Local(after+z.at(after)) + 1
	if z.changesAround(after) {
		l -= maxOffset
	}
	for {
		at, ok := next(l)
		if !ok {
			return 0, false
		}
		first, _, _, known := z.instants(int64(at))
		switch {
		case !known && first > after:
			return 0, false
		case first > after:
			return first, true
		}
		l = at + 1
	}
}

// changesAround reports whether a clock is set so near to a time that local times before it
// may mean moments after it.
func (z *Zone) changesAround(u int64) bool {
	for _, c := range z.changes {
		if c.at > u-maxOffset && c.at < u+maxOffset {
			return true
		}
	}
	return false
}

// Clock is the first time of day of the expression at or after another. It reports false if
// there is none, and for an expression for every hour of the day, which means a pace.
func (c *Cron) Clock(from time.Duration) (time.Duration, bool) {
	if c.paced() || from >= 24*time.Hour {
		return 0, false
	}
	return c.nextClock(int(from/time.Hour), int(from%time.Hour/time.Minute))
}
