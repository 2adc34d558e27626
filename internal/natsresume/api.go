package natsresume

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// In a cluster, nobody answers while there is no leader: the request is repeated then.
	answerWithin = time.Second
	retryPause   = 50 * time.Millisecond

	// JetStream error codes.
	unavailable = 10008 // no leader
	bound       = 10013 // the old delivery subject has a subscriber
	noConsumer  = 10014
	noMessage   = 10037
	noStream    = 10059
)

// apiError is an error that JetStream answered with.
type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.Code) }

func hasCode(err error, code int) bool {
	var api *apiError
	return errors.As(err, &api) && api.Code == code
}

// MayPass reports whether an error of Session or Requeue is one that passes: that nobody
// answered, as while servers elect a leader, or that the connection before has not ended.
func MayPass(err error) bool {
	return hasCode(err, unavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders)
}

// answered reports whether the broker said that it did not do what was asked.
func answered(err error) bool {
	var api *apiError
	return errors.As(err, &api)
}

// call calls the JetStream API and reads its answer into reply, unless nil. It repeats the
// call until the context ends, while there is nobody to answer it.
func (b *Broker) call(ctx context.Context, call string, request []byte, reply any) error {
	for {
		err := b.once(ctx, call, request, reply)
		if !MayPass(err) || sleep(ctx, retryPause) != nil {
			return err
		}
	}
}

func (b *Broker) once(ctx context.Context, call string, request []byte, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	message, err := b.Conn.RequestWithContext(ctx, "$JS.API."+call, request)
	if err != nil {
		return fmt.Errorf("call %s: %w", call, err)
	}
	var outcome struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(message.Data, &outcome); err != nil {
		return fmt.Errorf("call %s: %w", call, err)
	}
	if outcome.Error != nil {
		return fmt.Errorf("call %s: %w", call, outcome.Error)
	}
	if reply == nil {
		return nil
	}
	if err := json.Unmarshal(message.Data, reply); err != nil {
		return fmt.Errorf("call %s: %w", call, err)
	}
	return nil
}

// hash is how NATS names a client's session: 8 digits of base 62, from the SHA-256 of the
// client id.
func hash(client string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(client))
	name := make([]byte, 8)
	for i := range name {
		name[i] = digits[int(sum[i])%len(digits)]
	}
	return string(name)
}
