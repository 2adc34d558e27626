package migration

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
)

// Names of the workflow that says of which models devices are moved. No entity's workflow has such
// an id.
const (
	MovesType  = "ModelMoves"
	MovesID    = "model-moves"
	MemoMoves  = "moves" // []Move
	UpdateMove = "move"  // carries a Change, answered with nothing
)

// KnownFor is how long a bridge goes by what it knows of moves.
const KnownFor = 2 * time.Minute

const (
	// maxMoves is how many models are remembered; of more, the one is forgotten of which the last
	// device was moved first.
	maxMoves = 200
	// maxDevices is how many devices are remembered that are moved alone; of more, the one that was
	// moved first counts as all devices of its model.
	maxDevices  = 200
	maxVersions = 8 // of one model
	maxOpen     = 50
	moveChanges = 200 // of a run
)

// Move is a model whose devices are, or were, moved between its versions.
type Move struct {
	Model string `json:"model"` // its name
	// Open are the ids of the migrations that are under way.
	Open []string `json:"open,omitempty"`
	// Until is when the last one was over; zero: none was yet.
	Until time.Time `json:"until,omitzero"`
	// Versions are hashes of versions that devices run during, and after, the last migrations.
	Versions []string `json:"versions,omitempty"`
	// Devices are those that are, or were, moved alone. What is above does not count them.
	Devices []MovedDevice `json:"devices,omitempty"`
}

// MovedDevice is a device that is, or was, moved alone: the others of its model are left as they are.
type MovedDevice struct {
	ID       device.ID `json:"id"`
	Open     []string  `json:"open,omitempty"` // as of a Move, and so on
	Until    time.Time `json:"until,omitzero"`
	Versions []string  `json:"versions,omitempty"`
}

// Change says that a migration begins, or is over.
type Change struct {
	ID    string `json:"id"`
	Model string `json:"model"`
	From  string `json:"from"` // hash
	To    string `json:"to"`   // hash
	Over  bool   `json:"over,omitempty"`
	// Device is the only one that is moved; "": those of the model that a query finds.
	Device device.ID `json:"device,omitempty"`
}

// MovesInput begins a run.
type MovesInput struct {
	Moves []Move `json:"moves,omitempty"`
}

