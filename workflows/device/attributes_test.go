package device

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// A device that talks without changing anything shows when it was last seen, at the
// cost of an upsert every quarter of an hour.
func TestLastSeenIsWrittenOnceInAWhile(t *testing.T) {
	h := newHarness(t, 0)
	h.at(time.Second, boot())
	for minute := range 40 {
		h.at(time.Duration(minute+1)*time.Minute, reading(20))
	}
	h.runUntil(41 * time.Minute)
	// At the start, with the first boot, and after 15 and 30 minutes more.
	h.AssertNumberOfCalls(t, "workflow.UpsertTypedSearchAttributes", 4)
	view := h.view()
	if written, seen := view.Attributes.LastSeen, view.Seen; written.IsZero() || written.Nanosecond() != 0 || seen.Sub(written) < 0 || seen.Sub(written) >= seenEvery {
		t.Errorf("last seen at %v, and the search attribute says %v", seen, written)
	}
}

// What search attributes say of signs of life and faults is less exact than the state,
// and nothing under earlier rules.
func TestFiguresOfSearchAttributes(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		rules  int
		have   Attributes
		seen   time.Time
		faults uint64
		want   Attributes
	}{
		{"never seen", rulesCorners, Attributes{}, time.Time{}, 0, Attributes{}},
		{"seen for the first time", rulesCorners, Attributes{}, at.Add(time.Millisecond), 0, Attributes{LastSeen: at}},
		{"seen a moment ago", rulesCorners, Attributes{LastSeen: at}, at.Add(seenEvery - 1), 0, Attributes{LastSeen: at}},
		{"seen a while ago", rulesCorners, Attributes{LastSeen: at}, at.Add(seenEvery), 0, Attributes{LastSeen: at.Add(seenEvery)}},
		{"a clock that was put back", rulesCorners, Attributes{LastSeen: at}, at.Add(-time.Hour), 0, Attributes{LastSeen: at}},
		{"faults", rulesCorners, Attributes{Faults: 8}, time.Time{}, 9, Attributes{Faults: 9}},
		{"many faults", rulesCorners, Attributes{Faults: 10}, time.Time{}, 29, Attributes{Faults: 20}},
		{"earlier rules", rulesMessages, Attributes{}, at, 9, Attributes{}},
	} {
		d := run{settings: runSettings{Rules: tt.rules}, state: &State{Seen: tt.seen, ReportCount: tt.faults}}
		seen, faults := d.figures(tt.have)
		if !seen.Equal(tt.want.LastSeen) || faults != tt.want.Faults {
			t.Errorf("%s: %v and %d faults, want %v and %d", tt.name, seen, faults, tt.want.LastSeen, tt.want.Faults)
		}
	}
}

// Search attributes are what every database of Temporal's stores, and no more than
// Temporal takes of one.
func TestSearchAttributesAreStorable(t *testing.T) {
	long := strings.Repeat("<", 128) // 768 bytes of JSON
	large := Attributes{Tags: []string{"a=" + long, "b=" + long, "c=" + long, "d=\x00"}, Properties: []string{"p=" + strings.Repeat("x", 3000)}}
	odd := Attributes{
		States: []string{"a\x00", "b"}, Model: "pump", Firmware: "\x001\x00", Site: "\x01\t\u0085", Tags: []string{"k=v"}, Properties: []string{"reported.x=\x00"},
	}
	fit := Attributes{Tags: []string{"a=" + strings.Repeat("v", 2042)}} // with ["…"], 2048 bytes
	for _, tt := range []struct {
		name    string
		rules   int
		have    Attributes
		want    Attributes
		reports []string
	}{
		{"nothing", rulesCorners, Attributes{}, Attributes{}, nil},
		{"U+0000", rulesCorners, odd, Attributes{
			States: []string{"a\ufffd", "b"}, Model: "pump", Firmware: "\ufffd1\ufffd", Site: "\x01\t\u0085", Tags: []string{"k=v"}, Properties: []string{"reported.x=\ufffd"},
		}, nil},
		{"just fits", rulesCorners, fit, fit, nil},
		{"too large", rulesCorners, large, Attributes{Tags: []string{"a=" + long, "b=" + long, "d=\ufffd"}, Properties: []string{}}, []string{
			"search attribute DeviceTags: 1 of 4 values are left out, the first is c: it has at most 2048 bytes",
			"search attribute DeviceProperties: 1 of 1 values are left out, the first is p: it has at most 2048 bytes",
		}},
		{"earlier rules", rulesMessages, large, large, nil},
	} {
		d := run{settings: runSettings{Rules: tt.rules}, state: &State{}}
		for range 2 { // and reported once
			got := tt.have
			if d.makeStorable(&got, time.Time{}); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s: %s, want %s", tt.name, text(got), text(tt.want))
			}
		}
		var reports []string
		for _, r := range d.state.Reports {
			reports = append(reports, r.Detail)
		}
		if !slices.Equal(reports, tt.reports) || d.state.ReportCount != uint64(len(tt.reports)) {
			t.Errorf("%s: reports %q, want %q", tt.name, reports, tt.reports)
		}
	}
}

// Lists that are not looked at closely would fit.
func TestCertainlyFit(t *testing.T) {
	for range 2000 {
		values := make([]string, rand.IntN(20))
		for i := range values {
			runes := make([]rune, rand.IntN(60))
			for j := range runes {
				runes[j] = []rune("abcdefgh<>&\"\\\n\x01\x7f\u00e9\u2028\U0001f600\xff")[rand.IntN(19)]
			}
			values[i] = string(runes)
		}
		raw, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		if certainlyFit(values) && len(raw) > maxAttribute {
			t.Fatalf("%d bytes: %s", len(raw), raw)
		}
	}
}

func TestRounded(t *testing.T) {
	for n, want := range map[uint64]int64{0: 0, 1: 1, 9: 9, 10: 10, 11: 10, 19: 10, 99: 90, 100: 100, 999: 900, 123_456: 100_000, math.MaxUint64: 9e18} {
		if got := rounded(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}
