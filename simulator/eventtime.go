package simulator

import (
	"math/rand/v2"
	"time"
)

// A device's time is believed by the service if it is at most believableAhead later
// and believableBehind earlier than the arrival. These are the service's defaults,
// written down separately; no clock of a scenario is near one of them.
const (
	believableAhead  = 5 * time.Minute
	believableBehind = 365 * 24 * time.Hour

	maxSkew = 4 * time.Minute
)

// How far the clocks are off that cannot be believed: one was never set, the other
// was set to a wrong month.
const (
	clockBehind = -20 * 365 * 24 * time.Hour
	clockAhead  = 40 * 24 * time.Hour
)

func believable(ts, arrived time.Time) bool {
	off := ts.Sub(arrived)
	return !ts.IsZero() && off <= believableAhead && off >= -believableBehind
}

// disturb draws what is wrong with a device's clock and numbers, from streams of
// their own.
func (i *Identity) disturb(s *Scenario, clock, numbering *rand.Rand) {
	u, ahead := clock.Float64(), clock.Float64() < 0.5
	switch {
	case u < s.Clock.None:
		i.Timeless = true
	case u < s.Clock.None+s.Clock.Wrong && ahead:
		i.Skew = clockAhead
	case u < s.Clock.None+s.Clock.Wrong:
		i.Skew = clockBehind
	}
	i.Unnumbered = numbering.Float64() < s.Unnumbered
}

// timeAt is what the device's clock says, in milliseconds as it is published; zero if
// the device gives no time.
func (i Identity) timeAt(now time.Time) time.Time {
	if i.Timeless {
		return time.Time{}
	}
	return now.Add(i.Skew).Truncate(time.Millisecond)
}

// believedSkew is how far the times of the device as events are off.
func (i Identity) believedSkew() time.Duration {
	if i.Timeless || i.Skew.Abs() > maxSkew {
		return 0
	}
	return i.Skew
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// eventClock is the time of a device's messages as events: the device's own where it
// is believable, and never earlier than one before; else that of the arrival, which is
// taken to be that of the PUBLISH.
type eventClock struct{ last time.Time }

func (c *eventClock) of(ts, arrived time.Time) time.Time {
	if !believable(ts, arrived) {
		return arrived
	}
	if ts.After(c.last) {
		c.last = ts
	}
	return c.last
}
