package ingest

import "time"

// growth is how fast the backlog grows: over the last growthOver, about.
type growth struct {
	at   time.Time
	then int     // messages
	rate float64 // a second
}

const (
	growthEvery = time.Second
	growthOver  = 10 * time.Second
)

// observe takes the backlog of now. It reports whether there is news.
func (g *growth) observe(backlog int, now time.Time) bool {
	passed := now.Sub(g.at)
	switch {
	case g.at.IsZero():
		g.at, g.then = now, backlog
		return true
	case passed < growthEvery && (backlog > 0 || g.then == 0):
		return false
	}
	rate := float64(backlog-g.then) / max(passed, time.Millisecond).Seconds()
	g.rate += min(1, passed.Seconds()/growthOver.Seconds()) * (rate - g.rate)
	if backlog == 0 && g.then == 0 {
		g.rate = 0
	}
	g.at, g.then = now, backlog
	return true
}

// empty is when the backlog will be, in seconds: -1 if it does not fall.
func (g *growth) empty() int64 {
	switch {
	case g.then == 0:
		return 0
	case g.rate >= 0:
		return -1
	}
	return max(1, int64(float64(g.then)/-g.rate))
}

// observeLog takes over what the log and its backlog are like.
func (i *Ingest) observeLog(now time.Time) {
	c := i.core
	if !i.growth.observe(c.backlog, now) {
		return
	}
	stats := i.deps.Journal.Stats()
	c.counts.BacklogGrowth.Store(int64(i.growth.rate))
	c.counts.BacklogEmpty.Store(i.growth.empty())
	c.counts.LogBytes.Store(stats.End - stats.Begin)
	c.counts.LogFull.Store(c.blocked.len() > 0)
	c.counts.LogFailures.Store(stats.Failures)
}
