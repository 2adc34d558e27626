// Package brokertest holds a broker that asks "devicetwin auth" to what docs/brokers.md
// says: who may connect, and what a client may do.
package brokertest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/device"
	"devicetwin/internal/credentials"
	"devicetwin/service"
	"devicetwin/wire"
)

const (
	password = "a password that the start made" // of services
	patience = 20 * time.Second
)

// Broker is a broker that runs.
type Broker struct {
	URL string // of MQTT: tcp://127.0.0.1:1883
	// DotsAreLevels says that the broker takes a dot in a topic for a separator.
	DotsAreLevels bool

	store credentials.Store
}

// StartAuth starts "devicetwin auth" with accounts and an empty store, which are the
// broker's from then on. It ends with the test.
func (b *Broker) StartAuth(t *testing.T, change func(*service.AuthSettings)) *service.Service {
	t.Helper()
	dir := t.TempDir()
	sum := sha256.Sum256([]byte(password))
	var accounts strings.Builder
	for _, name := range []string{"devicetwin.bridge", "devicetwin.worker", "devicetwin.fleet"} {
		accounts.WriteString(name + ":" + hex.EncodeToString(sum[:]) + "\n")
	}
	file := filepath.Join(dir, "accounts")
	if err := os.WriteFile(file, []byte(accounts.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := service.DefaultAuth()
	settings.Auth.Listen, settings.HTTP.Listen = "127.0.0.1:0", "127.0.0.1:0"
	settings.Auth.Services, settings.Worker.Credentials = file, filepath.Join(dir, "credentials")
	change(&settings)
	plan, err := settings.Plan()
	if err != nil {
		t.Fatal(err)
	}
	running, err := plan.Start(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Close() })
	if b.store, err = credentials.Open(settings.Worker.Credentials); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.store.Close)
	return running
}

// FreeAddress is one on the loopback interface that nobody listens at.
func FreeAddress(t *testing.T) (address, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	address = listener.Addr().String()
	_, port, _ = net.SplitHostPort(address)
	return address, port
}

// Await waits until somebody listens, or ended is closed.
func Await(t *testing.T, address string, within time.Duration, ended <-chan struct{}) {
	t.Helper()
	for deadline := time.Now().Add(within); ; {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatal("the broker ended")
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the broker does not listen")
		}
	}
}

// AwaitReady waits until "devicetwin auth" is ready.
func AwaitReady(t *testing.T, running *service.Service) {
	t.Helper()
	said := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		answer, err := http.Get("http://" + running.HTTPAddr() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if said = string(raw); answer.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("devicetwin auth is not ready: %s", said)
}

// client is a connection whose messages come as "TOPIC PAYLOAD".
type client struct {
	t    *testing.T
	mqtt mqtt.Client
	got  chan string
	lost chan struct{}
}

func (b *Broker) connect(t *testing.T, id, username, password string) (*client, error) {
	t.Helper()
	c := &client{t: t, got: make(chan string, 100), lost: make(chan struct{})}
	c.mqtt = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.URL).SetClientID(id).SetUsername(username).SetPassword(password).
		SetAutoReconnect(false).SetConnectTimeout(patience).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(c.lost) }).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.got <- m.Topic() + " " + string(m.Payload()) }))
	token := c.mqtt.Connect()
	token.Wait()
	if err := token.Error(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.mqtt.Disconnect(0) })
	return c, nil
}

func (b *Broker) mustConnect(t *testing.T, id, username, password string) *client {
	t.Helper()
	c, err := b.connect(t, id, username, password)
	if err != nil {
		t.Fatalf("connect %s: %v", username, err)
	}
	return c
}

