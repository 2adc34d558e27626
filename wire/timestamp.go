package wire

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/internal/jsonobject"
	"devicetwin/internal/text"
)

// timeForms is what the key ts may be.
const timeForms = "expected the time since 1970 in s, ms, µs or ns, or an RFC 3339 string with an offset"

// Clock says how far a device's clock may be from ours for its time to be believed:
// ahead of the arrival of a message, and behind it, which counts messages that waited.
type Clock struct{ MaxAhead, MaxBehind time.Duration }

// Doubt says why a device's time is not believed; "": it is.
func (c Clock) Doubt(t, arrival time.Time) string {
	switch {
	case t.After(arrival.Add(c.MaxAhead)):
		return fmt.Sprintf("more than %v ahead of the arrival", c.MaxAhead)
	case t.Before(arrival.Add(-c.MaxBehind)):
		return fmt.Sprintf("more than %v behind the arrival", c.MaxBehind)
	}
	return ""
}

// TimeFault is that of a value which is not taken for the device's time. The value is in
// JSON.
func TimeFault(value []byte, why string) *device.Fault {
	return &device.Fault{Reason: device.FaultTime, Detail: "ts: " + why, Value: text.Clip(string(value), device.MaxFaultValue)}
}

// sentTime reads the key ts of a message. It is the device's time in nanoseconds,
// UTC, where it can be read and is believed; else zero, and the fault says why.
func (c Config) sentTime(ts jsonobject.Value, arrival time.Time) (time.Time, *device.Fault) {
	t, known := ReadTime(ts)
	if !known {
		return time.Time{}, TimeFault(ts, timeForms+"; found "+kindOf(ts))
	}
	if doubt := (Clock{c.MaxClockAhead, c.MaxClockBehind}).Doubt(t, arrival); doubt != "" {
		return time.Time{}, TimeFault(ts, doubt)
	}
	return t, nil
}

// kindOf names the type of a value that is not a number.
func kindOf(v jsonobject.Value) string {
	switch v.Kind() {
	case jsonobject.Null:
		return "null"
	case jsonobject.Bool:
		return "a boolean"
	case jsonobject.Array:
		return "an array"
	case jsonobject.Object:
		return "an object"
	}
	return "another string"
}

// ReadTime reads a JSON number, a string with one, or an RFC 3339 string.
func ReadTime(ts jsonobject.Value) (t time.Time, ok bool) {
	switch ts.Kind() {
	case jsonobject.Number:
		if n, ok := ts.Integer(); ok {
			return plainUnix(n, len(ts)), true
		}
		return ReadUnix(string(ts)), true
	case jsonobject.String:
		s := ts.Text()
		if v, ok := jsonobject.Parse([]byte(s)); ok && v.Kind() == jsonobject.Number {
			return ReadUnix(string(v)), true
		}
		return ReadRFC3339(s)
	}
	return time.Time{}, false
}

// ReadRFC3339 reads a date and a time with an offset. T and Z may be in lower case,
// and a space may stand for T (RFC 3339, section 5.6).
func ReadRFC3339(s string) (time.Time, bool) {
	const date = len("2006-01-02")
	if len(s) <= date {
		return time.Time{}, false
	}
	b := []byte(s)
	if b[date] == 't' || b[date] == ' ' {
		b[date] = 'T'
	}
	if last := len(b) - 1; b[last] == 'z' {
		b[last] = 'Z'
	}
	t, err := time.Parse(time.RFC3339Nano, string(b))
	return t.UTC(), err == nil
}

// Digits before the decimal point, at most, of the time since 1970 in each unit: of
// seconds until the year 5138, of milliseconds and microseconds since 1973.
const (
	secondsDigits = 11
	millisDigits  = 14
	microsDigits  = 17
)

// ReadUnix reads the time since 1970, whose unit its size shows, to the nanosecond.
// It works on the text, because a float64 does not keep the digits.
func ReadUnix(number string) time.Time {
	switch _, point, _ := decimal(number); {
	case point <= secondsDigits:
		return ReadUnixIn(number, time.Second)
	case point <= millisDigits:
		return ReadUnixIn(number, time.Millisecond)
	case point <= microsDigits:
		return ReadUnixIn(number, time.Microsecond)
	}
	return ReadUnixIn(number, time.Nanosecond)
}

// ReadUnixIn reads the time since 1970 in seconds, milliseconds, microseconds or
// nanoseconds, to the nanosecond.
func ReadUnixIn(number string, unit time.Duration) time.Time {
	digits, point, negative := decimal(number)
	for ; unit > 1; unit /= 10 {
		point++
	}
	ns, err := strconv.ParseInt(whole(digits, point), 10, 64)
	switch {
	case err != nil:
		ns = math.MaxInt64 // beyond the year 2262, which nobody believes
	case negative:
		ns = -ns
	}
	return time.Unix(0, ns).UTC()
}

// plainUnix is ReadUnix of a number of a few digits without leading zeros: of
// nearly every message that has a ts.
func plainUnix(n int64, digits int) time.Time {
	switch {
	case digits <= secondsDigits:
		return time.Unix(n, 0).UTC()
	case digits <= millisDigits:
		return time.UnixMilli(n).UTC()
	}
	return time.UnixMicro(n).UTC()
}

// decimal splits a number in JSON: it is 0.digits × 10^point, without leading zeros.
func decimal(number string) (digits string, point int, negative bool) {
	number, negative = strings.CutPrefix(number, "-")
	if at := strings.IndexAny(number, "eE"); at >= 0 {
		// Out of range means zero here: the number fits a float64.
		exponent, err := strconv.Atoi(number[at+1:])
		if err != nil {
			return "", 0, negative
		}
		number, point = number[:at], exponent
	}
	before, after, _ := strings.Cut(number, ".")
	digits = before + after
	point += len(before)
	significant := strings.TrimLeft(digits, "0")
	if significant == "" {
		return "", 0, negative
	}
	return significant, point - (len(digits) - len(significant)), negative
}

// whole are the digits before the decimal point.
func whole(digits string, point int) string {
	const most = 20 // more do not fit an int64
	switch point = min(point, most); {
	case point <= 0:
		return "0"
	case point <= len(digits):
		return digits[:point]
	}
	return digits + strings.Repeat("0", point-len(digits))
}
