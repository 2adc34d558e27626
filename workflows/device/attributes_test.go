package device

import (
	"math"
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

func TestRounded(t *testing.T) {
	for n, want := range map[uint64]int64{0: 0, 1: 1, 9: 9, 10: 10, 11: 10, 19: 10, 99: 90, 100: 100, 999: 900, 123_456: 100_000, math.MaxUint64: 9e18} {
		if got := rounded(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}
