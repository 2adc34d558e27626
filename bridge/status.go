package bridge

import (
	"context"
	"encoding/json"
	"time"

	"devicetwin/mqtt"
	"devicetwin/wire"
)

// BridgeStatus is what a bridge says of itself, retained, on
// bridge/{bridge id}/status: online while it is subscribed, offline when it
// ends. If it is lost, the broker says offline in its place (MQTT 3.1.1,
// section 3.1.2.5: last will).
type BridgeStatus struct {
	Status string `json:"status"` // online, offline
	// Reason is why it is offline: stopped, or lost, which the broker says.
	Reason string `json:"reason,omitempty"`
	// At is when the status began, UTC; of a lost one, when the connection that
	// was lost was made.
	At        time.Time `json:"at"`
	Partition string    `json:"partition,omitempty"` // such as 1/3
	Log       string    `json:"log,omitempty"`       // as in its claim
}

func (c Config) status(status, reason, log string) []byte {
	payload, _ := json.Marshal(BridgeStatus{status, reason, now(), c.Partition.String(), log})
	return payload
}

// now is the time as it is published.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func (b *Bridge) will() *mqtt.Will {
	return &mqtt.Will{Topic: wire.StatusTopic(b.cfg.ID), Payload: func() []byte { return b.cfg.status("offline", "lost", b.lineage) }}
}

// announce publishes the status over the session's own connection, so that it
// and the last will cannot overtake each other. It does not wait for longer
// than limit: behind a full window, the broker's answer is not read.
func (s *session) announce(ctx context.Context, c mqtt.Conn, status, reason string, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c.Publish(ctx, wire.StatusTopic(s.cfg.ID), 1, true, s.cfg.status(status, reason, s.lineage)); err != nil {
		s.log.Debug("status of the bridge not confirmed", "status", status, "error", err)
	}
}

// announceEnd publishes that the bridge ends, and how far its log is.
func (s *session) announceEnd(c mqtt.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), offlineWithin)
	defer cancel()
	if s.renews() {
		_ = s.renewClaim(ctx, c, s.reached())
	}
	s.announce(ctx, c, "offline", "stopped", offlineWithin)
}

// How long the broker may take to confirm a status.
const (
	onlineWithin  = 10 * time.Second
	offlineWithin = 500 * time.Millisecond
)
