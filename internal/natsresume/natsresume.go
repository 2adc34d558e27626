// Package natsresume makes a NATS server send what a client had not acknowledged again,
// first and in its original order, when the client comes back to its MQTT session
// [MQTT-4.4.0-1, MQTT-4.6.0-1].
//
// NATS keeps a JetStream consumer for each QoS 1 subscription of a session. A client that
// comes back gets its old consumer again, and what was in flight when it was lost is
// delivered once its acknowledgement timeout has run out: half a minute later by default,
// and after everything that was published in the meantime. But NATS puts all that is in
// flight back in line, in order, when the delivery subject of a consumer changes. So, when a
// client logs in and before the broker has looked for its session, the delivery subjects of
// its consumers are changed, and changed back, for the session remembers them.
//
// This relies on how NATS stores MQTT sessions, as of its version 2.15: a new version needs
// the tests of deploy/nats and deploy/devstack.
package natsresume

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	messagesStream = "$MQTT_msgs"
	sessionsStream = "$MQTT_sess"

	pause = 2 * time.Millisecond // between two looks at who is subscribed

	// grace is what a server needs to end the subscriptions of a connection that ended.
	grace = 250 * time.Millisecond
	// jail is the time that a server refuses a client whose connection it has ended because
	// of another one (1 s in NATS), and some more.
	jail = 1100 * time.Millisecond
)

// ErrAside says that a consumer delivers to where nobody listens, or may do so: with it, the
// client must not be admitted, because its session would stay silent. The next login
// repairs it.
var ErrAside = errors.New("a consumer of the session has not got its delivery subject back")

// Conn is a connection to a NATS server: a *nats.Conn.
type Conn interface {
	RequestWithContext(ctx context.Context, subject string, data []byte) (*nats.Msg, error)
	Publish(subject string, data []byte) error
	ConnectedClusterName() string
}

// Broker is a NATS server, or a cluster of them.
type Broker struct {
	// Conn belongs to the account that MQTT clients are in, and may publish to $JS.API.>,
	// and, if TakesOver, to $MQTT.JSA.>.
	Conn Conn
	// TakesOver says that Requeue ends a connection that the broker still holds for up, by
	// saying what a server of a cluster says when a client has come to it. The broker does
	// not admit the client for a second then, which Requeue waits for. Without it, the end
	// of the old connection is waited for.
	TakesOver bool
}

// Session is what there is to put back in line for a client.
type Session struct {
	client    string
	sequence  uint64 // of its message in the stream of sessions
	consumers []consumer
	takenOver time.Time
}

type consumer struct{ name, subject string }

