package callout

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

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
)

// resumer puts what is in flight in the sessions of clients back in line when they log in,
// which is before the server looks for the session: see package natsresume.
type resumer struct {
	broker  natsresume.Broker
	resumes func(auth.Client) bool
	slots   chan struct{}
	log     *slog.Logger
}

func newResumer(conn *nats.Conn, o Options) resumer {
	return resumer{natsresume.Broker{Conn: conn, TakesOver: true}, o.Resumes, make(chan struct{}, resumedAtOnce), o.Log}
}

// resume is an error if the client must not be admitted. Other faults only mean that messages
// come later than they could: it is admitted as soon as the server would not wait any longer.
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
	case err != nil:
		r.log.Warn("unacknowledged messages may arrive late", "broker", "nats", shown, "error", err)
	case messages > 0:
		r.log.Info("unacknowledged messages are sent again", "broker", "nats", shown, "messages", messages, "took", time.Since(began))
	}
	return nil
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
