package bridge

import (
	"context"
	"errors"
	"time"

	"devicetwin/internal/backoff"
	"devicetwin/mqtt"
)

// Before a bridge opens its session, it asks the broker something, in sessions that end with that: whether
// it has shared subscriptions (shared.go), whose the session was (claim.go), and what is retained
// (learn.go).

// probeAttempts is how often in a row a broker that answers may fail, where there is a bound.
const probeAttempts = 3

// attempts are those at asking a broker something.
type attempts struct {
	once func(context.Context) error
	most int              // in a row that a broker may fail which answers; 0: any number
	last func(error) bool // whether there is no use in another one; nil: there always is
	yet  string           // what is logged after the first
}

// insist makes attempts until one succeeds. A broker that is unreachable is waited for. The error
// is that of the last attempt, or that ctx ended.
func (b *Bridge) insist(ctx context.Context, a attempts) error {
	wait := backoff.New(b.cfg.MQTT.BackoffMin, b.cfg.MQTT.BackoffMax)
	answered := 0 // attempts in a row that failed although the broker answers
	for attempt := 0; ; attempt++ {
		err := a.once(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			return nil
		case isUnreachable(err):
			answered = 0
		default:
			answered++
		}
		if a.most > 0 && answered == a.most || a.last != nil && a.last(err) {
			return err
		}
		if attempt == 0 {
			b.log.Warn(a.yet, "error", err)
		}
		select {
		case <-time.After(wait(attempt)):
		case <-ctx.Done():
		}
	}
}

// unreachable is the error of a broker that gave no answer.
type unreachable struct{ error }

func (u *unreachable) Unwrap() error { return u.error }

func isUnreachable(err error) bool {
	var silent *unreachable
	return errors.As(err, &silent)
}

// connect connects a probe. An error is unreachable if the broker did not answer.
func connect(ctx context.Context, c mqtt.Conn) error {
	_, err := c.Connect(ctx)
	if err != nil && !mqtt.Refused(err) {
		return &unreachable{err}
	}
	return err
}

// handTo is the handler of a probe that hands over what arrives.
func handTo(arrived chan<- mqtt.Message) mqtt.Handler {
	return func(ctx context.Context, m mqtt.Message) {
		if m.Ack != nil {
			m.Ack()
		}
		select {
		case arrived <- m:
		case <-ctx.Done():
		}
	}
}
