package ingest

import "time"

// pacer is the controller of the load on Temporal. From how long accepted
// signals took it derives two bounds:
//
//   - linger: how long a device rests after a signal before its next one. A
//     device that has been quiet for that long is signalled at once, so linger
//     costs time only where it saves signals: with devices that talk all the
//     time, whose batches grow meanwhile.
//   - limit: how many signals may be in flight. What waits for its turn waits
//     here, where batches grow, and not in the server, where they do not.
//
// A signal takes longer under load than the least time seen in the last minutes.
// A mean over a window of pacerWindow above congestion(least) is taken for
// congestion, if the signals in flight can be its cause: pacerCrowd of them on
// average (time spent over time passed: Little's law). A server that is slow because
// of its neighbours does not get faster by having less to do.
//
// In congestion, limit is cut by a factor; it is raised by one for each other window
// in which something had to wait because of it, and never falls below limitLeast
// (AIMD, as TCP does with its congestion window: RFC 5681, section 3.1; the least
// time as the measure of an idle path is that of TCP Vegas). So the queue is here and
// not in the server. Linger grows while there is congestion or a queue, and falls
// when there is neither. It is adjusted again only after it can have worked, is zero
// below lingerLeast, and is halved for each second without news.
//
// A pacer has no clock; time comes in, and never goes backwards.
type pacer struct {
	lingerMax time.Duration
	most      int  // signals in flight, whatever the latency
	fixed     bool // neither bound moves: no linger, most signals

	linger time.Duration
	limit  float64

	load float64 // signals in flight, averaged over about loadOver

	// The window being measured.
	since time.Time // end of the one before
	n     int
	sum   time.Duration
	bound bool // something had to wait because of limit

	adjustAt time.Time // of the next change of linger
	newsAt   time.Time // end of the last window, or when silence last lowered linger

	// The least times of this period and the one before.
	least, leastBefore time.Duration
	leastSince         time.Time
}

const (
	pacerWindow = 100 * time.Millisecond
	pacerCrowd  = 4 // signals in flight
	loadOver    = time.Second
	pacerQuiet  = time.Second // without news, linger is halved
	leastPeriod = time.Minute

	lingerFirst = 5 * time.Millisecond
	lingerLeast = 2 * time.Millisecond
	lingerUp    = 1.4
	lingerDown  = 0.8

	limitFirst = 16
	limitLeast = 8
	limitDown  = 0.7
)

func newPacer(most int, lingerMax time.Duration, fixed bool) *pacer {
	p := &pacer{lingerMax: lingerMax, most: most, fixed: fixed, limit: float64(min(most, limitFirst))}
	if fixed {
		p.lingerMax, p.limit = 0, float64(most)
	}
	return p
}

// congestion is the mean time of a signal above which the server has too much
// to do, by the time that one takes when it has nothing else to do. The
// constant keeps the noise of a fast server from counting.
func congestion(least time.Duration) time.Duration { return 2*least + 5*time.Millisecond }

// inFlight is how many signals may be on their way.
func (p *pacer) inFlight() int { return int(p.limit) }

// accepted takes the time that an accepted signal took.
func (p *pacer) accepted(took time.Duration, now time.Time) {
	if p.fixed {
		return
	}
	p.remember(took, now)
	p.n++
	p.sum += took
	if p.since.IsZero() {
		p.since = now
	}
	lasted := now.Sub(p.since)
	if lasted < pacerWindow {
		return
	}
	p.load += min(1, lasted.Seconds()/loadOver.Seconds()) * (p.sum.Seconds()/lasted.Seconds() - p.load)
	crowded := p.load >= pacerCrowd
	congested := crowded && p.sum/time.Duration(p.n) > congestion(min(p.least, p.leastBefore))
	p.quiet(now)
	p.newsAt = now
	p.adjustLimit(congested)
	p.adjustLinger(congested || crowded && p.bound, now)
	p.since, p.n, p.sum, p.bound = now, 0, 0, false
}

// remember keeps the least time of one to two periods: a server that became
// slower permanently is not taken for a congested one forever.
func (p *pacer) remember(took time.Duration, now time.Time) {
	switch {
	case p.leastSince.IsZero():
		p.least, p.leastBefore, p.leastSince = took, took, now
	case now.Sub(p.leastSince) >= leastPeriod:
		p.least, p.leastBefore, p.leastSince = took, p.least, now
	}
	p.least = min(p.least, took)
}

func (p *pacer) adjustLimit(congested bool) {
	switch {
	case congested:
		p.limit = max(p.limit*limitDown, float64(min(limitLeast, p.most)))
	case p.bound:
		p.limit = min(p.limit+1, float64(p.most))
	}
}

func (p *pacer) adjustLinger(busy bool, now time.Time) {
	if now.Before(p.adjustAt) {
		return
	}
	if busy {
		p.linger = min(max(lingerFirst, scale(p.linger, lingerUp)), p.lingerMax)
	} else {
		p.lower(scale(p.linger, lingerDown))
	}
	p.adjustAt = now.Add(p.linger) // and then for the next window to end
}

// quiet lets linger fall with the time that brought no news.
func (p *pacer) quiet(now time.Time) {
	for p.linger > 0 && now.Sub(p.newsAt) >= pacerQuiet {
		p.newsAt = p.newsAt.Add(pacerQuiet)
		p.lower(p.linger / 2)
	}
}

// next is when quiet has something to do; ok is false if never.
func (p *pacer) next() (at time.Time, ok bool) {
	return p.newsAt.Add(pacerQuiet), p.linger > 0
}

func (p *pacer) lower(to time.Duration) {
	if to < lingerLeast {
		to = 0
	}
	p.linger = to
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }
