package service

import (
	"context"
	"log/slog"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/workflows/migration"
)

// movesWatch lets a bridge know which devices are moved to other versions of their models.
type movesWatch struct {
	bridge interface {
		Moves(ctx context.Context, asked time.Time, list []ingest.Moving)
	}
	ask func(context.Context) ([]migration.Move, error)
	log *slog.Logger

	known   time.Time // when the last answer was asked for, or the watch began
	warned  bool
	unknown error
}

const (
	movesEvery   = 2 * time.Second
	movesTimeout = 5 * time.Second
	// firstMoves bounds the first question, which a bridge waits for before it receives anything:
	// until it has an answer, it leaves nothing out.
	firstMoves = time.Second
)

func (w *movesWatch) run(ctx context.Context) {
	tick := time.NewTicker(movesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if asked, list, ok := w.look(ctx, movesTimeout); ok {
			w.bridge.Moves(ctx, asked, list)
		}
		w.warn(ctx)
	}
}

// look asks once. The time is that of the question.
func (w *movesWatch) look(ctx context.Context, within time.Duration) (asked time.Time, list []ingest.Moving, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	asked = time.Now()
	if w.known.IsZero() {
		w.known = asked
	}
	moves, err := w.ask(ctx)
	if w.unknown = err; err != nil {
		return asked, nil, false
	}
	w.known = asked
	for _, m := range moves {
		moving := ingest.Moving{Model: m.Model, Open: len(m.Open) > 0, Until: m.Until, Versions: m.Versions}
		for _, d := range m.Devices {
			moving.Devices = append(moving.Devices, ingest.MovingDevice{ID: d.ID, Open: len(d.Open) > 0, Until: d.Until, Versions: d.Versions})
		}
		list = append(list, moving)
	}
	return asked, list, true
}

// warn says once that it is not known, and once that it is again.
func (w *movesWatch) warn(ctx context.Context) {
	switch {
	case ctx.Err() != nil:
	case w.unknown == nil && w.warned:
		w.warned = false
		w.log.Info("it is known again which devices are moved to other models")
	case w.unknown != nil && !w.warned && time.Since(w.known) >= migration.KnownFor:
		w.warned = true
		w.log.Warn("cannot read which devices are moved to other models; until then the bridge signals repeated messages, too", "error", w.unknown)
	}
}
