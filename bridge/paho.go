package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// How long the broker keeps a session.
const (
	keepSession  = false // over connections, under the client id: MQTT CleanSession 0
	cleanSession = true  // as long as the connection
)

// pahoClient is a client by the Paho library.
//
// What of the library matters here: it calls the handler in one goroutine, in
// the order of receipt; it reads nothing from the connection while a handler
// waits, not even the answer to a ping; and it does not report the loss of the
// connection before the handler has returned. So this client keeps its own
// watch over the connection (see link), and its handler heeds that.
type pahoClient struct {
	paho mqtt.Client
	in   intake
	ping time.Duration // between pings while the handler waits
	lost chan error
	link atomic.Pointer[link]
	gone chan struct{} // closed with the established connection, or by Close
	once sync.Once

	handling sync.Mutex
}

// opener opens the network connection to a broker.
type opener func(*url.URL) (net.Conn, error)

// pahoDialer makes the clients of a configuration, with a last will or none.
func pahoDialer(cfg MQTTConfig, open opener, clean bool, last *will) dialer {
	return func(in intake) client {
		p := &pahoClient{in: in, ping: cfg.KeepAlive / 2, lost: make(chan error, 1), gone: make(chan struct{})}
		o := mqtt.NewClientOptions().
			SetClientID(cfg.ClientID).
			SetUsername(cfg.Username).
			SetPassword(cfg.Password).
			SetProtocolVersion(4). // else a refusal is followed by a try with 3.1
			SetCleanSession(clean).
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
			SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
				conn, err := open(u)
				if err != nil {
					return nil, fmt.Errorf("connecting to %s: %w", u.Redacted(), err)
				}
				l := newLink(conn, 2*cfg.KeepAlive, p.end)
				p.link.Store(l)
				return l, nil
			})
		for _, b := range cfg.Brokers {
			o.AddBroker(b)
		}
		if last != nil {
			o.SetBinaryWill(last.topic, last.payload(), 1, true)
		}
		p.paho = mqtt.NewClient(o)
		return p
	}
}

// end notes why the connection ended, the first time.
func (p *pahoClient) end(err error) {
	p.once.Do(func() {
		p.lost <- err
		close(p.gone)
	})
}

func (p *pahoClient) handle(_ mqtt.Client, m mqtt.Message) {
	p.handling.Lock()
	defer p.handling.Unlock()
	if isClosed(p.gone) || isClosed(p.in.stop) {
		return
	}
	d := delivery{
		from:     p.in.from,
		topic:    m.Topic(),
		payload:  m.Payload(),
		dup:      m.Duplicate(),
		retained: m.Retained(),
		at:       time.Now().UTC().Truncate(time.Millisecond),
	}
	if m.Qos() > 0 {
		d.id, d.ack = m.MessageID(), m.Ack
	}
	select {
	case p.in.deliver <- d:
		return
	default:
	}
	p.deliverLater(d)
}

// deliverLater waits for room. Meanwhile the library sends one ping at most,
// because it does not see the answer; the broker must go on hearing of us.
func (p *pahoClient) deliverLater(d delivery) {
	tick := time.NewTicker(p.ping)
	defer tick.Stop()
	for {
		select {
		case p.in.deliver <- d:
			return
		case <-p.gone:
			return
		case <-p.in.stop:
			return
		case <-tick.C:
			if l := p.link.Load(); l != nil {
				l.ping()
			}
		}
	}
}

func (p *pahoClient) Connect(ctx context.Context) (bool, error) {
	t := p.paho.Connect().(*mqtt.ConnectToken)
	if err := p.await(ctx, t); err != nil {
		return false, fmt.Errorf("connecting to the broker: %w", err)
	}
	return t.SessionPresent(), nil
}

// await waits for a token. The library leaves some tokens of lost connections
// open for ever.
func (p *pahoClient) await(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-p.gone:
		return errLost
	}
}

var errLost = errors.New("connection lost")

func (p *pahoClient) Subscribe(ctx context.Context, filters []string) error {
	want := make(map[string]byte, len(filters))
	for _, f := range filters {
		want[f] = 1
	}
	t := p.paho.SubscribeMultiple(want, nil).(*mqtt.SubscribeToken)
	if err := p.await(ctx, t); err != nil {
		return fmt.Errorf("subscribing to %q: %w", filters, err)
	}
	granted := t.Result()
	for _, f := range filters {
		if qos, ok := granted[f]; !ok || qos != 1 {
			return fmt.Errorf("subscribing to %q: the broker granted %#x instead of QoS 1", f, qos)
		}
	}
	return nil
}

func (p *pahoClient) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	// Publish waits for the connection to take the packet, without a context.
	sent := make(chan mqtt.Token, 1)
	go func() { sent <- p.paho.Publish(topic, qos, retained, payload) }()
	select {
	case t := <-sent:
		return p.await(ctx, t)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pahoClient) Lost() <-chan error { return p.lost }

func (p *pahoClient) Close(quiesce time.Duration) {
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
