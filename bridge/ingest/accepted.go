package ingest

import (
	"devicetwin/bridge/history"
	"devicetwin/device"
)

// Accepted is a message that the workflow of a device has taken.
type Accepted struct {
	ID  device.ID `json:"id"`
	Log string    `json:"log"` // that it was delivered from: see device.Batch
	Pos int64     `json:"pos"` // there
}

// LastAccepted is what was accepted last, of all devices, as far as the log knows, before this
// process. Whoever still has it has all that was accepted before, too. Zero: nothing is known.
func (i *Ingest) LastAccepted() Accepted { return i.accepted }

// took notes what a workflow took.
func (c *core) took(id device.ID, run, log string, upTo int64) {
	if run != "" && upTo > 0 {
		c.lastAccepted = Accepted{id, log, upTo}
	}
}

// took notes what a workflow took by an outcome. A position of an earlier process, whose name
// is not known here, is passed over.
func (r *recovery) took(o history.Outcome) {
	if r.begin.Instance != "" && o.UpTo > r.since {
		r.c.took(o.ID, o.Run, r.begin.Instance, o.UpTo)
	}
}
