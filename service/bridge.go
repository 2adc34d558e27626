package service

import (
	"context"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/internal/recordlog"
	twinclient "devicetwin/workflows/client"
	"devicetwin/workflows/migration"
)

// anyBridge is a bridge from MQTT or from Kafka.
type anyBridge interface {
	Run(context.Context) error
	Shutdown(context.Context) error
	Troubled(ctx context.Context, now time.Time, limit int) []ingest.Trouble
	Survey(ctx context.Context, now time.Time, talkers, groups int) ingest.Survey
	Report(device.ID, device.Fault)
	Forget(context.Context, ...device.ID)
	Ended(context.Context, ...device.ID)
	EndsUnknown(context.Context)
	Moves(ctx context.Context, asked time.Time, list []ingest.Moving)
	Remembers() bool
}

// bridging is what a bridge is run with.
type bridging struct {
	name, id  string // of the part, and of the bridge
	of        string // what its messages are of
	points    pointWriter
	journal   *recordlog.Log // nil: it has none
	ends      twinclient.EndingLister
	endsEvery time.Duration // how often it asks which of them were deleted; 0: never
	moves     func(context.Context) ([]migration.Move, error)
}

// runBridge runs a bridge, and the parts that ask it or tell it something.
func (s *Service) runBridge(b anyBridge, with bridging) {
	reportRefusals(with.points, b)
	s.forget = b.Forget
	moves := &movesWatch{bridge: b, ask: with.moves, log: s.log}
	asked, list, ok := moves.look(context.Background(), firstMoves)
	if ok {
		go b.Moves(context.Background(), asked, list) // as soon as it runs
	}
	s.runPart("watch for moved "+with.of, moves.run)
	go func() {
		if err := b.Run(context.Background()); err != nil {
			s.fail(err)
		}
	}()
	s.onStop(with.name, b.Shutdown)
	if !nowhere(with.points) {
		s.runPart("list of "+with.of+" in trouble", attention{b, with.points, with.id}.run)
		s.runPart("survey of "+with.of, (&survey{bridge: b, points: with.points, name: with.id}).run)
	}
	if with.endsEvery > 0 {
		watch := &twinclient.EndingWatch{Lister: with.ends, Every: with.endsEvery, Report: b.Ended, Gap: b.EndsUnknown, Log: s.log}
		if with.journal != nil {
			s.remember(watch, with.journal, b.Remembers())
		}
		s.runPart("watch for deleted "+with.of, watch.Run)
	}
}
