package migration

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"
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
	maxMoves    = 200
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
}

// Change says that a migration begins, or is over.
type Change struct {
	ID    string `json:"id"`
	Model string `json:"model"`
	From  string `json:"from"` // hash
	To    string `json:"to"`   // hash
	Over  bool   `json:"over,omitempty"`
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
	m := next[at]
	m.Open = slices.DeleteFunc(slices.Clone(m.Open), func(id string) bool { return id == c.ID })
	m.Versions = slices.Clone(m.Versions)
	if c.Over {
		m.Until = now
		if len(m.Open) == 0 { // of what was left, nobody knows whether a bridge has to have it
			m.Versions = nil
		}
		m.Versions = with(m.Versions, c.To)
	} else {
		m.Open = append(m.Open, c.ID)
		m.Open = m.Open[max(0, len(m.Open)-maxOpen):]
		m.Versions = with(with(m.Versions, c.From), c.To)
	}
	m.Versions = m.Versions[max(0, len(m.Versions)-maxVersions):]
	next[at] = m
	if len(next) > maxMoves {
		oldest := -1
		for i, m := range next {
			if len(m.Open) == 0 && i != at && (oldest < 0 || m.Until.Before(next[oldest].Until)) {
				oldest = i
			}
		}
		if oldest >= 0 {
			next = slices.Delete(next, oldest, oldest+1)
		}
	}
	return next
}

// with is the list with a hash at its end.
func with(hashes []string, hash string) []string {
	return append(slices.DeleteFunc(hashes, func(h string) bool { return h == hash }), hash)
}
