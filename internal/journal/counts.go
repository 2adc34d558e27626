package journal

import (
	"sync/atomic"

	"devicetwin/internal/figures"
)

// Why entries are lost.
const (
	lostFull = "full" // more at once than the writer could take
	lostDisk = "disk" // they could not be written
)

// Counts is what a writer counts.
type Counts struct {
	*figures.Set
	entries *atomic.Uint64
	lost    map[string]*atomic.Uint64
	bytes   *atomic.Int64
	removed *atomic.Uint64
}

// NewCounts declares the metrics.
func NewCounts() *Counts {
	s := figures.NewSet("devicetwin_journal_")
	return &Counts{
		Set:     s,
		entries: s.Counter("entries_total", "Entries that were written to the journal: inputs of statecharts, with their results."),
		lost: figures.Counters(s, "lost_total", "reason", []string{lostFull, lostDisk},
			"Entries that are not in the journal, by reason: full, because there were more at once than could be written; disk, because writing failed."),
		bytes:   s.Gauge("bytes", "Size of the files in the folder of the journal, when one was last begun."),
		removed: s.Counter("files_removed_total", "Files of the journal that were removed by this process, because they were too old or all of them too large."),
	}
}

// Lost is how many entries are not in the journal.
func (c *Counts) Lost() (n uint64) {
	for _, v := range c.lost {
		n += v.Load()
	}
	return n
}
