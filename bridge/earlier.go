package bridge

import (
	"context"
	"time"

	"devicetwin/bridge/ingest"
)

// Temporal's database may be restored to an earlier time than that of the bridge's log. Then the
// workflows lack what they were given since, and what the bridge left out because of it would
// have changed them. So a bridge that begins with what an earlier process knew asks whether
// Temporal still has what it accepted last: who has that has all before it.

const (
	// askedFirst is how long the bridge waits for the answer before it begins: there may be no
	// worker. askedAgain is how often it asks after that, and askedFor how long it goes on: by then
	// filters have forgotten on their own, by the default of Config.SettledFor.
	askedFirst = 2 * time.Second
	askedAgain = 10 * time.Second
	askedFor   = time.Hour
)

// asksTemporal has Temporal asked. It returns what is to be done once Ingest.Run has begun, before
// any message is received.
func (b *Bridge) asksTemporal(ctx context.Context) (then func(context.Context)) {
	last := b.ingest.LastAccepted()
	if last == (ingest.Accepted{}) || b.deps.Took == nil {
		return func(context.Context) {}
	}
	switch took, err := b.took(ctx, last, askedFirst); {
	case err != nil:
		return func(ctx context.Context) { go b.askAgain(ctx, last) }
	case took:
		return func(context.Context) {}
	}
	return func(ctx context.Context) { b.earlierTemporal(ctx, last) }
}

func (b *Bridge) took(ctx context.Context, last ingest.Accepted, within time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return b.deps.Took(ctx, last)
}

// askAgain asks until there is an answer.
func (b *Bridge) askAgain(ctx context.Context, last ingest.Accepted) {
	asking, cancel := context.WithTimeout(ctx, askedFor)
	defer cancel()
	tick := time.NewTicker(askedAgain)
	defer tick.Stop()
	for {
		select {
		case <-asking.Done():
			return
		case <-tick.C:
		}
		took, err := b.took(asking, last, askedAgain)
		switch {
		case err != nil:
			b.log.Debug("cannot ask whether Temporal has what it accepted last", "device", last.ID, "error", err)
		case took:
			return
		default:
			b.earlierTemporal(ctx, last)
			return
		}
	}
}

// earlierTemporal forgets what the workflows were given.
func (b *Bridge) earlierTemporal(ctx context.Context, last ingest.Accepted) {
	b.log.Warn("Temporal lacks what it had accepted last: its database is of an earlier time; what was delivered since then is lost to the workflows, and is in the log of the bridge; "+
		"the next message of each device is signalled", "device", last.ID, "position", last.Pos)
	b.ingest.EndsUnknown(ctx)
}