func (b *Broker) issue(t *testing.T, id, credential string) string {
	t.Helper()
	secret, err := b.store.Issue(t.Context(), device.ID(id), credential)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (c *client) subscribe(filters ...string) {
	c.t.Helper()
	for _, f := range filters {
		token := c.mqtt.Subscribe(f, 1, nil).(*mqtt.SubscribeToken)
		if !token.WaitTimeout(patience) || token.Error() != nil || token.Result()[f] != 1 {
			c.t.Fatalf("subscribe to %s: granted %v, error %v", f, token.Result(), token.Error())
		}
	}
}

// publish publishes messages "x", in order.
func (c *client) publish(topics ...string) {
	c.t.Helper()
	for _, topic := range topics {
		token := c.mqtt.Publish(topic, 1, false, "x")
		if !token.WaitTimeout(patience) || token.Error() != nil {
			c.t.Fatalf("publish to %s: %v", topic, token.Error())
		}
	}
}

// expect wants exactly these messages, in order.
func (c *client) expect(topics ...string) {
	c.t.Helper()
	for _, topic := range topics {
		select {
		case m := <-c.got:
			if m != topic+" x" {
				c.t.Fatalf("got %q, want %s", m, topic)
			}
		case <-time.After(patience):
			c.t.Fatalf("got nothing, want %s", topic)
		}
	}
}

// expectNothingElse wants no other message to have come.
func (c *client) expectNothingElse() {
	c.t.Helper()
	select {
	case m := <-c.got:
		c.t.Fatalf("got %q", m)
	default:
	}
}

// mayNotPublish publishes what has to be dropped. Some brokers end the connection, and
// others acknowledge: each topic has a connection of its own.
func (b *Broker) mayNotPublish(t *testing.T, id, username, password string, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		c := b.mustConnect(t, id, username, password)
		token := c.mqtt.Publish(topic, 1, false, "forbidden")
		select {
		case <-c.lost:
		case <-token.Done():
		case <-time.After(time.Second):
		}
		c.mqtt.Disconnect(0)
	}
}

func (b *Broker) mayNotSubscribe(t *testing.T, id, username, password string, filters ...string) {
	t.Helper()
	for _, filter := range filters {
		c := b.mustConnect(t, id, username, password)
		token := c.mqtt.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
		select {
		case <-c.lost:
		case <-token.Done():
			if token.Error() == nil && token.Result()[filter] != 0x80 {
				t.Errorf("%s may subscribe to %s", username, filter)
			}
		case <-time.After(patience):
			t.Errorf("%s is not answered about %s", username, filter)
		}
		c.mqtt.Disconnect(0)
	}
}

