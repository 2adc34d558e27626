package calendar

import (
	"fmt"
	"time"
)

// Local is what a clock and a calendar on the wall show: seconds since 1970-01-01 00:00 there.
type Local int64

// LocalOf is a local time; values beyond their ranges count on, as in time.Date.
func LocalOf(year int, month time.Month, day, hour, minute, second int) Local {
	return Local(time.Date(year, month, day, hour, minute, second, 0, time.UTC).Unix())
}

// Date is a day of a calendar.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// String is the date as 2006-01-02.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday { return d.midnight().Weekday() }

// Add is the date some days later.
func (d Date) Add(days int) Date { return (d.midnight() + Local(days)*day).Date() }

func (d Date) midnight() Local { return LocalOf(d.Year, d.Month, d.Day, 0, 0, 0) }

// At is a time of that day, counted on the clock from its 00:00.
func (d Date) At(clock time.Duration) Local { return d.midnight() + Local(clock/time.Second) }

const day = 24 * 3600

// utc is the local time as if it were that of UTC.
func (l Local) utc() time.Time { return time.Unix(int64(l), 0).UTC() }

// Date is the day that the calendar shows.
func (l Local) Date() Date {
	y, m, d := l.utc().Date()
	return Date{y, m, d}
}

// Clock is the time of day that the clock shows.
func (l Local) Clock() (hour, minute, second int) { return l.utc().Clock() }

// Weekday is the day of the week.
func (l Local) Weekday() time.Weekday { return time.Weekday((floorDiv(int64(l), day)%7 + 4 + 7) % 7) }

// String is the local time as 2006-01-02T15:04:05.
func (l Local) String() string { return l.utc().Format("2006-01-02T15:04:05") }

// floorDiv is the quotient, rounded down.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
