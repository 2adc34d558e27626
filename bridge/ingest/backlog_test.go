package ingest

import (
	"testing"
	"time"
)

func TestGrowthOfTheBacklog(t *testing.T) {
	var g growth
	at := time.Unix(0, 0)
	play := func(seconds, from, by int) int {
		for range seconds {
			at = at.Add(time.Second)
			from += by
			g.observe(from, at)
		}
		return from
	}
	if g.empty() != 0 {
		t.Errorf("nothing waits: empty in %d s", g.empty())
	}
	n := play(60, 0, 100)
	if g.rate < 99 || g.rate > 101 || g.empty() != -1 {
		t.Errorf("it grows by 100/s: %v, empty in %d s", g.rate, g.empty())
	}
	n = play(50, n, -50)
	if g.rate > -49 || g.rate < -51 || g.empty() < int64(n/51) || g.empty() > int64(n/49) {
		t.Errorf("%d wait, 50/s leave: %v, empty in %d s", n, g.rate, g.empty())
	}
	play(n/50, n, -50)
	if g.empty() != 0 {
		t.Errorf("it is empty: in %d s", g.empty())
	}
	play(1, 0, 0)
	if g.rate != 0 {
		t.Errorf("it stays empty: %v", g.rate)
	}
	if play(1, 0, 10); !g.observe(0, at.Add(time.Millisecond)) || g.empty() != 0 {
		t.Error("it is empty, and that is not news")
	}
	if g.observe(5, at.Add(time.Millisecond)) {
		t.Error("news after a millisecond")
	}
}
