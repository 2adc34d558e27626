package e2e

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const patience = 20 * time.Second

// testLogger writes to the test's log as long as the test runs.
func testLogger(t *testing.T) *slog.Logger {
	var over atomic.Bool
	t.Cleanup(func() { over.Store(true) })
	return slog.New(slog.NewTextHandler(logWriter{t, &over}, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

type logWriter struct {
	t    *testing.T
	over *atomic.Bool
}

func (w logWriter) Write(p []byte) (int, error) {
	if !w.over.Load() {
		w.t.Logf("%s", p)
	}
	return len(p), nil
}

// mqttDevice is an MQTT client that hands its messages to the test, which
// acknowledges them.
type mqttDevice struct {
	t       *testing.T
	client  mqtt.Client
	inbox   chan received
	present bool       // the broker knew the session
	open    []received // what inOrder received
}

type received struct {
	topic, payload string
	duplicate      bool
	id             uint16
	ack            func()
}

type option func(*mqtt.ClientOptions)

// persistent keeps the session when the connection ends, and the
// acknowledgements with the test.
func persistent(o *mqtt.ClientOptions) { o.SetCleanSession(false).SetAutoAckDisabled(true) }

func login(username, password string) option {
	return func(o *mqtt.ClientOptions) { o.SetUsername(username).SetPassword(password) }
}

func connect(t *testing.T, url, id string, options ...option) *mqttDevice {
	t.Helper()
	d, err := tryConnect(t, url, id, options...)
	if err != nil {
		t.Fatalf("connect %s: %v", id, err)
	}
	return d
}

func tryConnect(t *testing.T, url, id string, options ...option) (*mqttDevice, error) {
	d := &mqttDevice{t: t, inbox: make(chan received, 10_000)}
	o := mqtt.NewClientOptions().AddBroker(url).SetClientID(id).SetProtocolVersion(4).SetCleanSession(true).SetOrderMatters(true).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(10 * time.Second).SetWriteTimeout(10 * time.Second).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			d.inbox <- received{m.Topic(), string(m.Payload()), m.Duplicate(), m.MessageID(), m.Ack}
		})
	for _, option := range options {
		option(o)
	}
	d.client = mqtt.NewClient(o)
	token := d.client.Connect()
	if !token.WaitTimeout(patience) {
		t.Fatalf("connect %s: no answer", id)
	}
	if token.Error() != nil {
		return nil, token.Error()
	}
	d.present = token.(*mqtt.ConnectToken).SessionPresent()
	t.Cleanup(d.disconnect)
	return d, nil
}

func (d *mqttDevice) disconnect() { d.client.Disconnect(20) }

func (d *mqttDevice) await(what string, token mqtt.Token) {
	d.t.Helper()
	if !token.WaitTimeout(patience) {
		d.t.Fatalf("%s: no answer", what)
	}
	if token.Error() != nil {
		d.t.Fatalf("%s: %v", what, token.Error())
	}
}

func (d *mqttDevice) subscribe(filter string) {
	d.t.Helper()
	d.await("subscribe to "+filter, d.client.Subscribe(filter, 1, nil))
}

// publish returns when the broker has acknowledged.
func (d *mqttDevice) publish(topic, payload string) {
	d.t.Helper()
	d.await("publish to "+topic, d.client.Publish(topic, 1, false, payload))
}

func (d *mqttDevice) next() received {
	d.t.Helper()
	select {
	case m := <-d.inbox:
		return m
	case <-time.After(patience):
		d.t.Fatal("no message")
		return received{}
	}
}

func (d *mqttDevice) nothingFor(pause time.Duration) {
	d.t.Helper()
	select {
	case m := <-d.inbox:
		d.t.Errorf("unexpected message %s %s", m.topic, m.payload)
	case <-time.After(pause):
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func(context.Context) bool) {
	t.Helper()
	eventuallyWithin(t, patience, 20*time.Millisecond, what, condition)
}

func eventuallyWithin(t *testing.T, limit, every time.Duration, what string, condition func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !condition(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, limit)
		case <-time.After(every):
		}
	}
}
