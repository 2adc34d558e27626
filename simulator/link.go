package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// token is the outcome of a publish, as far as it is known.
type token interface {
	Done() <-chan struct{} // closed when the PUBACK has arrived, or the publish has failed
	Error() error
}

// link is one MQTT connection of a device.
type link interface {
	// publish sends with QoS 1. After the link is lost, a token may never be done.
	publish(Utterance) token
	// lost is closed when the connection has ended without the device's doing.
	lost() <-chan struct{}
	// cut ends the connection as a failing network would: the broker publishes
	// the last will.
	cut()
	// leave ends the connection with DISCONNECT.
	leave()
}

// credentials are what a device shows to the broker.
type credentials struct{ username, password string }

// call is what a device wants of a new link.
type call struct {
	client      string // MQTT client id
	credentials credentials
	will        Utterance
	filter      string // topic filter to subscribe to, QoS 1
	subscribed  bool   // an earlier link of this device subscribed; skip it if the session is still there
	receive     func(topic string, payload []byte)
}

// dialer makes links.
type dialer func(ctx context.Context, c call) (link, error)

// Times of the MQTT clients. The keep-alive is long because the simulator talks
// all the time, and 10,000 devices that ping at once would be a burst.
const (
	connectTimeout = 20 * time.Second
	keepAlive      = 2 * time.Minute
	writeTimeout   = 20 * time.Second
	leaveTimeout   = 500 // milliseconds
)

// pahoDialer makes links to the broker, each with a client of its own: a client
// that reconnects automatically would hide whether the session is still there, and
// would decide about repetitions in the device's place.
func pahoDialer(brokers []string, secure *tls.Config) (dialer, error) {
	for _, b := range brokers {
		if err := checkBroker(b); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, c call) (link, error) {
		l := &pahoLink{gone: make(chan struct{})}
		options := mqtt.NewClientOptions().
			SetClientID(c.client).
			SetUsername(c.credentials.username).
			SetPassword(c.credentials.password).
			SetCleanSession(false).
			SetAutoReconnect(false).
			SetConnectRetry(false).
			SetOrderMatters(true).
			SetConnectTimeout(connectTimeout).
			SetWriteTimeout(writeTimeout).
			SetKeepAlive(keepAlive).
			SetProtocolVersion(4).
			SetBinaryWill(c.will.Topic, c.will.Payload, 1, c.will.Retained).
			SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.receive(m.Topic(), m.Payload()) }).
			SetConnectionLostHandler(func(mqtt.Client, error) { l.end() }).
			SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
				conn, err := open(ctx, u, secure)
				if err == nil {
					l.conn = conn
				}
				return conn, err
			})
		for _, b := range brokers { // which the client tries in turn
			options.AddBroker(b)
		}
		l.client = mqtt.NewClient(options)
		if err := l.connect(ctx, c); err != nil {
			l.leave()
			return nil, err
		}
		return l, nil
	}, nil
}

// checkBroker reports an address that open does not know.
func checkBroker(broker string) error {
	u, err := url.Parse(broker)
	if err != nil {
		return fmt.Errorf("broker address: %w", err)
	}
	switch u.Scheme {
	case "tcp", "mqtt", "ssl", "tls", "mqtts", "ws", "wss":
		return nil
	}
	return fmt.Errorf("broker address: expected tcp://, mqtt://, ssl://, mqtts://, ws:// or wss://, found %q", u.Redacted())
}

// open opens a connection to a broker.
func open(ctx context.Context, u *url.URL, secure *tls.Config) (net.Conn, error) {
	dial := &net.Dialer{Timeout: connectTimeout}
	switch u.Scheme {
	case "ssl", "tls", "mqtts":
		d := &tls.Dialer{NetDialer: dial, Config: secure}
		return d.DialContext(ctx, "tcp", u.Host)
	case "ws", "wss":
		return mqtt.NewWebsocket(u.String(), secure, connectTimeout, http.Header{}, nil)
	}
	return dial.DialContext(ctx, "tcp", u.Host)
}

// pahoLink is a link made of a paho client that connects once.
type pahoLink struct {
	client mqtt.Client
	conn   net.Conn
	gone   chan struct{}
	once   sync.Once
}

func (l *pahoLink) end() { l.once.Do(func() { close(l.gone) }) }

func (l *pahoLink) connect(ctx context.Context, c call) error {
	connected := l.client.Connect().(*mqtt.ConnectToken)
	if err := l.await(ctx, connected); err != nil {
		return fmt.Errorf("connect to broker: %w", err)
	}
	if c.subscribed && connected.SessionPresent() {
		return nil
	}
	subscribed := l.client.Subscribe(c.filter, 1, nil).(*mqtt.SubscribeToken)
	if err := l.await(ctx, subscribed); err != nil {
		return fmt.Errorf("subscribe to %s: %w", c.filter, err)
	}
	if qos := subscribed.Result()[c.filter]; qos != 1 { // which the client takes for a success
		return fmt.Errorf("subscribe to %s: the broker granted %#x instead of QoS 1", c.filter, qos)
	}
	return nil
}

var errLost = errors.New("connection lost")

func (l *pahoLink) await(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-l.gone:
		return errLost
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *pahoLink) publish(u Utterance) token {
	return l.client.Publish(u.Topic, 1, u.Retained, u.Payload)
}

func (l *pahoLink) lost() <-chan struct{} { return l.gone }

func (l *pahoLink) cut() { l.conn.Close() }

func (l *pahoLink) leave() { l.client.Disconnect(leaveTimeout) }
