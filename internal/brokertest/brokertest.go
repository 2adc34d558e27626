// Package brokertest holds a broker that asks "devicetwin auth" to what docs/brokers.md
// says: who may connect, and what a client may do. Clients, and the files of a broker's folder,
// are for every broker.
package brokertest

import (
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/auth/authtest"
	"devicetwin/device"
	command "devicetwin/internal/cli"
	cli "devicetwin/internal/cli/credentials"
	"devicetwin/internal/credentials"
	"devicetwin/internal/testfile"
	"devicetwin/service"
	"devicetwin/wire"
)

// Password is that of the accounts in a file of Accounts.
const Password = "a password that the start made"

const patience = time.Minute

// Broker is a broker that runs.
type Broker struct {
	URL string // of MQTT: tcp://127.0.0.1:1883
	// DotsAreLevels says that the broker takes a dot in a topic for a separator.
	DotsAreLevels bool
	// Ends are the flags by which "devicetwin credentials revoke" ends sessions at this
	// broker; none where nothing can.
	Ends []string

	store credentials.Store
	where string // of the store
}

// StartAuth starts "devicetwin auth" with accounts and an empty store, which are the
// broker's from then on. It ends with the test.
func (b *Broker) StartAuth(t *testing.T, change func(*service.AuthSettings)) *service.Service {
	t.Helper()
	settings := service.DefaultAuth()
	settings.Auth.Listen, settings.HTTP.Listen = "127.0.0.1:0", "127.0.0.1:0"
	settings.Auth.Services, settings.Worker.Credentials = Accounts(t), filepath.Join(t.TempDir(), "credentials")
	settings.Auth.Allow = []string{"subscribe news", "subscribe news/+", "devicetwin.bridge: publish news/#"}
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
	b.where = settings.Worker.Credentials
	if b.store, err = credentials.Open(b.where); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.store.Close)
	return running
}

