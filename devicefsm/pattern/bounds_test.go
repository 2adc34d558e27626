package pattern

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// partials is a State as JSON with n partial matches that are equal but for a
// number.
func partials(n int, number int64) string {
	part := fmt.Sprintf("[0,0,-1,0,0,%d,1,0,1,2,0]", number)
	return `{"n":1,"t":0,"p":[` + strings.TrimSuffix(strings.Repeat(part+",", n), ",") + `]}`
}

func TestWhatIsReadIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		fits bool
	}{
		"partial matches":          {partials(maxWire, 0), true},
		"too many partial matches": {partials(maxWire+1, 0), false},
		"a number":                 {partials(1, maxExact), true},
		"too large a number":       {partials(1, maxExact+1), false},
		"too small a number":       {partials(1, -maxExact-1), false},
		"steps":                    {`{"n":1,"t":0,"p":[[0,0,-1,0,0,0,1,31,1,2,0]]}`, true},
		"too many steps":           {`{"n":1,"t":0,"p":[[0,0,-1,0,0,0,1,32,1,2,0]]}`, false},
	} {
		var s State
		if err := json.Unmarshal([]byte(tc.text), &s); tc.fits != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBoundsOfASpec(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(s *Spec, n int)
		most int
	}{
		"MaxPartials": {func(s *Spec, n int) { s.MaxPartials = n }, 256},
		"MaxKept":     {func(s *Spec, n int) { s.MaxKept = n }, 256},
	} {
		for n, fits := range map[int]bool{tc.most: true, tc.most + 1: false} {
			spec := seq(of("a"))
			tc.set(&spec, n)
			if _, err := Compile(spec); fits != (err == nil) {
				t.Errorf("%s %d: %v", name, n, err)
			}
		}
	}
}

// Far times do not overflow when a duration is added.
func TestTimesAreClamped(t *testing.T) {
	m := compile(t, seq(of("a"), of("b")).with(func(s *Spec) { s.Within, s.Timeouts = time.Hour, true }))
	for _, seconds := range []int64{math.MaxInt64 / 2, math.MinInt64 / 2} {
		now := time.Unix(seconds, 0)
		s, _ := m.Step(State{}, Event{Name: "a", Time: now})
		at, ok := m.Deadline(s)
		if !ok || at.Unix() < -maxSeconds || at.Unix() > maxSeconds+3600 {
			t.Errorf("deadline %v, %v", at.Unix(), ok)
		}
	}
}
