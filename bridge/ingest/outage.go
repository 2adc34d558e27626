package ingest

import "time"

// outageAfter is how many signals in a row must fail before it is taken for an
// outage of Temporal and not for the trouble of some devices.
const outageAfter = 3

// outage notices that Temporal is unavailable, by failures in a row with no success
// between them. Then one signal at a time tries, with growing pauses, instead
// of every device for itself.
type outage struct {
	failures int
	on       bool
	since    time.Time // of the first failure
	until    time.Time // pause before the next try
	tries    int
}

// failed notes a failure and reports whether with it an outage began.
func (o *outage) failed(now time.Time, wait func(int) time.Duration) (began bool) {
	if o.failures == 0 {
		o.since = now
	}
	o.failures++
	if o.failures < outageAfter {
		return false
	}
	began = !o.on
	o.on = true
	if !now.Before(o.until) { // those that were in flight together count as one try
		o.until = now.Add(wait(o.tries))
		o.tries++
	}
	return began
}

// over notes a success and reports how long the outage lasted that it ended.
func (o *outage) over(now time.Time) (lasted time.Duration, was bool) {
	lasted, was = now.Sub(o.since), o.on
	*o = outage{}
	return lasted, was
}

// limit is how many signals may be in flight.
func (o *outage) limit(usual int) int {
	if o.on {
		return 1
	}
	return usual
}

// closed reports that no signal may be tried now.
func (o *outage) closed(now time.Time) bool { return o.on && now.Before(o.until) }
