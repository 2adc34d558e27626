package bench

import (
	"math"
	"testing"
	"time"
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
