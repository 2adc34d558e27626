package dialect

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a zone that a file names is known everywhere

	"devicetwin/internal/expression"
	"devicetwin/wire"
)

// timing says where a device's own time is.
type timing struct {
	at   *expression.Program
	unit time.Duration  // of numbers; 0: their size says it
	zone *time.Location // of strings without an offset; nil: they are not taken for times
}

var units = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}

// set takes over the device's own time, or reports why not. One that is not there is
// none.
func (t *timing) set(m *wire.Received, s *scope, clock wire.Clock) error {
	if t == nil {
		return nil
	}
	v, err := s.eval("time", t.at)
	if err != nil || v == nil {
		return err
	}
	sent, why := t.read(v, m.Message.Time)
	if why == "" {
		why = clock.Doubt(sent, m.Message.Time)
	}
	if why != "" {
		value, _ := json.Marshal(v)
		m.Message.Faults = append(m.Message.Faults, *wire.TimeFault(value, why))
		return nil
	}
	m.SetSent(sent)
	return nil
}

// read reads a value; why not, if it cannot.
func (t *timing) read(v any, arrival time.Time) (sent time.Time, why string) {
	switch v := v.(type) {
	case float64:
		return t.number(v), ""
	case string:
		if sent, ok := wire.ReadRFC3339(v); ok {
			return sent, ""
		}
		if n, err := strconv.ParseFloat(v, 64); err == nil && !math.IsInf(n, 0) && !math.IsNaN(n) {
			return t.number(n), ""
		}
		return t.local(v, arrival)
	}
	return time.Time{}, "expected a number or a string; found " + kindOf(v)
}

func (t *timing) number(n float64) time.Time {
	text := strconv.FormatFloat(n, 'f', -1, 64)
	if t.unit == 0 {
		return wire.ReadUnix(text)
	}
	return wire.ReadUnixIn(text, t.unit)
}

// local reads a time without an offset. Of the hour that comes twice in autumn, the
// one is meant that is nearer to the arrival.
func (t *timing) local(s string, arrival time.Time) (sent time.Time, why string) {
	zone := t.zone
	if zone == nil {
		zone = time.UTC
	}
	const form = "2006-01-02T15:04:05.999999999"
	sent, err := time.ParseInLocation(form, strings.Replace(s, " ", "T", 1), zone)
	switch {
	case err != nil:
		return time.Time{}, "expected the time since 1970 or an RFC 3339 string; found another string"
	case t.zone == nil:
		return time.Time{}, "it has no offset, and the dialect names no zone"
	}
	best := sent
	for _, other := range []time.Time{sent.Add(-time.Hour), sent.Add(time.Hour)} {
		if other.In(zone).Format(form) == sent.Format(form) && arrival.Sub(other).Abs() < arrival.Sub(best).Abs() {
			best = other
		}
	}
	return best.UTC(), ""
}
