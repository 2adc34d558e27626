package bridge

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"devicetwin/mqtt"
	"devicetwin/wire"
)

// A broker keeps the session of a bridge for whoever connects under its client id: the same
// bridge, the same one without its log, or another one elsewhere that was given its id. Only
// the first knows what was delivered from the session before. So each bridge claims its
// session before it opens it: retained, on bridge/{id}/claim, it names its log. While that
// claim stands, nobody else has opened the session. An earlier version of this program claims
// nothing; it shows by its status, which names no log.

// BridgeClaim is what a bridge says, retained, on bridge/{bridge id}/claim, before it opens
// its session.
type BridgeClaim struct {
	// Log identifies the log of the bridge: another one, or none, has another value.
	Log string    `json:"log"`
	At  time.Time `json:"at"` // UTC
	// Position is how far that log was on the disk then, at least. A log that ends before it is an
	// earlier copy, which was put back.
	Position int64 `json:"position,omitempty"`
	// Probe is set in a message that is not retained and claims nothing: a bridge that reads
	// the claim recognizes by it that nothing was retained.
	Probe string `json:"probe,omitempty"`
}

const (
	// claimTimeout is how long an attempt to claim may take once there is a connection,
	// claimHeard how long it waits for its own message, and claimEvery how often it publishes it.
	claimTimeout = 20 * time.Second
	claimHeard   = 5 * time.Second
	claimEvery   = time.Second
	// claimGrace is how long what is retained may come after a message that was published
	// later: some brokers read it from a store.
	claimGrace = 250 * time.Millisecond
	// claimRenewed is how often a bridge that is connected says in its claim how far its log is.
	claimRenewed = 15 * time.Second
)

// appended is what was appended to a log: by the process of this name, up to a position. So many
// messages of it wait to be delivered.
type appended struct {
	log     string
	to      int64
	waiting int
}

// claim claims the session for what is appended to the bridge's log from now on, and reports
// whether it was claimed for what was appended last, before this process, and for nothing
// other since; "" means that there is nothing. So a copy of the log that is put back does not
// count for the log: if another process had the log since, by its name, or else if the claim was
// renewed since, by the position. It is to be called before the session is opened, and may be called again:
// what it says once the session is open holds for what came in between. An unreachable broker
// is waited for, or an error. One that answers, and does not let the bridge read or publish its
// claim, leaves it unknown, and that is logged. Any other error means that ctx ended.
func (b *Bridge) claim(ctx context.Context, before appended, log string, patient bool) (mine bool, err error) {
	if b.lineage = log; log == "" {
		b.lineage = crand.Text()
	}
	b.renews.Store(false)
	var found claimed
	err = b.insist(ctx, attempts{
		once: func(ctx context.Context) (err error) { found, err = b.claimOnce(ctx, before); return err },
		most: probeAttempts,
		last: func(err error) bool { return errors.Is(err, errClaimUnheard) || !patient && isUnreachable(err) },
		yet:  "cannot claim the session yet; retrying",
	})
	switch {
	case err == nil:
		b.renews.Store(log != "")
		switch {
		case before.log == "":
		case found.ahead > 0:
			b.log.Warn("this bridge's log is an earlier copy, which was put back: what was received after it, and Temporal has not accepted, is lost, and what waits in it may come "+
				"after newer messages; the next message of each device is signalled", "ends", before.to, "claimed", before.to+found.ahead, "since", found.since, "messages_waiting", before.waiting)
		case found.other != "" && before.waiting > 0:
			b.log.Warn(found.other+"; what waits in this log may come after newer messages, or a second time; the next message of each device is signalled",
				"since", found.since, "messages_waiting", before.waiting)
		case found.other != "":
			b.log.Info(found.other+"; the next message of each device is signalled", "since", found.since)
		}
		return found.mine && before.log != "", nil
	case ctx.Err() != nil:
		return false, fmt.Errorf("claim the session of bridge %s: %w", b.cfg.ID, ctx.Err())
	case isUnreachable(err):
		return false, fmt.Errorf("claim the session of bridge %s: %w", b.cfg.ID, err)
	}
	b.log.Warn("cannot read and publish the claim to the session; after each start, the next message of each device is signalled: "+
		"give the bridge's account the permission to read and publish it", "topic", wire.ClaimTopic(b.cfg.ID), "error", err)
	return false, nil
}

var errClaimUnheard = fmt.Errorf("the broker delivers nothing there within %v", claimHeard)

// claimed is whose the session was.
type claimed struct {
	mine  bool
	other string // says that it was another's
	ahead int64  // by how much the log was longer
	since time.Time
}

