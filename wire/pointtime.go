package wire

import "time"

// pointTime is the time of a message's point: the device's, if it gives one that can
// be believed, else that of the arrival.
func pointTime(ts any, at time.Time) (t time.Time, dated bool) {
	ms, ok := ts.(float64)
	if !ok || !believed(ms, at) {
		return at, false
	}
	return time.UnixMilli(int64(ms)).UTC(), true
}

// believed reports whether a device's time, in Unix milliseconds, can be right.
func believed(ms float64, arrival time.Time) bool {
	if ms < 0 || ms > maxInteger {
		return false
	}
	t := time.UnixMilli(int64(ms))
	return !t.After(arrival.Add(maxClockAhead)) && !t.Before(arrival.Add(-maxClockBehind))
}
