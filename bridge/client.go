package bridge

import (
	"context"
	"time"
)

// client is one connection to a broker, from Connect to its end. It is never
// connected twice: a new connection is a new client.
type client interface {
	// Connect reports whether the broker still had the session.
	Connect(ctx context.Context) (sessionPresent bool, err error)
	// Subscribe returns once the broker has granted QoS 1 on every filter. It
	// may take as long as the connection lives: repetitions come first.
	Subscribe(ctx context.Context, filters []string) error
	// Publish returns once the broker has taken the message over (QoS 1), or
	// once it is sent (QoS 0).
	Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error
	// Lost delivers why the connection ended, if Close did not end it.
	Lost() <-chan error
	// Close ends the connection and waits until nothing is delivered any more.
	// What was handed over before is sent if that takes no longer than quiesce.
	Close(quiesce time.Duration)
}

// dialer makes a client that delivers to the given intake. It does not connect.
type dialer func(intake) client

// intake is where a client delivers what it receives. A client waits while
// deliver is full; that is the back-pressure towards the broker. Once it has
// dropped a message, because it was closed or stop is, it delivers none any
// more, so that the repetition of the dropped one cannot be overtaken.
type intake struct {
	from    *window // of these deliveries
	deliver chan<- delivery
	stop    <-chan struct{}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
