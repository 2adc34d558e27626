package callout

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"

	"devicetwin/auth"
	"devicetwin/internal/natsresume"
)

const (
	// resumedAtOnce bounds the requests to JetStream, which also has those of the logins
	// themselves to answer.
	resumedAtOnce = 256
	// toAnswer is what a server needs to receive the answer, of the time that it waits. It
	// says in whole seconds how long that is.
	toAnswer = time.Second
	// outOfOrder is how long a client that tries to log in repeatedly is refused because what it
	// had in flight cannot be put back in line: while there is no leader, it would get nothing
	// anyway, and afterwards newer messages first. It is longer than elections take, and bounded
	// because a part of a cluster may have failed permanently.
	outOfOrder = time.Minute
)

// resumer puts what is in flight in the sessions of clients back in line when they log in,
// which is before the server looks for the session: see package natsresume.
type resumer struct {
	broker  natsresume.Broker
	resumes func(auth.Client) bool
	slots   chan struct{}
	log     *slog.Logger

	mu    sync.Mutex
	first map[string]time.Time // by client: its first login since it was admitted that was refused
}

func newResumer(broker natsresume.Broker, o Options) *resumer {
	return &resumer{broker: broker, resumes: o.Resumes, slots: make(chan struct{}, resumedAtOnce), log: o.Log, first: map[string]time.Time{}}
}

// resume is an error if the client must not be admitted: its session would be silent, or its
// messages come out of order, which may get better within outOfOrder.
func (r *resumer) resume(ctx context.Context, c auth.Client, q *jwt.AuthorizationRequestClaims, began time.Time) error {
	if r.resumes == nil || !r.resumes(c) {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, began.Add(patience(q)))
	defer cancel()
	client := q.ClientInformation.MQTT
	messages, err := r.requeue(ctx, client)
	shown := slog.String("client", auth.Shown(client))
	switch {
	case errors.Is(err, natsresume.ErrAside):
		r.log.Error("mqtt client refused: its session cannot be resumed now", "broker", "nats", shown, "error", err)
		return err
	case err != nil && natsresume.MayPass(err) && r.refuses(client, began):
		r.log.Warn("mqtt client refused for now: its unacknowledged messages would arrive late", "broker", "nats", shown, "error", err)
		return err
	case err != nil:
		r.log.Warn("unacknowledged messages may arrive late", "broker", "nats", shown, "error", err)
	case messages > 0:
		r.log.Info("unacknowledged messages are sent again", "broker", "nats", shown, "messages", messages, "took", time.Since(began))
	}
	r.admits(client)
	return nil
}

// refuses reports whether a client has to try again: it has not been refused for outOfOrder.
func (r *resumer) refuses(client string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Those that never came back would stay forever. After so long, the first one counts again.
	maps.DeleteFunc(r.first, func(_ string, t time.Time) bool { return now.Sub(t) > 2*outOfOrder })
	first, ok := r.first[client]
	if !ok {
		r.first[client] = now
		return true
	}
	return now.Sub(first) < outOfOrder
}

func (r *resumer) admits(client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.first, client)
}

func (r *resumer) requeue(ctx context.Context, client string) (messages int, err error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	session, err := r.broker.Session(ctx, client)
	if err != nil || session == nil {
		return 0, err
	}
	return r.broker.Requeue(ctx, session)
}

// patience is how long a client may be kept waiting, by the clock of the server that asks.
func patience(q *jwt.AuthorizationRequestClaims) time.Duration {
	return time.Duration(q.Expires-q.IssuedAt)*time.Second - toAnswer
}