// Accounts writes a file with the accounts of bridge, worker and fleet, and returns its
// path.
func Accounts(t *testing.T) (file string) {
	t.Helper()
	var lines strings.Builder
	for _, name := range []string{"devicetwin.bridge", "devicetwin.worker", "devicetwin.fleet"} {
		lines.WriteString(name + ":" + authtest.Hash(Password) + "\n")
	}
	return testfile.Write(t, "accounts", lines.String())
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

// options are those of a client.
func (b *Broker) options(id, username, password string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker(b.URL).SetClientID(id).SetUsername(username).SetPassword(password).SetConnectTimeout(patience)
}

func (b *Broker) connect(t *testing.T, id, username, password string) (*Client, error) {
	t.Helper()
	return Connect(t, b.options(id, username, password))
}

func (b *Broker) mustConnect(t *testing.T, id, username, password string) *Client {
	t.Helper()
	return MustConnect(t, b.options(id, username, password))
}

func (b *Broker) issue(t *testing.T, id, credential string) string {
	t.Helper()
	secret, err := b.store.Issue(t.Context(), device.ID(id), credential)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// mayNotPublish publishes what has to be dropped. Some brokers end the connection, and
// others acknowledge: each topic has a connection of its own.
func (b *Broker) mayNotPublish(t *testing.T, id, username, password string, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		c := b.mustConnect(t, id, username, password)
		token := c.MQTT.Publish(topic, 1, false, "forbidden")
		select {
		case <-c.Lost:
		case <-token.Done():
		case <-time.After(time.Second):
		}
		c.MQTT.Disconnect(0)
	}
}

func (b *Broker) mayNotSubscribe(t *testing.T, id, username, password string, filters ...string) {
	t.Helper()
	for _, filter := range filters {
		c := b.mustConnect(t, id, username, password)
		token := c.MQTT.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
		select {
		case <-c.Lost:
		case <-token.Done():
			if token.Error() == nil && token.Result()[filter] != 0x80 {
				t.Errorf("%s may subscribe to %s", username, filter)
			}
		case <-time.After(patience):
			t.Errorf("%s is not answered about %s", username, filter)
		}
		c.MQTT.Disconnect(0)
	}
}

// Grammar is that of the topics which are allowed by default.
func Grammar(t *testing.T) *wire.Standard {
	t.Helper()
	d, err := wire.New(wire.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// CommandTopic is the topic of a command to a device.
func CommandTopic(t *testing.T, id device.ID) string {
	t.Helper()
	s, err := Grammar(t).Encode(id, nil, wire.Command{ID: "1", Name: "reboot"})
	if err != nil {
		t.Fatal(err)
	}
	return s.Publications[0].Topic
}

// Run runs all tests of the contract.
func (b *Broker) Run(t *testing.T) {
	t.Run("logins", b.logins)
	t.Run("reprovisioning", b.reprovisioning)
	if len(b.Ends) > 0 {
		t.Run("a device that is revoked is out", b.revoked)
	}
	t.Run("topics of a device", b.deviceTopics)
	t.Run("topics of services", b.serviceTopics)
	t.Run("a level below is not all below", b.levels)
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
		{"service", "devicetwin-bridge-1", "devicetwin.bridge", Password, true},
		{"service with the password of a device", "x", "devicetwin.bridge", secret, false},
		{"a user that a broker may come with", "guest", "guest", "guest", false},
	} {
		c, err := b.connect(t, tt.id, tt.username, tt.password)
		if (err == nil) != tt.good {
			t.Errorf("%s: got error %v", tt.name, err)
		}
		if err == nil {
			c.MQTT.Disconnect(0)
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
			c.MQTT.Disconnect(0)
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

// A device that an operator revokes is out within a second, and nobody else is.
func (b *Broker) revoked(t *testing.T) {
	secret := b.issue(t, "pump-6", "first")
	out, stays := b.mustConnect(t, "pump-6", "pump-6", secret), b.mustConnect(t, "pump-7", "pump-7", b.issue(t, "pump-7", "first"))
	began := time.Now()
	b.revoke(t, "pump-6")
	select {
	case <-out.Lost:
		if took := time.Since(began); took > time.Second {
			t.Errorf("it is out after %v", took)
		}
	case <-time.After(patience):
		t.Error("its session goes on")
	}
	if _, err := b.connect(t, "pump-6", "pump-6", secret); err == nil {
		t.Error("it is in again")
	}
	stays.Publish("devices/pump-7/telemetry")
}

// revoke is what an operator does.
func (b *Broker) revoke(t *testing.T, id string) {
	t.Helper()
	grammar := &struct {
		Credentials cli.Command `cmd:""`
	}{cli.New(service.DefaultConfig())}
	args := append([]string{"credentials", "revoke", id, "--worker-credentials=" + b.where}, b.Ends...)
	if status := command.Execute(t.Context(), grammar, "devicetwin", "", args, t.Output(), t.Output()); status != command.ExitOK {
		t.Fatalf("revoke %s: exit status %d", id, status)
	}
}

func (b *Broker) deviceTopics(t *testing.T) {
	one, two := b.issue(t, "pump-1", "topics"), b.issue(t, "pump-2", "topics")
	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", Password)
	bridge.Subscribe(Grammar(t).Filters()...)
	watched := b.mustConnect(t, "devicetwin-bridge-2", "devicetwin.bridge", Password)
	watched.Subscribe(wire.StatusTopic("b"), wire.ClaimTopic("b"))
	foreign := []string{
		"devices/pump-2/telemetry", "devices/pump-10/telemetry", CommandTopic(t, "pump-1"), wire.StatusTopic("b"), wire.ClaimTopic("b"),
		"devices/pump-1/twin/update/accepted", "$aws/things/pump-2/shadow/get", "$aws/things/pump-1/shadow/update/delta",
	}
	wide := []string{"#", "devices/#", "devices/+/commands/+", "$aws/things/#", Grammar(t).CommandFilter("pump-2")}
	if b.DotsAreLevels {
		foreign, wide = append(foreign, "devices.pump-2.telemetry", "devices/*/telemetry"), append(wide, "devices/*/commands/+")
	}
	b.mayNotPublish(t, "pump-1", "pump-1", one, foreign...)
	b.mayNotSubscribe(t, "pump-1", "pump-1", one, wide...)

	own := []string{"devices/pump-1/telemetry", "devices/pump-1/status", "devices/pump-1/events/door", "devices/pump-1/commands/reboot/ack"}
	for _, shadow := range []string{"", "config"} {
		own = append(own, Grammar(t).ShadowTopics("pump-1", wire.ShadowDocument{Shadow: shadow, Rest: "update"})...)
	}
	pump := b.mustConnect(t, "pump-1", "pump-1", one)
	pump.Publish(own...)
	bridge.ExpectInAnyOrder(own...)
	watched.ExpectNothingElse()

	pump.Subscribe(Grammar(t).CommandFilter("pump-1"), "devices/pump-1/twin/#", "$aws/things/pump-1/shadow/#")
	b.mustConnect(t, "pump-2", "pump-2", two).Subscribe("devices/pump-2/#")
	worker := b.mustConnect(t, "devicetwin-worker-1", "devicetwin.worker", Password)
	answers := append(Grammar(t).ShadowTopics("pump-1", wire.ShadowDocument{Rest: "update/delta"}), CommandTopic(t, "pump-1"))
	worker.Publish(append([]string{CommandTopic(t, "pump-2")}, answers...)...)
	pump.ExpectInAnyOrder(answers...)
}

func (b *Broker) serviceTopics(t *testing.T) {
	bridge := b.mustConnect(t, "devicetwin-bridge-3", "devicetwin.bridge", Password)
	bridge.Subscribe(append(Grammar(t).Filters(), wire.StatusTopic("b"), wire.ClaimTopic("b"))...)
	b.mayNotPublish(t, "x", "devicetwin.worker", Password, "devices/a/telemetry", wire.ClaimTopic("b"))
	b.mayNotSubscribe(t, "x", "devicetwin.worker", Password, "devices/#")
	b.mayNotPublish(t, "x", "devicetwin.bridge", Password, "devices/a/telemetry", CommandTopic(t, "a"))
	b.mayNotSubscribe(t, "x", "devicetwin.bridge", Password, wire.DeadLetterTopic("b"))
	b.mayNotPublish(t, "x", "devicetwin.fleet", Password, wire.StatusTopic("b"))
	bridge.Publish(wire.DeadLetterTopic("b"), wire.ClaimTopic("b"), wire.StatusTopic("b"))
	bridge.ExpectInAnyOrder(wire.ClaimTopic("b"), wire.StatusTopic("b"))
}

// A device that may subscribe to news and to news/+ gets nothing that is deeper. Brokers
// that get permissions in advance may take # for a level.
func (b *Broker) levels(t *testing.T) {
	secret := b.issue(t, "pump-1", "levels")
	may := b.mustConnect(t, "pump-1", "pump-1", secret)
	may.Subscribe("news/+")
	tries := b.mustConnect(t, "pump-1/all", "pump-1", secret)
	if token := tries.MQTT.Subscribe("news/#", 1, nil).(*mqtt.SubscribeToken); token.WaitTimeout(patience) && token.Error() == nil {
		t.Logf("news/# is granted: %v", token.Result())
	}
	bridge := b.mustConnect(t, "devicetwin-bridge-5", "devicetwin.bridge", Password)
	bridge.Publish("news/a/secret", "news/b")
	may.Expect("news/b")
	for waiting := time.After(500 * time.Millisecond); ; {
		select {
		case m := <-tries.Got:
			if m != "news/b x" {
				t.Errorf("it got %q", m)
			}
			continue
		case <-tries.Lost:
		case <-waiting:
		}
		return
	}
}

// What is published while a bridge is down waits for it.
func (b *Broker) sessions(t *testing.T) {
	secret := b.issue(t, "pump-1", "sessions")
	options := b.options("devicetwin-bridge-4", "devicetwin.bridge", Password).SetCleanSession(false)
	first := MustConnect(t, options)
	first.Subscribe("devices/#")
	first.MQTT.Disconnect(0)
	b.mustConnect(t, "pump-1", "pump-1", secret).Publish("devices/pump-1/telemetry", "devices/pump-1/events/door")
	MustConnect(t, options).Expect("devices/pump-1/telemetry", "devices/pump-1/events/door")
}
