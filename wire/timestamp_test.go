package wire

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/internal/jsonobject"
)

// Each form of a time that devices send is recognised, with all its digits.
func TestTheTimeOfADeviceIsRecognised(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	second := time.Date(2026, 3, 1, 11, 59, 58, 0, time.UTC)
	for ts, want := range map[string]time.Time{
		"1772366398":                         second,
		"1772366398000":                      second,
		"1772366398000000":                   second,
		"1772366398000000000":                second,
		"1772366398.5":                       second.Add(500 * time.Millisecond),
		"1772366398.123456789":               second.Add(123456789),
		"1772366398.1234567899":              second.Add(123456789),
		"1772366398123.4567":                 second.Add(123456700),
		"1772366398123456":                   second.Add(123456000),
		"1772366398123456.789":               second.Add(123456789),
		"1772366398123456789":                second.Add(123456789),
		"1.772366398e9":                      second,
		"1.772366398123E+12":                 second.Add(123 * time.Millisecond),
		"17723663981234567890000e-4":         second.Add(123456789),
		`"1772366398"`:                       second,
		`"1772366398123"`:                    second.Add(123 * time.Millisecond),
		`" 1772366398.25 "`:                  second.Add(250 * time.Millisecond),
		`"2026-03-01T11:59:58Z"`:             second,
		`"2026-03-01T11:59:58.123456789Z"`:   second.Add(123456789),
		`"2026-03-01t11:59:58z"`:             second,
		`"2026-03-01 13:59:58.25+02:00"`:     second.Add(250 * time.Millisecond),
		`"2026-03-01T04:59:58-07:00"`:        second,
		`"2026-03-01T11:59:58\u005a"`:        second,
		fmt.Sprint(at.Unix() + 300):          at.Add(5 * time.Minute),
		fmt.Sprint(at.Unix() - 365*24*60*60): at.Add(-365 * 24 * time.Hour),
	} {
		received, refused := standard(t, nil).decodePayload(address{}, []byte(`{"ts":`+ts+`,"a":1}`), false, at)
		if refused != nil {
			t.Errorf("ts %s: %v", ts, refused)
			continue
		}
		r := received[0]
		if !r.PointTime.Equal(want) || !r.Dated || !r.Message.Sent.Equal(want.Truncate(time.Millisecond)) || r.Message.Sent.Location() != time.UTC ||
			len(r.Message.Faults) != 0 {
			t.Errorf("ts %s: message %v, point %v, faults %v, want %v", ts, r.Message.Sent, r.PointTime, r.Message.Faults, want)
		}
		if _, ok := r.Message.Data["ts"]; ok || len(r.Message.Data) != 1 {
			t.Errorf("ts %s: data %v", ts, r.Message.Data)
		}
	}
}

// A time that cannot be read, or not be believed, counts as the arrival, and that
// is reported.
func TestATimeThatIsNotTakenIsReported(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const unread, ahead, behind = "ts: " + timeForms + "; found ", "ts: more than 5m0s ahead of the arrival", "ts: more than 8760h0m0s behind the arrival"
	for ts, want := range map[string]string{
		`"yesterday"`:               unread + "another string",
		`""`:                        unread + "another string",
		`"2026-03-01T11:59:58"`:     unread + "another string", // of which zone?
		`"2026-03-01"`:              unread + "another string",
		`"0x69a4307e"`:              unread + "another string",
		`"1e999"`:                   unread + "another string",
		"null":                      unread + "null",
		"true":                      unread + "a boolean",
		"{}":                        unread + "an object",
		"[1772366398]":              unread + "an array",
		"0":                         behind,
		"-1":                        behind,
		"-1772366398":               behind,
		"86400":                     behind, // a device that counts since its start
		"1e-300":                    behind,
		"0e99999999999":             behind,
		"1e300":                     ahead,
		"9e18":                      ahead,
		"9223372036854775808":       ahead,
		strings.Repeat("9", 300):    ahead,
		`"2026-03-01T12:05:00.1Z"`:  ahead,
		`"2025-03-01T11:59:59.9Z"`:  behind,
		`"2262-05-01T00:00:00Z"`:    ahead,
		`"0000-01-01T00:00:00Z"`:    behind,
		fmt.Sprint(at.Unix() + 301): ahead,
	} {
		received, refused := standard(t, nil).decodePayload(address{}, []byte(`{"ts":`+ts+`}`), false, at)
		if refused != nil {
			t.Errorf("ts %s: %v", ts, refused)
			continue
		}
		r := received[0]
		if r.Dated || !r.Message.Sent.IsZero() || !r.PointTime.Equal(at) || !r.Message.At().Equal(at) {
			t.Errorf("ts %s: point %v, dated %v, want the arrival", ts, r.PointTime, r.Dated)
		}
		if f := r.Message.Faults; len(f) != 1 || f[0].Reason != device.FaultTime || f[0].Detail != want ||
			!strings.HasPrefix(ts, strings.TrimSuffix(f[0].Value, "…")) || len(f[0].Value) > device.MaxFaultValue+3 {
			t.Errorf("ts %s: faults %+v, want %s", ts, f, want)
		}
	}
	received, _ := standard(t, nil).decodePayload(address{}, []byte(`{"a":1}`), false, at)
	if r := received[0]; len(r.Message.Faults) != 0 || r.Dated {
		t.Errorf("without ts: %+v", r)
	}
}

