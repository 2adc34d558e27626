package dialect

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a zone that a file names is known everywhere

	"devicetwin/internal/jsonobject"
	"devicetwin/source"
	"devicetwin/wire"
)

// timing says where a device's own time is.
type timing struct {
	at   *formula
	unit time.Duration  // of numbers; 0: their size says it
	zone *time.Location // of strings without an offset; nil: they are not taken for times
}

var timingKeys = []string{"at", "unit", "zone"}

var units = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}

func (l *loader) timing(n source.Node) *timing {
	if !n.Exists() || n.IsNull() {
		return nil
	}
	f := n.Fields(timingKeys...)
	n.Require(f, "at")
	t := &timing{at: l.formula(f["at"], "time")}
	if unit := f["unit"]; unit.Exists() {
		known, ok := units[unit.String()]
		if !ok {
			unit.Faultf("unit %q: expected s, ms, us or ns", unit.String())
		}
		t.unit = known
	}
	if zone := f["zone"]; zone.Exists() {
		location, err := time.LoadLocation(zone.String())
		if err != nil || zone.String() == "" || zone.String() == "Local" {
			zone.Faultf("time zone %q: expected one such as UTC or Europe/Berlin", zone.String())
		}
		t.zone = location
	}
	return t
}

// set takes over the device's own time, or reports why not. One that is not there is
// none.
func (t *timing) set(m *wire.Received, s *scope) error {
	if t == nil {
		return nil
	}
	if found, there, known := s.find(t.at); known && there && t.unit == 0 { // with all its digits
		if sent, ok := wire.ReadTime(found); ok {
			t.take(m, sent, found, s.dialect.clock.Doubt(sent, m.Message.Time))
			return nil
		}
	}
	v, _, err := s.eval(t.at)
	if err != nil || v == nil {
		return err
	}
	sent, why := t.read(v, m.Message.Time)
	if why == "" {
		why = s.dialect.clock.Doubt(sent, m.Message.Time)
	}
	value := []byte(nil)
	if why != "" {
		value, _ = json.Marshal(v)
	}
	t.take(m, sent, value, why)
	return nil
}

// take takes over a time, or reports why not.
func (t *timing) take(m *wire.Received, sent time.Time, value []byte, why string) {
	if why != "" {
		m.Message.Faults = append(m.Message.Faults, *wire.TimeFault(value, why))
		return
	}
	m.SetSent(sent)
}

// read reads a value; why not, if it cannot.
func (t *timing) read(v any, arrival time.Time) (sent time.Time, why string) {
	switch v := v.(type) {
	case float64:
		return t.number(strconv.FormatFloat(v, 'f', -1, 64)), ""
	case string:
		if sent, ok := wire.ReadRFC3339(v); ok {
			return sent, ""
		}
		if n, ok := jsonobject.Parse([]byte(v)); ok && n.Kind() == jsonobject.Number {
			return t.number(string(n)), "" // with all its digits, which a float64 does not keep
		}
		return t.local(v, arrival)
	}
	return time.Time{}, "expected a number or a string; found " + kindOf(v)
}

// number reads the time since 1970, a number in JSON.
func (t *timing) number(n string) time.Time {
	if t.unit == 0 {
		return wire.ReadUnix(n)
	}
	return wire.ReadUnixIn(n, t.unit)
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
