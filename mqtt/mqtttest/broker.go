// Package mqtttest is a broker under the control of a test: connections of
// package mqtt without a network.
package mqtttest

import (
	"context"
	"sync"
	"time"

	"devicetwin/mqtt"
)

// Plan is how a connection behaves.
type Plan struct {
	Present    bool  // the broker still had the session
	ConnectErr error // of Connect
	PublishErr error // of Publish
	OnPublish  func(topic string, payload []byte)
}

// Broker makes the connections of a dialer, each as its plan says; the last plan
// is kept.
type Broker struct {
	Plans []Plan

	mu    sync.Mutex
	conns []*Conn
}

// Dial is an mqtt.Dialer.
func (b *Broker) Dial(ctx context.Context, handle mqtt.Handler) mqtt.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &Conn{lost: make(chan error, 1), handle: handle}
	c.receiving, c.stop = context.WithCancel(ctx)
	if len(b.Plans) > 0 {
		c.plan = b.Plans[min(len(b.conns), len(b.Plans)-1)]
	}
	b.conns = append(b.conns, c)
	return c
}

// Count is how many connections there were.
func (b *Broker) Count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

// First is the first connection.
func (b *Broker) First() *Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conns[0]
}

// Last is the last connection.
func (b *Broker) Last() *Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conns[len(b.conns)-1]
}

// Conn is one connection.
type Conn struct {
	handle    mqtt.Handler
	receiving context.Context
	stop      context.CancelFunc
	lost      chan error

	mu         sync.Mutex
	plan       Plan
	subscribed []string
	published  []string
	closed     bool
}

// Deliver hands a message to the connection's handler, and returns when that
// does.
func (c *Conn) Deliver(m mqtt.Message) { c.handle(c.receiving, m) }

// Lose ends the connection, once.
func (c *Conn) Lose(err error) {
	select {
	case c.lost <- err:
	default:
	}
}

// FailPublish makes Publish fail from now on.
func (c *Conn) FailPublish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plan.PublishErr = err
}

// Subscribed is the filters of the last subscription.
func (c *Conn) Subscribed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subscribed
}

// Published is what was published, each as "topic payload".
func (c *Conn) Published() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.published...)
}

// Closed reports whether the connection was closed.
func (c *Conn) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *Conn) Connect(context.Context) (bool, error) { return c.plan.Present, c.plan.ConnectErr }

func (c *Conn) Subscribe(_ context.Context, filters []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribed = filters
	return nil
}

func (c *Conn) Publish(_ context.Context, topic string, _ byte, _ bool, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plan.PublishErr != nil {
		return c.plan.PublishErr
	}
	c.published = append(c.published, topic+" "+string(payload))
	if c.plan.OnPublish != nil {
		c.plan.OnPublish(topic, payload)
	}
	return nil
}

func (c *Conn) Broker() string { return "fake" }

func (c *Conn) Lost() <-chan error { return c.lost }

func (c *Conn) Close(time.Duration) {
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}
