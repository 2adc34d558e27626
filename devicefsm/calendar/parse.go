package calendar

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// field is one of the five of a cron expression.
type field struct {
	name     string
	low, top int
	names    []string // of the values from low on
	period   int      // after how many values it begins again, if that is always the same
}

var fields = [5]field{
	{"minute", 0, 59, nil, 60},
	{"hour", 0, 23, nil, 24},
	{"day of the month", 1, 31, nil, 0},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}, 12},
	{"day of the week", 0, 7, dayNames, 7},
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// nicknames are those of the field's usual crons.
var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// ParseCron reads a cron expression of five fields: minute, hour, day of the month, month, day
// of the week (POSIX crontab). A field is *, or a list of numbers, names (jan, mon) and ranges, each of
// which may have a step: 1-5, */15, 8-18/2. Sunday is 0 and 7, ? is *, and L is the last day
// of the month. @hourly, @daily, @weekly, @monthly and @yearly are names of expressions.
//
// Warnings say where an expression probably does not mean what it seems to. The error names every
// fault at once.
func ParseCron(text string) (c Cron, warnings []string, err error) {
	c.text = text
	expression := text
	if full, ok := nicknames[strings.ToLower(text)]; ok {
		expression = full
	}
	parts := strings.Fields(expression)
	if len(parts) != len(fields) {
		hint := ""
		if len(parts) == 6 || len(parts) == 7 {
			hint = "; there is none for seconds or years"
		}
		return Cron{}, nil, fmt.Errorf("cron expression %q: expected 5 fields (minute, hour, day of the month, month, day of the week), found %d%s", text, len(parts), hint)
	}
	var sets [5]uint64
	var errs []error
	for i := range fields {
		set, warned, err := fields[i].parse(parts[i], i == dayField)
		if err != nil {
			errs = append(errs, fmt.Errorf("cron expression %q: %s %q: %w", text, fields[i].name, parts[i], err))
		}
		sets[i], warnings = set, append(warnings, warned...)
	}
	if len(errs) > 0 {
		return Cron{}, nil, errors.Join(errs...)
	}
	if sets[4]&(1<<7) != 0 {
		sets[4] = sets[4]&^(1<<7) | 1
	}
	c.minutes, c.hours, c.days, c.months, c.weekdays = sets[0], uint32(sets[1]), uint32(sets[2]), uint16(sets[3]), uint8(sets[4])
	more, err := c.dayWarnings()
	if err != nil {
		return Cron{}, nil, fmt.Errorf("cron expression %q: %w", text, err)
	}
	return c, append(warnings, more...), nil
}

const dayField = 2

func (f *field) parse(text string, lastDays bool) (set uint64, warnings []string, err error) {
	for _, item := range strings.Split(text, ",") {
		if lastDays && strings.EqualFold(item, "l") {
			set |= lastDay
			continue
		}
		span, stepText, stepped := strings.Cut(item, "/")
		low, top, err := f.span(span, stepped)
		if err != nil {
			return 0, nil, err
		}
		step := 1
		if stepped {
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > f.top {
				return 0, nil, fmt.Errorf("the step %q: expected a number from 1 to %d", stepText, f.top)
			}
			if span == "*" || span == "?" {
				warnings = append(warnings, f.unevenWarning(step)...)
			}
		}
		for v := low; v <= top; v += step {
			set |= 1 << v
		}
	}
	return set, warnings, nil
}

// span is the range of an item: with a step, one value is a range up to the end.
func (f *field) span(text string, stepped bool) (low, top int, err error) {
	if text == "*" || text == "?" {
		top := f.top
		if f.names != nil && f.low == 0 {
			top-- // 7 is Sunday again
		}
		return f.low, top, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if low, err = f.value(from); err != nil {
		return 0, 0, err
	}
	switch {
	case isRange:
		if top, err = f.value(to); err != nil {
			return 0, 0, err
		}
		if top == 0 && low > 0 && f.low == 0 && f.names != nil {
			top = 7 // fri-sun
		}
		if top < low {
			return 0, 0, fmt.Errorf("%s: the range ends before it begins", text)
		}
		return low, top, nil
	case stepped:
		return low, f.top, nil
	}
	return low, low, nil
}

func (f *field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.low + i, nil
		}
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < f.low || v > f.top || text[0] == '+' || text[0] == '-' {
		expected := fmt.Sprintf("expected a number from %d to %d", f.low, f.top)
		if f.names != nil {
			expected += " or a name such as " + f.names[1]
		}
		return 0, fmt.Errorf("%q: %s", text, expected)
	}
	return v, nil
}

// unevenWarning is about */step where the field begins again before the next step.
func (f *field) unevenWarning(step int) []string {
	switch {
	case step == 1:
		return nil
	case f.period == 0: // days
		var named []string
		for v := f.low; v <= f.top; v += step {
			named = append(named, strconv.Itoa(v))
		}
		return []string{fmt.Sprintf("*/%d in the field of days begins again with each month: it is the days %s; a schedule with every: %dd has no such breaks",
			step, strings.Join(named, ", "), step)}
	case f.period%step != 0:
		return []string{fmt.Sprintf("*/%d in the field of the %s begins again at %d: the last step before it is shorter", step, f.name, f.low)}
	}
	return nil
}

// longest are the days of the months; those of February in leap years.
var longest = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// dayWarnings are about days that some months do not have, and days that are named twice. It
// is an error if there is no such day at all.
func (c *Cron) dayWarnings() (warnings []string, err error) {
	if c.days == everyDay {
		return nil, nil
	}
	if c.weekdays != everyWeekday {
		warnings = append(warnings, "days of the month and days of the week are both named: either is enough, so that it is due on each of them (POSIX)")
		return warnings, nil
	}
	if c.days&lastDay != 0 {
		return nil, nil
	}
	first := bits.TrailingZeros32(c.days) // the day that most months have
	if top := bits.Len32(c.days) - 1; first < 29 && top >= 29 && c.days&(1<<(top-1)) == 0 && !strings.Contains(c.text, "*/") {
		return []string{fmt.Sprintf("it is not due on day %d in months without one; L is the last day of each month", top)}, nil
	}
	var without []string
	some := false
	for m := 1; m <= 12; m++ {
		switch {
		case c.months&(1<<m) == 0:
		case longest[m] < first:
			without = append(without, fields[3].names[m-1])
		case m == 2 && first == 29:
			some = true
			without = append(without, "feb except in leap years")
		default:
			some = true
		}
	}
	switch {
	case !some:
		return nil, fmt.Errorf("it is never due: no month that it names has a day %d", first)
	case len(without) > 0:
		warnings = append(warnings, fmt.Sprintf("it is never due in months without a day %d (%s); L is the last day of each month", first, strings.Join(without, ", ")))
	}
	return warnings, nil
}
