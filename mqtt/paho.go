package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// pahoConn is a connection of the Paho library.
//
// What of the library matters here: it calls the handler in one goroutine, in
// the order of receipt; it reads nothing from the connection while a handler
// waits, not even the answer to a ping; and it does not report the loss of the
// connection before the handler has returned. So pahoConn watches the network
// connection itself (see link), and cancels the handler's context.
type pahoConn struct {
	paho      paho.Client
	deliver   Handler
	receiving context.Context // of the handler
	stop      context.CancelFunc
	ping      time.Duration // between pings while the handler waits
	lost      chan error
	link      atomic.Pointer[link]
	at        atomic.Pointer[string] // the broker that was tried last, without its password
	gone      chan struct{}          // closed with the established connection, or by Close
	once      sync.Once

	handling sync.Mutex
	busy     atomic.Bool // the handler runs
}

// NewDialer makes the connections of a configuration, with a last will or none.
func NewDialer(cfg Config, session Session, last *Will) (Dialer, error) {
	open, err := cfg.opener()
	if err != nil {
		return nil, err
	}
	return newDialer(cfg, open, session, last), nil
}

func newDialer(cfg Config, open opener, session Session, last *Will) Dialer {
	return func(ctx context.Context, handle Handler) Conn {
		p := &pahoConn{deliver: handle, ping: cfg.KeepAlive / 2, lost: make(chan error, 1), gone: make(chan struct{})}
		p.receiving, p.stop = context.WithCancel(ctx)
		o := paho.NewClientOptions().
			SetClientID(cfg.ClientID).
			SetUsername(cfg.Username).
			SetPassword(cfg.Password).
			SetProtocolVersion(4). // else a refusal is followed by a try with 3.1
			SetCleanSession(bool(session)).
			SetOrderMatters(true).
			SetAutoAckDisabled(true).
			// Both hide whether the session was present, and drop
			// acknowledgements without a word.
			SetAutoReconnect(false).
			SetConnectRetry(false).
			SetConnectTimeout(cfg.ConnectTimeout).
			SetWriteTimeout(cfg.KeepAlive).
			SetKeepAlive(cfg.KeepAlive).
			// The link notices what the ping would, and knows when nobody reads.
			SetPingTimeout(24 * time.Hour).
			// Repetitions come before the SUBACK, when no route is known yet.
			SetDefaultPublishHandler(p.handle).
			SetCustomOpenConnectionFn(func(u *url.URL, _ paho.ClientOptions) (net.Conn, error) {
				at := u.Redacted()
				p.at.Store(&at)
				conn, err := open(u)
				if err != nil {
					return nil, err
				}
				l := newLink(conn, 2*cfg.KeepAlive, p.end)
				p.link.Store(l)
				return l, nil
			})
		for _, b := range cfg.Brokers {
			o.AddBroker(b)
		}
		if last != nil {
			o.SetBinaryWill(last.Topic, last.Payload(), 1, true)
		}
		p.paho = paho.NewClient(o)
		return p
	}
}

// end notes why the connection ended, the first time.
func (p *pahoConn) end(err error) {
	p.once.Do(func() {
		p.lost <- err
		close(p.gone)
		p.stop()
	})
}

func (p *pahoConn) handle(_ paho.Client, m paho.Message) {
	p.handling.Lock()
	defer p.handling.Unlock()
	if p.deliver == nil || p.receiving.Err() != nil {
		return
	}
	received := Message{
		Topic:    m.Topic(),
		Payload:  m.Payload(),
		Dup:      m.Duplicate(),
		Retained: m.Retained(),
		At:       time.Now().UTC().Truncate(time.Millisecond),
	}
	if m.Qos() > 0 {
		received.PacketID, received.Ack = m.MessageID(), m.Ack
	}
	p.busy.Store(true)
	p.deliver(p.receiving, received)
	p.busy.Store(false)
}

// pingWhileBusy keeps the connection alive while the handler waits. The library
// sends one ping at most then, because it does not see the answer; the broker
// must go on hearing of us.
func (p *pahoConn) pingWhileBusy() {
	tick := time.NewTicker(p.ping)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if l := p.link.Load(); l != nil && p.busy.Load() {
				l.ping()
			}
		case <-p.gone:
			return
		}
	}
}

func (p *pahoConn) Connect(ctx context.Context) (bool, error) {
	t := p.paho.Connect().(*paho.ConnectToken)
	if err := p.await(ctx, t); err != nil {
		return false, fmt.Errorf("connecting to the broker%s: %w", p.broker(), err)
	}
	go p.pingWhileBusy()
	return t.SessionPresent(), nil
}

// Refused reports whether an error of Connect is the broker's refusal, which it will repeat
// [MQTT-3.2.2-5]. A broker that is unavailable for the moment has not refused.
func Refused(err error) bool {
	return errors.Is(err, packets.ErrorRefusedBadProtocolVersion) || errors.Is(err, packets.ErrorRefusedIDRejected) ||
		errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) || errors.Is(err, packets.ErrorRefusedNotAuthorised)
}

func (p *pahoConn) Broker() string {
	if at := p.at.Load(); at != nil {
		return *at
	}
	return ""
}

// broker names the broker that was tried last, for errors.
func (p *pahoConn) broker() string {
	if at := p.Broker(); at != "" {
		return " " + at
	}
	return ""
}

// await waits for a token. The library leaves some tokens of lost connections
// open forever.
func (p *pahoConn) await(ctx context.Context, t paho.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-p.gone:
		return ErrLost
	}
}

func (p *pahoConn) Subscribe(ctx context.Context, filters []string) error {
	want := make(map[string]byte, len(filters))
	for _, f := range filters {
		want[f] = 1
	}
	t := p.paho.SubscribeMultiple(want, nil).(*paho.SubscribeToken)
	if err := p.await(ctx, t); err != nil {
		return fmt.Errorf("subscribing to %q at the broker%s: %w", filters, p.broker(), err)
	}
	granted := t.Result()
	for _, f := range filters {
		if qos, ok := granted[f]; !ok || qos != 1 {
			return fmt.Errorf("subscribing to %q: the broker%s granted %#x instead of QoS 1", f, p.broker(), qos)
		}
	}
	return nil
}

func (p *pahoConn) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	// Publish waits for the connection to take the packet, without a context.
	sent := make(chan paho.Token, 1)
	go func() { sent <- p.paho.Publish(topic, qos, retained, payload) }()
	select {
	case t := <-sent:
		return p.await(ctx, t)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pahoConn) Lost() <-chan error { return p.lost }

func (p *pahoConn) Close(quiesce time.Duration) {
	if quiesce > 0 {
		p.paho.Disconnect(uint(quiesce.Milliseconds()))
	}
	p.end(net.ErrClosed)
	if l := p.link.Load(); l != nil {
		_ = l.Conn.Close()
	}
	// Nothing is delivered once gone is closed and a handler that saw it open
	// has returned.
	p.handling.Lock()
	//lint:ignore SA2001 waiting for the handler is the purpose
	p.handling.Unlock()
	p.paho.Disconnect(0)
}