func grammar(t *testing.T) *wire.Standard {
	t.Helper()
	d, err := wire.New(wire.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func commandTopic(t *testing.T, id device.ID) string {
	t.Helper()
	s, err := grammar(t).Encode(id, nil, wire.Command{ID: "1", Name: "reboot"})
	if err != nil {
		t.Fatal(err)
	}
	return s.Publications[0].Topic
}

// Run runs all tests of the contract.
func (b *Broker) Run(t *testing.T) {
	t.Run("logins", b.logins)
	t.Run("reprovisioning", b.reprovisioning)
	t.Run("topics of a device", b.deviceTopics)
	t.Run("topics of services", b.serviceTopics)
	t.Run("messages wait in a session", b.sessions)
}

func (b *Broker) logins(t *testing.T) {
	const sdk = "?SDK=JavaScript&Version=2.2.16"
	secret, colon := b.issue(t, "pump-1", "first"), b.issue(t, "plant:7", "first")
	for _, tt := range []struct {
		name, id, username, password string
		good                         bool
	}{
		{"device", "pump-1", "pump-1", secret, true},
		{"second connection", "pump-1/log", "pump-1", secret, true},
		{"advertisement behind the name", "pump-1", "pump-1" + sdk, secret, true},
		{"colon in the id", "plant:7", "plant:7", colon, true},
		{"wrong password", "pump-1", "pump-1", "guess", false},
		{"unknown device", "pump-9", "pump-9", secret, false},
		{"session of another device", "pump-2", "pump-1", secret, false},
		{"anonymous", "pump-1", "", "", false},
		{"nobody but an SDK", "pump-1", sdk, "", false},
		{"service", "devicetwin-bridge-1", "devicetwin.bridge", password, true},
		{"service with the password of a device", "x", "devicetwin.bridge", secret, false},
		{"a user that a broker may come with", "guest", "guest", "guest", false},
	} {
		c, err := b.connect(t, tt.id, tt.username, tt.password)
		if (err == nil) != tt.good {
			t.Errorf("%s: got error %v", tt.name, err)
		}
		if err == nil {
			c.mqtt.Disconnect(0)
		}
	}
}

// A device that never got its new password is not locked out; using it ends the old
// one; and one that is revoked is out.
func (b *Broker) reprovisioning(t *testing.T) {
	old, renewed := b.issue(t, "pump-5", "first"), b.issue(t, "pump-5", "second")
	try := func(what, password string, good bool) {
		t.Helper()
		c, err := b.connect(t, "pump-5", "pump-5", password)
		if (err == nil) != good {
			t.Errorf("%s password: got error %v", what, err)
		}
		if err == nil {
			c.mqtt.Disconnect(0)
		}
	}
	try("old", old, true)
	try("new", renewed, true)
	try("old after new", old, false)
	try("new again", renewed, true)
	if _, err := b.store.Revoke(t.Context(), []device.ID{"pump-5"}); err != nil {
		t.Fatal(err)
	}
	try("revoked", renewed, false)
}

func (b *Broker) deviceTopics(t *testing.T) {
	one, two := b.issue(t, "pump-1", "topics"), b.issue(t, "pump-2", "topics")
	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.subscribe(grammar(t).Filters()...)
	watched := b.mustConnect(t, "devicetwin-bridge-2", "devicetwin.bridge", password)
	watched.subscribe(wire.StatusTopic("b"), wire.ClaimTopic("b"))
	foreign := []string{
		"devices/pump-2/telemetry", "devices/pump-10/telemetry", commandTopic(t, "pump-1"), wire.StatusTopic("b"), wire.ClaimTopic("b"),
		"devices/pump-1/twin/update/accepted", "$aws/things/pump-2/shadow/get", "$aws/things/pump-1/shadow/update/delta",
	}
	wide := []string{"#", "devices/#", "devices/+/commands/+", "$aws/things/#", grammar(t).CommandFilter("pump-2")}
	if b.DotsAreLevels {
		foreign, wide = append(foreign, "devices.pump-2.telemetry", "devices/*/telemetry"), append(wide, "devices/*/commands/+")
	}
	b.mayNotPublish(t, "pump-1", "pump-1", one, foreign...)
	b.mayNotSubscribe(t, "pump-1", "pump-1", one, wide...)

	own := []string{"devices/pump-1/telemetry", "devices/pump-1/status", "devices/pump-1/events/door", "devices/pump-1/commands/reboot/ack"}
	for _, shadow := range []string{"", "config"} {
		own = append(own, grammar(t).ShadowTopics("pump-1", wire.ShadowDocument{Shadow: shadow, Rest: "update"})...)
	}
	pump := b.mustConnect(t, "pump-1", "pump-1", one)
	pump.publish(own...)
	bridge.expect(own...)
	watched.expectNothingElse()

	pump.subscribe(grammar(t).CommandFilter("pump-1"), "devices/pump-1/twin/#", "$aws/things/pump-1/shadow/#")
	b.mustConnect(t, "pump-2", "pump-2", two).subscribe("devices/pump-2/#")
	worker := b.mustConnect(t, "devicetwin-worker-1", "devicetwin.worker", password)
	answers := append(grammar(t).ShadowTopics("pump-1", wire.ShadowDocument{Rest: "update/delta"}), commandTopic(t, "pump-1"))
	worker.publish(append([]string{commandTopic(t, "pump-2")}, answers...)...)
	pump.expect(answers...)
}

func (b *Broker) serviceTopics(t *testing.T) {
	bridge := b.mustConnect(t, "devicetwin-bridge-3", "devicetwin.bridge", password)
	bridge.subscribe(append(grammar(t).Filters(), wire.StatusTopic("b"), wire.ClaimTopic("b"))...)
	b.mayNotPublish(t, "x", "devicetwin.worker", password, "devices/a/telemetry", wire.ClaimTopic("b"))
	b.mayNotSubscribe(t, "x", "devicetwin.worker", password, "devices/#")
	b.mayNotPublish(t, "x", "devicetwin.bridge", password, "devices/a/telemetry", commandTopic(t, "a"))
	b.mayNotSubscribe(t, "x", "devicetwin.bridge", password, wire.DeadLetterTopic("b"))
	b.mayNotPublish(t, "x", "devicetwin.fleet", password, wire.StatusTopic("b"))
	bridge.publish(wire.DeadLetterTopic("b"), wire.ClaimTopic("b"), wire.StatusTopic("b"))
	bridge.expect(wire.ClaimTopic("b"), wire.StatusTopic("b"))
}

// What is published while a bridge is down waits for it.
func (b *Broker) sessions(t *testing.T) {
	secret := b.issue(t, "pump-1", "sessions")
	options := mqtt.NewClientOptions().AddBroker(b.URL).SetClientID("devicetwin-bridge-4").SetUsername("devicetwin.bridge").SetPassword(password).
		SetCleanSession(false).SetAutoReconnect(false)
	first := mqtt.NewClient(options)
	if token := first.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	if token := first.Subscribe("devices/#", 1, nil); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	first.Disconnect(0)
	b.mustConnect(t, "pump-1", "pump-1", secret).publish("devices/pump-1/telemetry", "devices/pump-1/events/door")
	again := &client{t: t, got: make(chan string, 100)}
	again.mqtt = mqtt.NewClient(options.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { again.got <- m.Topic() + " " + string(m.Payload()) }))
	if token := again.mqtt.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	t.Cleanup(func() { again.mqtt.Disconnect(0) })
	again.expect("devices/pump-1/telemetry", "devices/pump-1/events/door")
}
