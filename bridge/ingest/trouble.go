package ingest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"devicetwin/device"
)

// Trouble is a device that somebody should look at.
type Trouble struct {
	ID    device.ID
	Model string // "" if it is not known which of several
	// Stuck says that its messages become dead letters because its workflow does not accept
	// signals; otherwise it is silent.
	Stuck bool
	Since time.Time // when it was last heard
}

// Troubled lists devices that are stuck or silent, at most a number of them: stuck ones
// first, then those that were silent for the shortest time, because one that is silent for months is known. It waits for Run to begin, until ctx ends.
func (i *Ingest) Troubled(ctx context.Context, now time.Time, limit int) []Trouble {
	found := make(chan []Trouble, 1)
	select {
	case i.inputs <- func(c *core) { found <- c.troubled(now, limit) }:
		return <-found
	case <-i.ended:
	case <-ctx.Done():
	}
	return nil
}

func (c *core) troubled(now time.Time, limit int) []Trouble {
	var all []Trouble
	for _, d := range c.devices.byID {
		if !d.quarantined && !d.silent(now) {
			continue
		}
		t := Trouble{ID: d.id, Stuck: d.quarantined, Since: d.heard}
		if d.models != nil && len(d.models.possible) == 1 {
			t.Model = d.models.possible[0].Name()
		}
		if all = append(all, t); len(all) >= 2*limit {
			all = foremost(all, limit) // of 100,000 silent devices, not all are sorted
		}
	}
	return foremost(all, limit)
}

func foremost(all []Trouble, limit int) []Trouble {
	slices.SortFunc(all, func(a, b Trouble) int {
		if a.Stuck != b.Stuck {
			if a.Stuck {
				return -1
			}
			return 1
		}
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID))
	})
	return all[:min(len(all), limit)]
}
