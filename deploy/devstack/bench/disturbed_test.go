package bench

import (
	"math"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
)

func TestSeriesOverLives(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	var c series
	for i, v := range []float64{0, 10, 20, 5, 15, 15, 15, 35} { // the fourth is of another life
		c.add(at(i), v)
	}
	for _, test := range []struct {
		from, to int
		want     float64
	}{{0, 3, 25.0 / 3}, {3, 4, 10}, {0, 8, 55.0 / 8}, {5, 6, 0}} {
		if got := c.rate(at(test.from).Add(time.Millisecond), at(test.to).Add(time.Millisecond)); math.Abs(got-test.want) > 0.01 {
			t.Errorf("from %d to %d: %v a second, expected %v", test.from, test.to, got, test.want)
		}
	}
	if got := c.lowest(at(1), at(8), 2*time.Second); got != 0 {
		t.Errorf("lowest rate over two seconds: %v, expected that of the pause, 0", got)
	}
}

// Points that are missing are a violation of a bridge with a log, and of each case only
// those that it lost.
func TestMissedPoints(t *testing.T) {
	for ack, faults := range map[process.Ack]int{"": 0, process.Logged: 1, process.Accepted: 1} {
		s := &system{setting: setting{ack: ack}, lost: 3}
		var none, some, twice Row
		s.missed(&none, 3)
		s.missed(&some, 10)
		s.missed(&twice, 8)
		if len(none.Faults) > 0 || none.Remark != "" {
			t.Errorf("%s: nothing more is missing: %+v", ack, none)
		}
		if text := strings.Join(some.Faults, "") + some.Remark; len(some.Faults) != faults || !strings.Contains(text, "7 points are missing") {
			t.Errorf("%s: seven more are missing: %+v", ack, some)
		}
		if len(twice.Faults) > 0 || !strings.Contains(twice.Remark, "2 points more than readings") {
			t.Errorf("%s: two are there twice: %+v", ack, twice)
		}
	}
}

// As long as points come, fewer are to come; those that never do are not waited for.
func TestPointsComing(t *testing.T) {
	idle, busy := map[string]float64{}, map[string]float64{process.MetricBacklogBytes: 800}
	for name, c := range map[string]struct {
		before, found uint64
		bridge        map[string]float64
		want          int
	}{
		"they come":               {3, 5, idle, 5},
		"the bridge has some":     {5, 5, busy, 5},
		"the others are lost":     {8, 8, idle, 0},
		"the last have just come": {9, 10, idle, 1},
		"some came twice":         {11, 12, busy, 1},
		"nothing is left":         {10, 10, idle, 0},
	} {
		if got := pointsComing(10, c.before, c.found, c.bridge); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestSlowUntil(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	d := durable{delays: []delay{{at(3), time.Second / 2}, {at(2), 3 * time.Second}, {at(1), 5 * time.Second}}}
	if got := d.slowUntil(time.Second); !got.Equal(at(2)) {
		t.Errorf("slow until %v, expected that of the second message", got)
	}
	if got := d.slowUntil(time.Minute); !got.IsZero() {
		t.Errorf("slow until %v, expected never", got)
	}
}