// claimOnce reads the claim, and replaces one that is not this bridge's.
func (b *Bridge) claimOnce(ctx context.Context, before appended) (found claimed, err error) {
	r := newClaimReader(b.cfg.ID)
	c := b.probe(ctx, handTo(r.arrived))
	defer c.Close(0)
	if err := connect(ctx, c); err != nil {
		return claimed{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout) // a connection may be sought at several brokers
	defer cancel()
	if err := c.Subscribe(ctx, []string{r.topic, r.status}); err != nil {
		return claimed{}, err
	}
	claim, status, unheard := r.read(ctx, c)
	if unheard != nil && !errors.Is(unheard, errClaimUnheard) {
		return claimed{}, unheard
	}
	if found = b.claimedBy(claim, status, before); claim.Log == b.lineage {
		return found, unheard
	}
	return found, errors.Join(unheard, c.Publish(ctx, r.topic, 1, true, newClaim(b.lineage, 0)))
}

// claimedBy compares what was retained with the bridge's own.
func (b *Bridge) claimedBy(claim BridgeClaim, status BridgeStatus, before appended) claimed {
	switch {
	case claim.Log == "":
		return claimed{}
	case claim.Log != before.log:
		return claimed{other: "another bridge, or this one without its log, had this bridge's id", since: claim.At}
	case claim.Position > before.to:
		return claimed{ahead: claim.Position - before.to, since: claim.At}
	case status.Status == "":
		return claimed{other: "this bridge's status is not retained on " + wire.StatusTopic(b.cfg.ID) + ", or its account may not read it", since: claim.At}
	case status.Log != before.log:
		return claimed{other: "an earlier version of this program had this bridge's id", since: status.At}
	}
	return claimed{mine: true}
}

// renewClaims says in the claim how far the log is, at once and again and again, until ctx ends:
// over the session's own connection, so that a bridge which has lost the session says nothing.
// That it says so at once undoes what such a bridge may have said meanwhile.
func (s *session) renewClaims(ctx context.Context, c mqtt.Conn) {
	tick := time.NewTicker(claimRenewed)
	defer tick.Stop()
	for said := int64(-1); ; {
		if at := s.reached(); at > said && s.renewClaim(ctx, c, at) == nil {
			said = at
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *session) renewClaim(ctx context.Context, c mqtt.Conn, position int64) error {
	ctx, cancel := context.WithTimeout(ctx, claimRenewed)
	defer cancel()
	err := c.Publish(ctx, wire.ClaimTopic(s.cfg.ID), 1, true, newClaim(s.lineage, position))
	if err != nil {
		s.log.Debug("claim of the bridge not confirmed", "error", err)
	}
	return err
}

func newClaim(log string, position int64) []byte {
	payload, _ := json.Marshal(BridgeClaim{Log: log, At: now(), Position: position}) // nothing in it cannot be encoded
	return payload
}

// claimReader reads what is retained.
type claimReader struct {
	topic, status string
	nonce         string
	arrived       chan mqtt.Message
}

func newClaimReader(id string) *claimReader {
	return &claimReader{topic: wire.ClaimTopic(id), status: wire.StatusTopic(id), nonce: crand.Text(), arrived: make(chan mqtt.Message)}
}

// read returns the claim and the status that are retained. Nothing says that there is none, so a
// message is published, which the broker delivers afterwards.
func (r *claimReader) read(ctx context.Context, c mqtt.Conn) (claim BridgeClaim, status BridgeStatus, err error) {
	failed := make(chan error, 1)
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	go func() { failed <- r.publishProbe(publishing, c) }()
	unheard, grace := time.After(claimHeard), (<-chan time.Time)(nil)
	for claim.Log == "" || status.Status == "" {
		select {
		case m := <-r.arrived:
			var next BridgeClaim
			switch {
			case m.Topic == r.status:
				_ = json.Unmarshal(m.Payload, &status) // what cannot be read names no log
			case json.Unmarshal(m.Payload, &next) != nil:
			case next.Probe == "":
				claim = next
			case next.Probe == r.nonce && grace == nil:
				grace = time.After(claimGrace)
			}
		case <-grace:
			return claim, status, nil
		case <-unheard:
			return claim, status, errClaimUnheard
		case err := <-failed:
			return claim, status, err
		case err := <-c.Lost():
			return claim, status, err
		case <-ctx.Done():
			return claim, status, ctx.Err()
		}
	}
	return claim, status, nil
}

// publishProbe publishes the message again and again, since some brokers deliver nothing for a
// moment after a subscription, until ctx ends or it fails.
func (r *claimReader) publishProbe(ctx context.Context, c mqtt.Conn) error {
	payload, err := json.Marshal(BridgeClaim{Probe: r.nonce, At: now()})
	for err == nil {
		if err = c.Publish(ctx, r.topic, 1, false, payload); err == nil {
			select {
			case <-time.After(claimEvery):
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	}
	return err
}
