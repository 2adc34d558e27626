package bridge

import (
	"context"
	"log/slog"
	"time"
)

// connector keeps one client connected: a new client for each connection, with
// growing pauses between attempts.
type connector struct {
	log  *slog.Logger
	wait func(attempt int) time.Duration
	// stable is how long a connection must last for the pauses to start anew.
	// Two processes that use one client id throw each other out at once, and
	// would otherwise do so without a pause.
	stable time.Duration
	hooks  connectorHooks
}

// connectorHooks is what happens at the turns of a connection. For each client
// that dial made, up may be called, and then drain if it is to end in peace;
// down is always called, last, when the client is closed.
type connectorHooks interface {
	dial(ctx context.Context) client
	// up is called when connected; an error ends the connection.
	up(ctx context.Context, c client, sessionPresent bool) error
	// drain is called when the connector is told to stop while connected, and
	// returns when nothing has to be sent any more.
	drain(c client)
	down(c client)
}

// closeQuiesce is how long a connection that ends in peace may take to send
// what it was given.
const closeQuiesce = 500 * time.Millisecond

// run works until ctx ends.
func (c *connector) run(ctx context.Context) {
	var lostAt time.Time // zero: no outage was logged
	what := "broker cannot be reached; trying again"
	attempt := 0
	for ctx.Err() == nil {
		var upSince time.Time
		err := c.connection(ctx, func() {
			if !lostAt.IsZero() {
				c.log.Info("broker is back", "after", time.Since(lostAt).Round(time.Millisecond))
			} else {
				c.log.Info("connected to the broker")
			}
			lostAt = time.Time{}
			what = "broker lost; connecting again"
			upSince = time.Now()
		})
		if ctx.Err() != nil {
			return
		}
		if lostAt.IsZero() {
			lostAt = time.Now()
			c.log.Warn(what, "err", err)
		} else {
			c.log.Debug("broker still lost", "err", err, "attempt", attempt)
		}
		if !upSince.IsZero() && time.Since(upSince) >= c.stable {
			attempt = 0
		}
		pause := time.NewTimer(c.wait(attempt))
		attempt++
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// connection lives through one connection and returns why it ended.
func (c *connector) connection(ctx context.Context, connected func()) error {
	cl := c.hooks.dial(ctx)
	if cl == nil {
		return ctx.Err()
	}
	quiesce := time.Duration(0)
	defer func() {
		cl.Close(quiesce)
		c.hooks.down(cl)
	}()
	present, err := cl.Connect(ctx)
	if err != nil {
		return err
	}
	if err := c.hooks.up(ctx, cl, present); err != nil {
		return err
	}
	connected()
	select {
	case err := <-cl.Lost():
		return err
	case <-ctx.Done():
		c.hooks.drain(cl)
		quiesce = closeQuiesce
		return ctx.Err()
	}
}
