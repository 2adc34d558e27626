package bridge

import (
	"strings"

	"devicetwin/internal/text"
)

// head is the batch that is being written.
type head struct {
	// parts are what is left of it: itself, or the pieces in which a bad point
	// is looked for. The first is being written or tried again.
	parts  []batch
	stored bool // it came from the spool, where it stays until it is written
	// naming is the error of a partial write. All that InfluxDB takes is written
	// then and counted, and parts are written again only to find a refused point.
	naming   error
	requests int // that the search may still make
}

// maxSearch bounds the requests of the search for bad points in one batch.
// Finding one of 5,000 takes about 25.
const maxSearch = 256

func newHead(b batch, stored bool) *head {
	return &head{parts: []batch{b}, stored: stored, requests: maxSearch}
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
// was written, the second. It reports false if that is to be its last word.
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
