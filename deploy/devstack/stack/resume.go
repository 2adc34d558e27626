package stack

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// resumer makes the broker send unacknowledged messages again, first and in
// their original order, when a client comes back to its session
// [MQTT-4.4.0-1, MQTT-4.6.0-1].
//
// NATS keeps a JetStream consumer for each QoS 1 subscription of a session. A
// client that comes back gets its old consumer again, and what was in flight
// when it was lost is delivered once its acknowledgement timeout has run out:
// half a minute later by default, and after everything that was published in
// the meantime. But NATS puts all that is in flight back in line, in order, when
// the delivery subject of a consumer changes. So, when a client connects and
// before the broker has looked for its session, the delivery subjects of its
// consumers are changed, and changed back, for the session remembers them.
//
// It runs on the goroutine of the connecting client. Only clients with messages
// in flight pay for it.
type resumer struct {
	server *server.Server
	conn   *nats.Conn
	log    *slog.Logger

	mu      sync.Mutex
	clients map[string]uint64 // MQTT client id -> the broker's id of its last connection
	pruneAt int
}

const (
	messagesStream = "$MQTT_msgs"
	sessionsStream = "$MQTT_sess"

	jsTimeout     = 5 * time.Second
	unbindTimeout = 3 * time.Second
	unbindPause   = 2 * time.Millisecond

	// JetStream error codes.
	errConsumerBound = 10013 // the old delivery subject has a subscriber
	errNoMessage     = 10037
	errNoStream      = 10059
	errNoConsumer    = 10014
)

func newResumer(s *server.Server, auth *mqttAuth, log *slog.Logger) (*resumer, error) {
	auth.secret = newSecret()
	conn, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(internalUser, auth.secret),
		nats.Name("devstack"), nats.MaxReconnects(-1))
	if err != nil {
		return nil, fmt.Errorf("connect to the broker inside the process: %w", err)
	}
	return &resumer{server: s, conn: conn, log: log, clients: map[string]uint64{}, pruneAt: 1024}, nil
}

func (r *resumer) close() { r.conn.Close() }

// connecting is called while the broker handles the CONNECT of connection id.
func (r *resumer) connecting(id uint64) {
	client, ok := r.clientID(id)
	if !ok || client == "" {
		return
	}
	previous := r.remember(client, id)
	consumers, err := r.consumers(client)
	if err != nil {
		r.log.Warn("cannot look up the MQTT session: unacknowledged messages may arrive late", "client", client, "error", err)
		return
	}
	if len(consumers) == 0 {
		return
	}
	// A connection that the broker still holds for up is taken over now: as
	// long as it is subscribed, nothing can be put back in line.
	if previous != 0 && r.server.GetClient(previous) != nil {
		_ = r.server.DisconnectClientByID(previous)
	}
	for _, consumer := range consumers {
		if err := r.requeue(consumer); err != nil {
			r.log.Warn("unacknowledged messages may arrive late", "client", client, "error", err)
		}
	}
}

// kick closes the connection of an MQTT client.
func (r *resumer) kick(client string) bool {
	r.mu.Lock()
	id := r.clients[client]
	r.mu.Unlock()
	return id != 0 && r.server.DisconnectClientByID(id) == nil
}

func (r *resumer) clientID(id uint64) (string, bool) {
	conns, err := r.server.Connz(&server.ConnzOptions{CID: id})
	if err != nil || len(conns.Conns) == 0 {
		return "", false
	}
	return conns.Conns[0].MQTTClient, true
}

// remember notes the connection of a client and returns the one before.
func (r *resumer) remember(client string, id uint64) (previous uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	previous = r.clients[client]
	r.clients[client] = id
	if len(r.clients) > r.pruneAt {
		for name, id := range r.clients {
			if r.server.GetClient(id) == nil {
				delete(r.clients, name)
			}
		}
		r.pruneAt = max(1024, 2*len(r.clients))
	}
	return previous
}

// consumers returns the names of the JetStream consumers of a client's session,
// as the broker keeps them in its stream of sessions.
func (r *resumer) consumers(client string) ([]string, error) {
	request := fmt.Sprintf(`{"last_by_subj":%q}`, "$MQTT.sess."+sessionHash(client))
	var reply struct {
		Message struct {
			Data []byte `json:"data"`
		} `json:"message"`
	}
	if err := r.api("STREAM.MSG.GET."+sessionsStream, []byte(request), &reply); err != nil {
		if hasCode(err, errNoMessage) || hasCode(err, errNoStream) {
			return nil, nil // first connection of this client, or of all
		}
		return nil, err
	}
	var session struct {
		ID        string `json:"id"`
		Consumers map[string]struct {
			Durable string `json:"durable_name"`
		} `json:"cons"`
	}
	if err := json.Unmarshal(reply.Message.Data, &session); err != nil {
		return nil, fmt.Errorf("read the session of %s: %w", client, err)
	}
	if session.ID != client {
		return nil, nil
	}
	names := make([]string, 0, len(session.Consumers))
	for _, c := range session.Consumers {
		names = append(names, c.Durable)
	}
	return names, nil
}

// requeue puts all that is in flight on a consumer back in line.
func (r *resumer) requeue(consumer string) error {
	var info struct {
		Pending int                        `json:"num_ack_pending"`
		Config  map[string]json.RawMessage `json:"config"`
	}
	if err := r.api("CONSUMER.INFO."+messagesStream+"."+consumer, nil, &info); err != nil {
		if hasCode(err, errNoConsumer) {
			return nil
		}
		return err
	}
	if info.Pending == 0 {
		return nil
	}
	var subject string
	if err := json.Unmarshal(info.Config["deliver_subject"], &subject); err != nil {
		return fmt.Errorf("read the delivery subject of %s: %w", consumer, err)
	}
	if err := r.deliverTo(consumer, info.Config, subject+".aside"); err != nil {
		return err
	}
	return r.deliverTo(consumer, info.Config, subject)
}

// deliverTo changes the delivery subject of a consumer. The broker refuses it
// while there is a subscriber, so the end of a connection is waited for.
func (r *resumer) deliverTo(consumer string, config map[string]json.RawMessage, subject string) error {
	config["deliver_subject"], _ = json.Marshal(subject)
	request, err := json.Marshal(map[string]any{"stream_name": messagesStream, "action": "update", "config": config})
	if err != nil {
		return fmt.Errorf("write the configuration of %s: %w", consumer, err)
	}
	for deadline := time.Now().Add(unbindTimeout); ; time.Sleep(unbindPause) {
		err := r.api("CONSUMER.DURABLE.CREATE."+messagesStream+"."+consumer, request, nil)
		if !hasCode(err, errConsumerBound) || time.Now().After(deadline) {
			return err
		}
	}
}

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

// api calls the JetStream API and reads its answer into reply, unless nil.
func (r *resumer) api(call string, request []byte, reply any) error {
	message, err := r.conn.Request("$JS.API."+call, request, jsTimeout)
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

// sessionHash is how NATS names a client's session: 8 digits of base 62, from
// the SHA-256 of the client id.
func sessionHash(client string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(client))
	name := make([]byte, 8)
	for i := range name {
		name[i] = digits[int(sum[i])%len(digits)]
	}
	return string(name)
}
