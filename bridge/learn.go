package bridge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"devicetwin/mqtt"
	"devicetwin/wire"
)

// Some dialects learn from retained messages what others mean. The broker sends these after the
// subscription, and before it what it has queued for the session: messages that could not be read
// yet. So a bridge reads the retained ones first, in a session that ends with that.

const (
	// learnQuiet is how long nothing may come before what is retained counts as read: nothing
	// in the protocol says that it is all. learnWithin bounds the whole attempt.
	learnQuiet  = 500 * time.Millisecond
	learnWithin = 30 * time.Second
)

// learnFirst reads what the dialect learns from. An unreachable broker is waited for; one that answers and does not
// let the bridge read is logged, and the bridge learns from what it receives. The error is that ctx ended.
func (b *Bridge) learnFirst(ctx context.Context) error {
	learner, ok := b.dialect.(wire.Learner)
	if !ok || len(learner.Lessons()) == 0 {
		return nil
	}
	filters := learner.Lessons()
	err := b.insist(ctx, attempts{
		once: func(ctx context.Context) error { return b.learnOnce(ctx, filters) },
		most: probeAttempts,
		yet:  "cannot read the retained messages yet that dialects learn from; retrying",
	})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return fmt.Errorf("read what the dialects of bridge %s learn from: %w", b.cfg.ID, ctx.Err())
	default:
		b.log.Warn("cannot read the retained messages that dialects learn from; until they arrive, other messages are not understood", "filters", filters, "error", err)
	}
	return nil
}

// learnOnce decodes what is retained. What follows from that for devices is nothing yet: the session
// gets the same messages again.
func (b *Bridge) learnOnce(ctx context.Context, filters []string) error {
	arrived := make(chan mqtt.Message)
	c := b.probe(ctx, handTo(arrived))
	defer c.Close(0)
	if err := connect(ctx, c); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, learnWithin)
	defer cancel()
	subscribed := make(chan error, 1) // messages may come before the answer to the subscription
	var subscribing sync.WaitGroup
	subscribing.Go(func() { subscribed <- c.Subscribe(within, filters) })
	err := b.learn(within, c.Lost(), arrived, subscribed)
	cancel()
	subscribing.Wait()
	return err
}

// learn decodes what arrives, until nothing has come for some time after the subscription, or
// there is no end of it: what is retained comes first.
func (b *Bridge) learn(ctx context.Context, lost <-chan error, arrived <-chan mqtt.Message, subscribed <-chan error) error {
	learned, listening := 0, false
	var quiet <-chan time.Time
	for {
		select {
		case m := <-arrived:
			_, _ = b.dialect.Decode(m.Topic, m.Payload, m.Dup, m.At)
			learned++
		case err := <-subscribed:
			if err != nil {
				return err
			}
			listening = true
		case <-quiet:
			b.log.Info("dialects have learned from retained messages", "messages", learned)
			return nil
		case err := <-lost:
			return err
		case <-ctx.Done():
			if listening && learned > 0 {
				return nil
			}
			return ctx.Err()
		}
		if listening {
			quiet = time.After(learnQuiet)
		}
	}
}
