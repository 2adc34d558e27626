package points

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"devicetwin/internal/text"
)

// head is the batch that is being written.
type head struct {
	// parts are what is left of it: itself, or the pieces in which a bad point
	// is looked for. The first is being written or tried again.
	parts  []batch
	stored bool      // it came from the log, where it stays until it is written
	end    int64     // of it in the log
	since  time.Time // when its first point was appended there
	// naming is the error of a partial write. All that InfluxDB takes is written
	// then and counted, and parts are written again only to find a refused point.
	naming   error
	requests int // that the search may still make
}

// maxSearch bounds the requests of the search for bad points in one batch.
// Finding one of 5,000 takes about 25.
const maxSearch = 256

func newHead(b batch, stored bool) *head {
	return &head{parts: []batch{b}, stored: stored, end: b.end, since: b.since, requests: maxSearch}
}

// split puts the two halves of the first part in its place. It reports false
// if that cannot be, or not any more.
func (h *head) split() bool {
	n := len(h.parts[0].lines) / 2
	if n == 0 || h.requests < 2 {
		return false
	}
	h.requests -= 2
	halves := []batch{newBatch(h.parts[0].lines[:n]), newBatch(h.parts[0].lines[n:])}
	h.parts = append(halves, h.parts[1:]...)
	return true
}

// narrow keeps the half that holds a refused point: the first, or if that one
// was written, the second. It reports false if the search ends there.
func (h *head) narrow(firstRefused bool) (more bool) {
	suspect := h.parts[1]
	if firstRefused {
		suspect = h.parts[0]
	}
	h.parts = []batch{suspect}
	return h.split()
}

// rest is all that is left, in one batch.
func (h *head) rest() (b batch) {
	for _, part := range h.parts {
		for _, l := range part.lines {
			b.add(l)
		}
	}
	return b
}

// batch is lines that are written together.
type batch struct {
	lines []string
	bytes int
	// Of a batch that came from the log: the position before which everything was read
	// once it is written, 0 if that was so before; and when its first line
	// was appended. Of one that is on its way there: when its first line was given.
	end   int64
	since time.Time
}

func newBatch(lines []string) (b batch) {
	for _, l := range lines {
		b.add(l)
	}
	return b
}

func (b *batch) add(line string) {
	b.lines = append(b.lines, line)
	b.bytes += len(line) + 1
}

// pointName is enough of a line to know the point by: its series and as many
// fields as fit, and its time.
func pointName(line string) string {
	const enough = 300
	if len(line) <= enough {
		return line
	}
	return text.Clip(line, enough) + line[strings.LastIndexByte(line, ' '):]
}

// refusedPoint names a point that InfluxDB rejected.
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
// series and time each time. There is one search for each report.
func (c *collector) partly(err error, refused uint64) {
	part := c.head.parts[0]
	points := uint64(len(part.lines))
	if len(c.head.parts) > 1 || points == 1 || refused == points || c.searched {
		c.name(part, err)
		if refused == points {
			c.refuseAll(part, err)
		}
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
		what, _ = classify(err)
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
		if rest := search.rest(); len(rest.lines) == 1 {
			c.refuseAll(rest, search.naming)
		}
	}
	c.send()
}

// name keeps the first of some points for the next report.
func (c *collector) name(b batch, err error) {
	if len(c.named) < maxNamed {
		c.named = append(c.named, refusedPoint{pointName(b.lines[0]), len(b.lines), err})
	}
}

// report logs what was lost since the last time.
func (c *collector) report() {
	c.searched = false
	dropped, refused := c.w.counts.dropped.Load(), c.w.counts.refused.Load()
	if dropped+refused == c.reported {
		return
	}
	c.reported = dropped + refused
	for _, r := range c.named {
		args := []any{"point", r.point, "error", text.Clip(r.err.Error(), 500)}
		if r.among > 1 {
			args = append(args, "or_among_the_next", r.among-1)
		}
		c.w.log.Error("InfluxDB rejected a point", args...)
	}
	c.named = nil
	c.w.log.Error("points are lost: dropped because there was no room, or rejected by InfluxDB (totals)",
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
