package mqtt

import (
	"context"
	"errors"
	"time"
)

// Message is one PUBLISH as a connection received it.
type Message struct {
	Topic    string
	Payload  []byte
	PacketID uint16    // 0 for QoS 0
	Dup      bool      // the broker has sent it before
	Retained bool      // the broker's copy of an old message, sent because of a new subscription
	At       time.Time // of receipt: UTC, milliseconds
	Ack      func()    // sends the PUBACK; nil for QoS 0
}

// Handler takes the messages of one connection, one at a time, in the order of
// receipt. It may wait; then nothing more is read from the connection. Context
// ends with the connection, and when its owner stops it. A handler that returns
// then without having taken a message gets no later one on that connection, so
// that the repetition of the one that was not taken cannot be overtaken.
type Handler func(ctx context.Context, m Message)

// Conn is one connection to a broker, from Connect to its end. It is never
// connected twice: a new connection is a new Conn.
type Conn interface {
	// Connect reports whether the broker still had the session.
	Connect(ctx context.Context) (sessionPresent bool, err error)
	// Subscribe returns once the broker has granted QoS 1 on every filter. It
	// may take as long as the connection lives: repetitions come first.
	Subscribe(ctx context.Context, filters []string) error
	// Publish returns once the broker has taken the message over (QoS 1), or
	// once it is sent (QoS 0).
	Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error
	// Broker is the URL of the broker that Connect tried last, without its password: of
	// several, the one that the connection leads to.
	Broker() string
	// Lost delivers why the connection ended, if Close did not end it.
	Lost() <-chan error
	// Close ends the connection and waits until its handler has returned. What
	// was handed over before is sent if that takes no longer than quiesce.
	Close(quiesce time.Duration)
}

// Dialer makes a connection that delivers to the given handler until ctx ends;
// without a handler, what is received is dropped. It does not connect.
type Dialer func(ctx context.Context, handle Handler) Conn

// Session says how long the broker keeps a session: MQTT 3.1.1, section 3.1.2.4.
type Session bool

// How long the broker keeps a session.
const (
	KeepSession  Session = false // over connections, under the client id: CleanSession 0
	CleanSession Session = true  // as long as the connection
)

// Will is what the broker publishes, retained, with QoS 1, when it loses a
// connection.
type Will struct {
	Topic   string
	Payload func() []byte // made for each connection
}

// ErrLost is that of an operation on a connection that ended meanwhile.
var ErrLost = errors.New("connection lost")

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
