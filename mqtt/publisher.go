package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"devicetwin/internal/faults"
)

// Publisher publishes messages over a connection of its own, which it opens
// again automatically. Its methods may be called from any goroutine.
type Publisher struct {
	dial      Dialer
	connector *Connector

	mu      sync.Mutex
	current Conn          // nil while there is no connection
	changed chan struct{} // closed when current changes
}

// NewPublisher prepares a publisher; Run makes it work. ClientID must be set,
// and be another one than that of any bridge.
func NewPublisher(cfg Config, log *slog.Logger) (*Publisher, error) {
	var f faults.List
	f.Check(cfg.ClientID != "", "mqtt client id: must not be empty")
	f.Add(cfg.Validate())
	if err := f.Err(); err != nil {
		return nil, fmt.Errorf("publisher configuration: %w", err)
	}
	// A clean session: the library forgets the tokens of a kept one when the
	// connection is lost, and what was not confirmed is published again here.
	dial, err := NewDialer(cfg, CleanSession, nil)
	if err != nil {
		return nil, fmt.Errorf("publisher configuration: %w", err)
	}
	if log == nil {
		log = slog.Default()
	}
	return newPublisher(cfg, dial, log), nil
}

func newPublisher(cfg Config, dial Dialer, log *slog.Logger) *Publisher {
	p := &Publisher{dial: dial, changed: make(chan struct{})}
	p.connector = NewConnector(cfg, (*publisherHooks)(p), log)
	return p
}

// Run keeps the connection until ctx ends. It is called once.
func (p *Publisher) Run(ctx context.Context) { p.connector.Run(ctx) }

// Publish returns nil once the broker has confirmed the message (QoS 1), or
// once it was sent (QoS 0). It waits for a connection, and publishes again
// after a loss, until ctx ends: the broker may receive the message more than
// once.
func (p *Publisher) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	if err := CheckTopic(topic); err != nil {
		return fmt.Errorf("publish to %w", err)
	}
	if qos > 1 {
		return fmt.Errorf("publish to topic %q: qos %d: expected 0 or 1", topic, qos)
	}
	var last error
	for {
		c, changed := p.connection()
		if c != nil {
			last = c.Publish(ctx, topic, qos, retained, payload)
			if last == nil {
				return nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if last == nil || errors.Is(last, ctx.Err()) {
				return fmt.Errorf("publish to topic %q: %w", topic, ctx.Err())
			}
			return fmt.Errorf("publish to topic %q: %w, last %w", topic, ctx.Err(), last)
		}
	}
}

// Connected reports whether there is a connection now.
func (p *Publisher) Connected() bool {
	c, _ := p.connection()
	return c != nil
}

func (p *Publisher) connection() (Conn, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current, p.changed
}

func (p *Publisher) use(c Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = c
	close(p.changed)
	p.changed = make(chan struct{})
}

// publisherHooks keeps the hooks out of the publisher's methods.
type publisherHooks Publisher

func (h *publisherHooks) Dial(ctx context.Context) Conn { return h.dial(ctx, nil) }

func (h *publisherHooks) Up(_ context.Context, c Conn, _ bool) error {
	(*Publisher)(h).use(c)
	return nil
}

func (h *publisherHooks) Drain(Conn) time.Duration { return quiesce }

func (h *publisherHooks) Down(Conn) { (*Publisher)(h).use(nil) }
