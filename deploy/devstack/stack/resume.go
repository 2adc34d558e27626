package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"devicetwin/internal/natsresume"
)

// resumer makes the broker send unacknowledged messages again, first and in their original
// order, when a client comes back to its session: see package natsresume.
//
// It runs on the goroutine of the connecting client. Only clients with messages in flight pay
// for it.
type resumer struct {
	server *server.Server
	conn   *nats.Conn
	broker natsresume.Broker
	log    *slog.Logger

	mu      sync.Mutex
	clients map[string]uint64 // MQTT client id -> the broker's id of its last connection
	pruneAt int
}

const resumeWithin = 10 * time.Second

func newResumer(s *server.Server, auth *mqttAuth, log *slog.Logger) (*resumer, error) {
	auth.secret = newSecret()
	conn, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(internalUser, auth.secret),
		nats.Name("devstack"), nats.MaxReconnects(-1))
	if err != nil {
		return nil, fmt.Errorf("connect to the broker inside the process: %w", err)
	}
	return &resumer{server: s, conn: conn, broker: natsresume.Broker{Conn: conn}, log: log, clients: map[string]uint64{}, pruneAt: 1024}, nil
}

func (r *resumer) close() { r.conn.Close() }

// connecting is called while the broker handles the CONNECT of connection id, and reports
// whether it may go on.
func (r *resumer) connecting(id uint64) bool {
	client, ok := r.clientID(id)
	if !ok || client == "" {
		return true
	}
	previous := r.remember(client, id)
	ctx, cancel := context.WithTimeout(context.Background(), resumeWithin)
	defer cancel()
	session, err := r.broker.Session(ctx, client)
	if err == nil && session == nil {
		return true
	}
	if err == nil {
		// A connection that the broker still holds for up is taken over now: as
		// long as it is subscribed, nothing can be put back in line.
		if previous != 0 && r.server.GetClient(previous) != nil {
			_ = r.server.DisconnectClientByID(previous)
		}
		_, err = r.broker.Requeue(ctx, session)
	}
	if errors.Is(err, natsresume.ErrAside) {
		r.log.Warn("mqtt client refused: its session cannot be resumed now", "client", client, "error", err)
		return false
	}
	if err != nil {
		r.log.Warn("unacknowledged messages may arrive late", "client", client, "error", err)
	}
	return true
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
