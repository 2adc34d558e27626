package ingest

import (
	"cmp"
	"context"
	"time"

	"devicetwin/device"
)

// Trouble is a device that somebody should look at.
type Trouble struct {
	ID    device.ID
	Model string // "" if it is not known which of several
	Site  string // "" if the device has not said it
	// Stuck says that its messages become dead letters because its workflow does not accept
	// signals; otherwise it is silent.
	Stuck bool
	Since time.Time // when it was last heard
}

// Troubled lists devices that are stuck or silent, at most a number of them: stuck ones
// first, then those that were silent for the shortest time, because one that is silent for
// months is known. It waits for Run to begin, until ctx ends; then, and after the end of Run,
// it lists none.
func (i *Ingest) Troubled(ctx context.Context, now time.Time, limit int) []Trouble {
	t := newTroubles(now, limit)
	if !i.eachDevice(ctx, t.look) {
		return nil
	}
	return t.list()
}

// troubles are the foremost of the devices that somebody should look at.
type troubles struct {
	*leading[Trouble]
	now time.Time
}

func newTroubles(now time.Time, limit int) troubles {
	return troubles{newLeading(limit, foremost), now}
}

func (t troubles) look(c *core, d *deviceState) {
	if !d.quarantined && !d.silent(t.now) {
		return
	}
	found := Trouble{ID: d.id, Site: c.traits.of(d.traits).site, Stuck: d.quarantined, Since: d.heard}
	if d.models != nil && len(d.models.possible) == 1 {
		found.Model = d.models.possible[0].Name()
	}
	t.add(found)
}

func foremost(a, b Trouble) int {
	if a.Stuck != b.Stuck {
		if a.Stuck {
			return -1
		}
		return 1
	}
	return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID))
}
