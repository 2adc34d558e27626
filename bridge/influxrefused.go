package bridge

import (
	"regexp"
	"strconv"

	"devicetwin/internal/text"
)

// refusedPoint names a point that InfluxDB refused.
type refusedPoint struct {
	point string // the beginning of its line, and its time
	among int    // if more than 1: it is this one, or one of so many from it on
	err   error
}

// maxNamed bounds the refused points that one report names.
const maxNamed = 10

// partly takes a partial write of the head's first part: InfluxDB has refused
// some of its points and written the others, and seldom says which. To find
// one, halves are written again, which changes nothing, as a point has the same
// series and time each time. One search for each report has to do.
func (c *collector) partly(err error, refused uint64) {
	part := c.head.parts[0]
	points := uint64(len(part.lines))
	if len(c.head.parts) > 1 || points == 1 || refused == points || c.searched {
		c.name(part, err)
		c.done(points-refused, refused)
		return
	}
	c.searched = true
	search := newHead(part, false)
	search.naming = err
	search.split()
	c.finish(points-refused, refused)
	c.head = search
	c.send()
}

// narrowed takes the result of writing the first half of those among which a
// refused point is.
func (c *collector) narrowed(err error) {
	search := c.head
	what := partial
	if err != nil {
		what, _ = judge(err)
	}
	if what == retry {
		c.head = nil
		c.name(search.rest(), search.naming) // it could not be found
		c.send()
		return
	}
	if !search.narrow(err != nil) {
		c.head = nil
		c.name(search.rest(), search.naming)
	}
	c.send()
}

// name keeps the first of some points for the next report.
func (c *collector) name(b batch, err error) {
	if len(c.named) < maxNamed {
		c.named = append(c.named, refusedPoint{pointName(b.lines[0]), len(b.lines), err})
	}
}

// report tells the log what was lost since the last time.
func (c *collector) report() {
	c.searched = false
	dropped, refused := c.w.counts.dropped.Load(), c.w.counts.refused.Load()
	if dropped+refused == c.reported {
		return
	}
	c.reported = dropped + refused
	for _, r := range c.named {
		args := []any{"point", r.point, "err", text.Clip(r.err.Error(), 500)}
		if r.among > 1 {
			args = append(args, "or_among_the_next", r.among-1)
		}
		c.w.log.Error("influxdb refused a point", args...)
	}
	c.named = nil
	c.w.log.Error("points are lost: dropped because there was no room, or refused by influxdb (totals)",
		"dropped", dropped, "refused", refused)
}

var droppedPattern = regexp.MustCompile(`dropped=(\d+)`)

// refusedIn reads how many points a partial write left out; at least one.
func refusedIn(message string, points int) uint64 {
	if m := droppedPattern.FindStringSubmatch(message); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			return uint64(min(n, points))
		}
	}
	return 1
}