// Session looks a client's session up; it is nil if there is none with a subscription of
// QoS 1 or more.
func (b *Broker) Session(ctx context.Context, client string) (*Session, error) {
	request := fmt.Appendf(nil, `{"last_by_subj":%q}`, "$MQTT.sess."+hash(client))
	var reply struct {
		Message struct {
			Sequence uint64 `json:"seq"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	if err := b.call(ctx, "STREAM.MSG.GET."+sessionsStream, request, &reply); err != nil {
		if hasCode(err, noMessage) || hasCode(err, noStream) {
			return nil, nil // first connection of this client, or of all
		}
		return nil, fmt.Errorf("look up the session of %s: %w", client, err)
	}
	return read(client, reply.Message.Sequence, reply.Message.Data)
}

func read(client string, sequence uint64, raw []byte) (*Session, error) {
	var stored struct {
		ID        string `json:"id"`
		Clean     bool   `json:"clean"`
		Consumers map[string]*struct {
			Durable string `json:"durable_name"`
			Subject string `json:"deliver_subject"`
		} `json:"cons"`
	}
	if err := json.Unmarshal(raw, &stored); err != nil {
		return nil, fmt.Errorf("read the session of %s: %w", client, err)
	}
	// Hashes may collide, and a clean session ends with its connection.
	if stored.ID != client || stored.Clean {
		return nil, nil
	}
	s := &Session{client: client, sequence: sequence}
	for _, c := range stored.Consumers {
		if c != nil && c.Durable != "" && c.Subject != "" {
			s.consumers = append(s.consumers, consumer{c.Durable, c.Subject})
		}
	}
	if len(s.consumers) == 0 {
		return nil, nil
	}
	slices.SortFunc(s.consumers, func(a, b consumer) int { return strings.Compare(a.name, b.name) })
	return s, nil
}

// Requeue puts all that is in flight in a session back in line, and returns how many messages
// these are. What can succeed later, as while servers elect a leader, is tried again until the
// context ends. The error may be an ErrAside.
func (b *Broker) Requeue(ctx context.Context, s *Session) (messages int, err error) {
	var faults []error
	for _, c := range s.consumers {
		n, err := b.requeue(ctx, s, c)
		messages += n
		if err != nil {
			faults = append(faults, fmt.Errorf("consumer %s of the session of %s: %w", c.name, s.client, err))
		}
	}
	if !s.takenOver.IsZero() {
		_ = sleep(ctx, jail-time.Since(s.takenOver))
	}
	return messages, errors.Join(faults...)
}

func (b *Broker) requeue(ctx context.Context, s *Session, c consumer) (messages int, err error) {
	for {
		state, err := b.unbound(ctx, s, c)
		if err != nil || state == nil {
			return 0, err
		}
		subject, err := state.subject()
		if err != nil || state.Pending == 0 && subject == c.subject {
			return 0, err
		}
		var aside error
		if subject == c.subject {
			aside = b.deliverTo(ctx, c, state, c.subject+".aside")
		}
		if hasCode(aside, bound) { // another server does not know yet that nobody is
			if err := sleep(ctx, pause); err != nil {
				return 0, fmt.Errorf("wait for the end of its subscription: %w", err)
			}
			continue
		}
		if answered(aside) {
			return 0, aside
		}
		// Without an answer it may have happened nevertheless.
		if err := b.deliverBack(ctx, c, state); err != nil || aside != nil {
			return 0, errors.Join(aside, err)
		}
		return state.Pending, nil
	}
}

// state is what the broker knows of a consumer.
type state struct {
	Pending int                        `json:"num_ack_pending"`
	Bound   bool                       `json:"push_bound"`
	Config  map[string]json.RawMessage `json:"config"`
	Cluster struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
}

func (s *state) subject() (subject string, err error) {
	if err := json.Unmarshal(s.Config["deliver_subject"], &subject); err != nil {
		return "", fmt.Errorf("read its delivery subject: %w", err)
	}
	return subject, nil
}

// unbound waits until nobody is subscribed to what a consumer delivers, and returns its
// state; nil if there is no such consumer.
func (b *Broker) unbound(ctx context.Context, s *Session, c consumer) (*state, error) {
	began := time.Now()
	for {
		var now state
		if err := b.call(ctx, "CONSUMER.INFO."+messagesStream+"."+c.name, nil, &now); err != nil {
			if hasCode(err, noConsumer) {
				return nil, nil
			}
			return nil, err
		}
		// A server of a cluster that has just begun to know the consumer answers without a
		// leader, and that nothing is in flight.
		led := now.Cluster.Leader != "" || b.Conn.ConnectedClusterName() == ""
		if led && !now.Bound {
			return &now, nil
		}
		if led && b.TakesOver && s.takenOver.IsZero() && time.Since(began) > grace {
			if err := b.takeOver(s); err != nil {
				return nil, err
			}
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("wait for the end of the connection before: %w", err)
		}
	}
}

// takeOver ends the connection that holds a session. It sends all servers what one of
// them sends when it has stored the session for a client that has come to it; they ignore it
// if the session was stored once more since it was looked up.
func (b *Broker) takeOver(s *Session) error {
	subject := "$MQTT.JSA." + rand.Text() + ".SP." + hash(s.client) + "." + rand.Text()
	if err := b.Conn.Publish(subject, fmt.Appendf(nil, `{"stream":%q,"seq":%d}`, sessionsStream, s.sequence)); err != nil {
		return fmt.Errorf("take the session over: %w", err)
	}
	s.takenOver = time.Now()
	return nil
}

// deliverBack gives a consumer the delivery subject that the session remembers, also if the
// context has just ended.
func (b *Broker) deliverBack(ctx context.Context, c consumer, now *state) error {
	if ctx.Err() != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
		defer cancel()
		ctx = last
	}
	if err := b.deliverTo(ctx, c, now, c.subject); err != nil && !hasCode(err, noConsumer) {
		return fmt.Errorf("%w: %w", ErrAside, err)
	}
	return nil
}

// deliverTo changes the delivery subject of a consumer.
func (b *Broker) deliverTo(ctx context.Context, c consumer, now *state, subject string) error {
	var err error
	if now.Config["deliver_subject"], err = json.Marshal(subject); err != nil {
		return fmt.Errorf("write its delivery subject: %w", err)
	}
	request, err := json.Marshal(map[string]any{"stream_name": messagesStream, "action": "update", "config": now.Config})
	if err != nil {
		return fmt.Errorf("write its configuration: %w", err)
	}
	return b.call(ctx, "CONSUMER.DURABLE.CREATE."+messagesStream+"."+c.name, request, nil)
}

// sleep is an error if the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
