package ingest

import (
	"context"
	"slices"
	"time"

	"devicetwin/device"
)

// A message is left out because of another one that the device's workflow was given, while it ran
// one model. When it is moved to another, that other message has done nothing there. So what
// filters remember is not good any more, and the bridge learns before devices are moved:
//
//   - While devices of a model may be moved, nothing of them is left out as a repetition: what matters
//     to any of their versions is signalled.
//   - What is remembered from before the last of them was moved is forgotten.
//   - A bridge that has not heard for Config.MovesFor whether devices are moved does so with all
//     devices. Who moves them waits for that time: then each bridge knows of it, or leaves nothing
//     out.
//
// Of a device that is moved alone, that is so for the device; the others of its model are filtered as ever.
//
// Until it has the version to which devices of a model are moved, everything of them is signalled.

// Moving is a model whose devices are, or were, moved between its versions.
type Moving struct {
	Model string    // its name
	Open  bool      // devices may be moved now
	Until time.Time // when the last one was, if none may be
	// Versions are the hashes of those that a bridge has to know.
	Versions []string
	// Devices are those that are, or were, moved alone. What is above does not count them.
	Devices []MovingDevice
}

// MovingDevice is a device that is, or was, moved alone, as of a Moving.
type MovingDevice struct {
	ID       device.ID
	Open     bool
	Until    time.Time
	Versions []string
}

// clocksDiffer is how far the clock of a bridge may be from that of Temporal.
const clocksDiffer = time.Minute

// moving is what the core knows of it.
type moving struct {
	asked   time.Time // when what is known was asked for; zero: never
	unknown bool      // as of the arrival that is decided
	models  map[string]movingModel
	devices map[device.ID]movingModel // that are moved alone
}

type movingModel struct {
	open     bool
	until    int64 // Unix ms on the bridge's clock, at the latest
	versions []string
}

// Moves says which devices are moved, as of the answer to a question that was asked at a time of
// this process's clock. It waits as Ended does.
func (i *Ingest) Moves(ctx context.Context, asked time.Time, list []Moving) {
	i.whenItRuns(ctx, func(c *core) { c.moves(asked, list) })
}

func (c *core) moves(asked time.Time, list []Moving) {
	if asked.Before(c.moving.asked) {
		return // an answer that was overtaken
	}
	c.moving.asked, c.moving.models, c.moving.devices = asked, make(map[string]movingModel, len(list)), map[device.ID]movingModel{}
	for _, m := range list {
		c.moving.models[m.Model] = movingModel{open: m.Open, until: m.Until.Add(clocksDiffer).UnixMilli(), versions: m.Versions}
		for _, d := range m.Devices {
			c.moving.devices[d.ID] = movingModel{open: d.Open, until: d.Until.Add(clocksDiffer).UnixMilli(), versions: d.Versions}
		}
	}
}

// lookAtMoves notes whether it is known which devices are moved.
func (c *core) lookAtMoves(now time.Time) {
	c.moving.unknown = c.cfg.MovesFor > 0 && (c.moving.asked.IsZero() || now.Sub(c.moving.asked) >= c.cfg.MovesFor)
}

// moved reports whether what the filters of a device remember may be of another model than it
// runs; all says that it may run one that is not known here.
func (c *core) moved(d *deviceState, s *filterState) (forget, all bool) {
	if c.cfg.MovesFor == 0 || c.restoring {
		return false, false
	}
	forget = c.moving.unknown
	if len(c.moving.models) == 0 {
		return forget, false
	}
	look := func(m movingModel) {
		forget = forget || m.open || s.passed <= m.until
		all = all || slices.ContainsFunc(m.versions, func(hash string) bool { return find(d.models.possible, hash) == nil })
	}
	for _, name := range d.models.names {
		if m, ok := c.moving.models[name]; ok {
			look(m)
		}
	}
	if alone, ok := c.moving.devices[d.id]; ok {
		look(alone)
	}
	return forget, all
}
