package mqtt

import (
	"context"
	"log/slog"
	"time"

	"devicetwin/internal/backoff"
)

// Connector keeps one client connected: a new connection after each loss, with
// growing pauses between attempts.
type Connector struct {
	log  *slog.Logger
	wait func(attempt int) time.Duration
	// stable is how long a connection must last for the pauses to start again from
	// the shortest. Two processes that use one client id disconnect each other at
	// once, and would otherwise do so without a pause.
	stable time.Duration
	hooks  Hooks
	short  int // connections in a row that the broker ended soon
}

// Contender is implemented by Hooks that want to know that the broker ends each connection
// soon after it began, and that it does not any more. MQTT 3.1.1 gives no reason, but that
// is what two clients with one client id see: each connection ends the other's
// [MQTT-3.1.4-2].
type Contender interface{ Contended(bool) }

// contendedAfter is how many connections in a row have to end soon. A broker that restarts
// refuses some in between.
const contendedAfter = 3

// endedAfter takes note of how long a connection lasted; zero: there was none.
func (c *Connector) endedAfter(lasted time.Duration) {
	if lasted == 0 || lasted >= 2*c.stable {
		c.lasts()
		return
	}
	c.short++
	if c.short == contendedAfter {
		c.log.Error("the broker ends each connection soon after it began: probably another client uses the same client id, which must be unique", "connections", c.short)
		c.contended(true)
	}
}

// lasts takes note of a connection that lasts.
func (c *Connector) lasts() {
	if c.short >= contendedAfter {
		c.contended(false)
	}
	c.short = 0
}

func (c *Connector) contended(on bool) {
	if h, ok := c.hooks.(Contender); ok {
		h.Contended(on)
	}
}

// NewConnector makes a connector with the pauses and the client id (for its log)
// of a configuration.
func NewConnector(cfg Config, hooks Hooks, log *slog.Logger) *Connector {
	return &Connector{
		log:    log.With("connection", cfg.ClientID),
		wait:   backoff.New(cfg.BackoffMin, cfg.BackoffMax),
		stable: cfg.BackoffMax,
		hooks:  hooks,
	}
}

// Hooks are called at the turns of a connection. For each connection that Dial
// made, Up may be called, and then Drain if it is to end in order; Down is always
// called, last, when the connection is closed.
type Hooks interface {
	// Dial makes a connection; nil ends the connector.
	Dial(ctx context.Context) Conn
	// Up is called when connected; an error ends the connection.
	Up(ctx context.Context, c Conn, sessionPresent bool) error
	// Drain is called when the connector is told to stop while connected, and
	// returns when nothing has to be sent any more, with how long the connection
	// may take to send what it was given.
	Drain(c Conn) (quiesce time.Duration)
	Down(c Conn)
}

// quiesce is how long a connection that ends in order usually may take to send
// what it was given.
const quiesce = 500 * time.Millisecond

// Run works until ctx ends.
func (c *Connector) Run(ctx context.Context) {
	var lostAt time.Time // zero: no outage was logged
	what := "cannot connect to the broker; retrying"
	attempt := 0
	var fresh time.Time // when a connection that had lasted was lost
	for ctx.Err() == nil {
		var upSince time.Time
		err := c.connection(ctx, func(broker string) {
			if !lostAt.IsZero() {
				c.log.Info("reconnected to the broker", "broker", broker, "after", time.Since(lostAt).Round(time.Millisecond))
			} else {
				c.log.Info("connected to the broker", "broker", broker)
			}
			lostAt = time.Time{}
			what = "lost the connection to the broker; reconnecting"
			upSince = time.Now()
		})
		if ctx.Err() != nil {
			return
		}
		lasted := time.Duration(0)
		if !upSince.IsZero() {
			lasted = max(1, time.Since(upSince))
		}
		c.endedAfter(lasted)
		if lostAt.IsZero() {
			lostAt = time.Now()
			c.log.Warn(what, "error", err)
		} else {
			c.log.Debug("still not connected to the broker", "error", err, "attempt", attempt)
		}
		if lasted >= c.stable {
			attempt, fresh = 0, time.Now()
		}
		pause := time.NewTimer(c.pause(attempt, time.Since(fresh)))
		attempt++
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// freshPauses is how often the pause doubles at first. A cluster that elects a new leader
// refuses connections for some seconds; NATS takes 4 to 9 of them. Longer pauses would add to
// that.
const freshPauses = 1

// pause is the wait after an attempt that has failed, some time after a connection that had
// lasted was lost.
func (c *Connector) pause(attempt int, since time.Duration) time.Duration {
	if since < c.stable {
		attempt = min(attempt, freshPauses)
	}
	return c.wait(attempt)
}

// connection lives through one connection and returns why it ended. It says at which broker
// it is connected.
func (c *Connector) connection(ctx context.Context, connected func(broker string)) error {
	cl := c.hooks.Dial(ctx)
	if cl == nil {
		return ctx.Err()
	}
	ending := time.Duration(0) // for what is still to be sent
	defer func() {
		cl.Close(ending)
		c.hooks.Down(cl)
	}()
	present, err := cl.Connect(ctx)
	if err != nil {
		return err
	}
	if err := c.hooks.Up(ctx, cl, present); err != nil {
		return err
	}
	connected(cl.Broker())
	lasts := time.NewTimer(2 * c.stable)
	defer lasts.Stop()
	for {
		select {
		case <-lasts.C:
			c.lasts()
		case err := <-cl.Lost():
			return err
		case <-ctx.Done():
			ending = c.hooks.Drain(cl)
			return ctx.Err()
		}
	}
}
