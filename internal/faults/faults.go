// Package faults collects the errors of a configuration, so that they are reported
// together: one error with a line for each of them.
package faults

import (
	"errors"
	"fmt"
	"time"
)

// List is the faults found so far. The zero value is an empty list.
type List []error

// Add adds an error; nil adds nothing.
func (l *List) Add(err error) {
	if err != nil {
		*l = append(*l, err)
	}
}

// Check adds a fault, formatted as by fmt.Errorf, unless ok.
func (l *List) Check(ok bool, format string, args ...any) {
	if !ok {
		l.Add(fmt.Errorf(format, args...))
	}
}

// Between expects low <= got <= high.
func (l *List) Between(what string, got, low, high int) {
	l.Check(low <= got && got <= high, "%s %d: expected %d to %d", what, got, low, high)
}

// Positive expects a duration above 0.
func (l *List) Positive(what string, got time.Duration) {
	l.Check(got > 0, "%s %v: expected a positive duration", what, got)
}

// NotNegative expects a duration of 0 or above.
func (l *List) NotNegative(what string, got time.Duration) {
	l.Check(got >= 0, "%s %v: expected a duration of at least 0s", what, got)
}

// Ordered expects 0 < low <= high.
func (l *List) Ordered(what string, low, high time.Duration) {
	l.Check(low > 0 && low <= high, "%s from %v to %v: expected positive durations, the first not above the second", what, low, high)
}

// Err is nil if there are no faults, else all of them joined by errors.Join.
func (l List) Err() error { return errors.Join(l...) }