// What is believed is a setting, and the last of several counts, as everywhere in
// JSON.
func TestBelievedTimesAreASetting(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := standard(t, func(c *Config) { c.MaxClockAhead, c.MaxClockBehind = 0, time.Hour })
	for payload, believed := range map[string]bool{
		`{"ts":1772366400}`:                   true,
		`{"ts":1772366400.001}`:               false,
		`{"ts":1772362800}`:                   true,
		`{"ts":1772362799.999}`:               false,
		`{"ts":1,"ts":1772366400}`:            true,
		`{"ts":1772366400,"ts":1}`:            false,
		`{"ts":1772366400,"a":{"ts":"noon"}}`: true,
		`{"\u0074s":1772366400}`:              true,
	} {
		received, refused := s.decodePayload(address{}, []byte(payload), false, at)
		if refused != nil || received[0].Dated != believed || (len(received[0].Message.Faults) == 0) != believed {
			t.Errorf("%s: %+v, %v", payload, received, refused)
		}
	}
}

// FuzzTime writes a time in each form, and reads it again.
func FuzzTime(f *testing.F) {
	f.Add(int64(1772366398123456789))
	f.Add(int64(100_000_000_000_000_000))
	f.Add(int64(9_000_000_000_000_000_000))
	f.Fuzz(func(t *testing.T, ns int64) {
		const earliest, latest = 100_000_000_000_000_000, 9_000_000_000_000_000_000 // 1973, 2255
		if ns < earliest || ns >= latest {
			return
		}
		want := time.Unix(0, ns).UTC()
		fixed := func(point int) string {
			s := strconv.FormatInt(ns, 10)
			return s[:len(s)-point] + "." + s[len(s)-point:]
		}
		rounded := func(unit time.Duration) string { return strconv.FormatInt(ns/int64(unit), 10) }
		for _, form := range []struct {
			text string
			unit time.Duration
		}{
			{rounded(time.Second), time.Second}, {rounded(time.Millisecond), time.Millisecond},
			{rounded(time.Microsecond), time.Microsecond}, {rounded(1), 1},
			{fixed(9), 1}, {fixed(6), 1}, {fixed(3), 1},
			{"0." + strings.ReplaceAll(fixed(9), ".", "") + "e" + strconv.Itoa(len(rounded(1))), 1},
			{`"` + want.Format(time.RFC3339) + `"`, time.Second}, {`"` + want.Format(time.RFC3339Nano) + `"`, 1},
			{`"` + want.In(time.FixedZone("", -5*60*60)).Format(time.RFC3339Nano) + `"`, 1},
			{`"` + fixed(6) + `"`, 1},
		} {
			v, ok := jsonobject.Parse([]byte(form.text))
			if !ok {
				t.Fatalf("%s is not JSON", form.text)
			}
			got, ok := ReadTime(v)
			if !ok || !got.Equal(want.Truncate(form.unit)) {
				t.Errorf("%s is read as %v, %v, want %v", form.text, got, ok, want.Truncate(form.unit))
			}
		}
	})
}