// Moves is the workflow. It ends only by continue-as-new, or when it is cancelled or terminated.
func Moves(ctx workflow.Context, in MovesInput) error {
	moves, changes := in.Moves, 0
	err := workflow.SetUpdateHandler(ctx, UpdateMove, func(ctx workflow.Context, c Change) error {
		moves = changed(moves, c, workflow.Now(ctx))
		changes++
		if err := workflow.UpsertMemo(ctx, map[string]any{MemoMoves: moves}); err != nil {
			return fmt.Errorf("say that devices of model %s are moved: %w", c.Model, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set the handler of moves: %w", err)
	}
	err = workflow.Await(ctx, func() bool {
		return (changes >= moveChanges || workflow.GetInfo(ctx).GetContinueAsNewSuggested()) && workflow.AllHandlersFinished(ctx)
	})
	if err != nil {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, MovesType, MovesInput{Moves: moves})
}

// changed are the moves after a change. The list that is given stays as it is.
func changed(moves []Move, c Change, now time.Time) []Move {
	next := slices.Clone(moves)
	at := slices.IndexFunc(next, func(m Move) bool { return m.Model == c.Model })
	if at < 0 {
		at = len(next)
		next = append(next, Move{Model: c.Model})
	}
	next[at] = next[at].after(c, now)
	joinDevices(next)
	if len(next) > maxMoves {
		oldest := -1
		for i, m := range next {
			if len(m.Open) == 0 && !m.someOpen() && i != at && (oldest < 0 || m.last().Before(next[oldest].last())) {
				oldest = i
			}
		}
		if oldest >= 0 {
			next = slices.Delete(next, oldest, oldest+1)
		}
	}
	return next
}

// after is what is known of the model after a change. The lists that are given stay as they are.
//
// A device that counts as all may have an entry of its own again, for another migration or because
// its announcement was repeated. So a migration that is over is looked for everywhere: what stayed
// open would be open forever.
func (m Move) after(c Change, now time.Time) Move {
	m.Devices = slices.Clone(m.Devices)
	all := c.Device == "" || slices.Contains(m.Open, c.ID)
	known := false
	for i, d := range m.Devices {
		own := d.ID == c.Device && (c.Over || !all)
		if known = known || own; own || c.Over && slices.Contains(d.Open, c.ID) {
			m.Devices[i] = d.after(c, now)
		}
	}
	switch {
	case all || !known && c.Over: // the device counts as all by now
		of := MovedDevice{"", m.Open, m.Until, m.Versions}.after(c, now)
		m.Open, m.Until, m.Versions = of.Open, of.Until, of.Versions
	case !known:
		m.Devices = append(m.Devices, MovedDevice{ID: c.Device}.after(c, now))
	}
	return m
}

// last is when a device of the model was last moved.
func (m Move) last() time.Time {
	last := m.Until
	for _, d := range m.Devices {
		if d.Until.After(last) {
			last = d.Until
		}
	}
	return last
}

// someOpen reports whether a device is to be moved alone.
func (m Move) someOpen() bool {
	return slices.ContainsFunc(m.Devices, func(d MovedDevice) bool { return len(d.Open) > 0 })
}

// after is what is known after a change. The lists that are given stay as they are.
func (d MovedDevice) after(c Change, now time.Time) MovedDevice {
	d.Open = slices.DeleteFunc(slices.Clone(d.Open), func(id string) bool { return id == c.ID })
	d.Versions = slices.Clone(d.Versions)
	if c.Over {
		d.Until = now
		if len(d.Open) == 0 { // of what was left, nobody knows whether a bridge has to have it
			d.Versions = nil
		}
		d.Versions = with(d.Versions, c.To)
	} else {
		d.Open = append(d.Open, c.ID)
		d.Open = d.Open[max(0, len(d.Open)-maxOpen):]
		d.Versions = with(with(d.Versions, c.From), c.To)
	}
	d.Versions = d.Versions[max(0, len(d.Versions)-maxVersions):]
	return d
}

// joinDevices lets devices count as all of their models, of which there are too many: first those
// that were moved, the oldest first, and then those that are to be. The lists of the moves are
// replaced, and not changed.
func joinDevices(moves []Move) {
	count := 0
	for _, m := range moves {
		count += len(m.Devices)
	}
	for ; count > maxDevices; count-- {
		model, first := -1, -1
		for i, m := range moves {
			for j, d := range m.Devices {
				if model < 0 || d.before(moves[model].Devices[first]) {
					model, first = i, j
				}
			}
		}
		m := &moves[model]
		d := m.Devices[first]
		m.Devices = slices.Delete(slices.Clone(m.Devices), first, first+1)
		m.Open = slices.Clone(m.Open)
		for _, id := range d.Open {
			m.Open = with(m.Open, id)
		}
		m.Open = m.Open[max(0, len(m.Open)-maxOpen):]
		if d.Until.After(m.Until) {
			m.Until = d.Until
		}
		m.Versions = slices.Clone(m.Versions)
		for _, hash := range d.Versions {
			m.Versions = with(m.Versions, hash)
		}
		m.Versions = m.Versions[max(0, len(m.Versions)-maxVersions):]
	}
}

// before reports whether a device counts as all before another one does.
func (d MovedDevice) before(other MovedDevice) bool {
	if open, others := len(d.Open) > 0, len(other.Open) > 0; open != others {
		return others
	}
	return d.Until.Before(other.Until)
}

// with is the list with a hash, or an id, once and at its end. It changes the list that is given.
func with(list []string, one string) []string {
	return append(slices.DeleteFunc(list, func(s string) bool { return s == one }), one)
}
