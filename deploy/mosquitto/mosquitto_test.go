// Package mosquitto holds the broker's configuration; this tests it with the real
// Mosquitto and the real plugin.
package mosquitto

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/auth"
	"devicetwin/device"
	"devicetwin/internal/brokertest"
	"devicetwin/internal/credentials"
	"devicetwin/internal/postgrestest"
	"devicetwin/internal/testfile"
	"devicetwin/internal/testserver"
	"devicetwin/wire"
)

// broker is a Mosquitto with the files of this folder.
type broker struct {
	url, port string
	store     credentials.Store
}

const password = brokertest.Password

// built is the folder of the plugin, for all tests.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "mosquitto-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	m.Run()
	_ = os.RemoveAll(built)
}

// buildPlugin builds the plugin, once, and returns its file.
var buildPlugin = sync.OnceValues(func() (string, error) {
	plugin := filepath.Join(built, "auth.so")
	out, err := exec.Command("go", "build", "-tags", "mosquitto_plugin", "-buildmode=c-shared", "-o", plugin, "./plugin").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the plugin: %w\n%s", err, out)
	}
	return plugin, nil
})

// installed finds Mosquitto, and builds the plugin.
func installed(t *testing.T) (program, plugin string) {
	t.Helper()
	program = testserver.MosquittoProgram(t)
	if _, err := os.Stat("/usr/include/mosquitto_plugin.h"); err != nil {
		testserver.Missing(t, "the headers of mosquitto are not installed (Debian package mosquitto-dev)")
	}
	plugin, err := buildPlugin()
	if err != nil {
		t.Fatal(err)
	}
	return program, plugin
}

// start starts a broker, with further lines of its configuration.
func start(t *testing.T, more ...string) *broker {
	t.Helper()
	return startOn(t, filepath.Join(t.TempDir(), "credentials"), more...)
}

// startOn starts one with credentials in a folder or a database.
func startOn(t *testing.T, where string, more ...string) *broker {
	t.Helper()
	_, plugin := installed(t)
	store, err := credentials.Open(where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	address, port := testserver.FreeAddress(t)
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	config := brokertest.File(t, "mosquitto.conf", // the paths of the container, and the port
		[2]string{"listener 1883", "listener " + port + " 127.0.0.1"},
		[2]string{"/usr/lib/devicetwin/devicetwin-auth.so", plugin},
		[2]string{"/var/lib/devicetwin/credentials", where},
		[2]string{"/run/secrets/mqtt/accounts", brokertest.Accounts(t)},
		[2]string{"/var/lib/mosquitto/", t.TempDir() + "/"},
		[2]string{"/etc/devicetwin/mosquitto", here})
	m := testserver.StartMosquittoAt(t, address, port, config+strings.Join(more, "\n"))
	return &broker{url: m.URL(), port: port, store: store}
}

// options are those of a client.
func (b *broker) options(id, username, password string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker(b.url).SetClientID(id).SetUsername(username).SetPassword(password).SetConnectTimeout(10 * time.Second)
}

func (b *broker) connect(t *testing.T, id, username, password string) (*brokertest.Client, error) {
	t.Helper()
	return brokertest.Connect(t, b.options(id, username, password))
}

func (b *broker) connectTLS(t *testing.T, security *tls.Config, id, username, password string) (*brokertest.Client, error) {
	t.Helper()
	return brokertest.Connect(t, b.options(id, username, password).SetTLSConfig(security))
}

func (b *broker) mustConnect(t *testing.T, id, username, password string) *brokertest.Client {
	t.Helper()
	return brokertest.MustConnect(t, b.options(id, username, password))
}

func (b *broker) mustConnectTLS(t *testing.T, security *tls.Config, id, username string) *brokertest.Client {
	t.Helper()
	return brokertest.MustConnect(t, b.options(id, username, "").SetTLSConfig(security))
}

// enrol gives a device credentials.
func (b *broker) enrol(t *testing.T, id string) (secret string) {
	t.Helper()
	secret, err := b.store.Issue(t.Context(), device.ID(id), "first")
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// mayNotSubscribe wants a filter refused on a connection that goes on.
func mayNotSubscribe(t *testing.T, c *brokertest.Client, filter string) {
	t.Helper()
	token := c.MQTT.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
	if token.Wait(); token.Result()[brokertest.Unshared(filter)] != 0x80 {
		t.Fatalf("subscribe to %s: granted %v, error %v", filter, token.Result(), token.Error())
	}
}

// forbidden publishes what has to be dropped. Mosquitto 2.0.11 also ends the
// connection, other versions acknowledge: each topic has a connection of its own.
func (b *broker) forbidden(t *testing.T, id, username, password string, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		c := b.mustConnect(t, id, username, password)
		c.MQTT.Publish(topic, 1, false, "x").Wait()
		c.MQTT.Disconnect(0)
	}
}

func TestADeviceMayOnlyUseItsOwnTopics(t *testing.T) {
	b := start(t)
	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.Subscribe(brokertest.Grammar(t).Filters()...)
	worker := b.mustConnect(t, "devicetwin-worker-1", "devicetwin.worker", password)
	secret := b.enrol(t, "pump-1")
	accepted, delta := shadowTopics(t, "pump-1", "update/accepted"), shadowTopics(t, "pump-1", "update/delta")
	forbidden := []string{
		"devices/pump-2/telemetry", "devices/pump-10/telemetry", brokertest.CommandTopic(t, "pump-1"), wire.StatusTopic("b"), wire.ClaimTopic("b"), wire.DeadLetterTopic("b"),
	}
	forbidden = append(append(append(forbidden, accepted...), delta...), shadowTopics(t, "pump-2", "update")...)
	b.forbidden(t, "pump-1", "pump-1", secret, forbidden...)
	allowed := ownTopics(t, "pump-1")
	one := b.mustConnect(t, "pump-1", "pump-1", secret)
	one.Publish(allowed...)
	bridge.Expect(allowed...)

	for _, foreign := range []string{"#", "devices/#", "devices/+/commands/+", "$aws/things/#", brokertest.Grammar(t).CommandFilter("pump-2")} {
		mayNotSubscribe(t, one, foreign)
	}
	one.Subscribe("devices/pump-1/#", "$aws/things/pump-1/shadow/#")
	b.mustConnect(t, "pump-2", "pump-2", b.enrol(t, "pump-2")).Publish("devices/pump-2/telemetry")
	worker.Publish(append(append(shadowTopics(t, "pump-2", "update/accepted"), shadowTopics(t, "pump-2", "update/delta")...), brokertest.CommandTopic(t, "pump-2"))...)
	own := append(append(accepted, delta...), brokertest.CommandTopic(t, "pump-1"))
	worker.Publish(own...)
	one.Expect(own...)
}

// ownTopics are topics of every kind that a device publishes on.
func ownTopics(t *testing.T, id device.ID) []string {
	t.Helper()
	d := brokertest.Grammar(t)
	topics := []string{
		d.Topic(id, device.ChannelTelemetry, ""), d.Topic(id, device.ChannelStatus, ""),
		d.Topic(id, device.ChannelEvents, "door"), d.Topic(id, device.ChannelAck, "reboot"),
	}
	for _, shadow := range []string{"", "config"} {
		for _, method := range []string{"get", "update", "delete"} {
			topics = append(topics, d.ShadowTopics(id, wire.ShadowDocument{Shadow: shadow, Rest: method})...)
		}
	}
	return topics
}

func shadowTopics(t *testing.T, id device.ID, rest string) []string {
	t.Helper()
	return brokertest.Grammar(t).ShadowTopics(id, wire.ShadowDocument{Rest: rest})
}

func TestServicesMayOnlyDoTheirWork(t *testing.T) {
	b := start(t)
	fleet := b.mustConnect(t, "fleet", "devicetwin.fleet", password)
	fleet.Subscribe("devices/#")
	mayNotSubscribe(t, fleet, "bridge/#")
	b.forbidden(t, "x", "devicetwin.fleet", password, wire.StatusTopic("b"), wire.ClaimTopic("b"), wire.DeadLetterTopic("b"))
	b.forbidden(t, "x", "devicetwin.worker", password, "devices/a/telemetry", wire.StatusTopic("b"), wire.ClaimTopic("b"))
	b.forbidden(t, "x", "devicetwin.bridge", password, "devices/a/telemetry", brokertest.CommandTopic(t, "a"))
	worker := b.mustConnect(t, "devicetwin-worker-1", "devicetwin.worker", password)
	worker.Publish(brokertest.CommandTopic(t, "a"))
	fleet.Expect(brokertest.CommandTopic(t, "a"))

	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.Publish(wire.StatusTopic("b"), wire.DeadLetterTopic("b"), "devices/a/twin/get/rejected")
	fleet.Expect("devices/a/twin/get/rejected")
	bridge.Subscribe(wire.StatusTopic("b"), wire.ClaimTopic("b"))
	mayNotSubscribe(t, bridge, wire.DeadLetterTopic("b"))
	bridge.Publish(wire.DeadLetterTopic("b"), wire.ClaimTopic("b"), wire.StatusTopic("b"))
	bridge.Expect(wire.ClaimTopic("b"), wire.StatusTopic("b"))
}

func TestLogins(t *testing.T) {
	b := start(t)
	secret, err := b.store.Issue(t.Context(), "pump-1", "first")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, id, username, password string
		good                         bool
	}{
		{"device", "pump-1", "pump-1", secret, true},
		{"wrong password", "pump-1", "pump-1", "guess", false},
		{"no password", "pump-1", "pump-1", "", false},
		{"anonymous", "pump-1", "", "", false},
		{"session of another device", "pump-2", "pump-1", secret, false},
		{"service", "x", "devicetwin.bridge", password, true},
		{"service with the password of a device", "x", "devicetwin.bridge", secret, false},
	} {
		if _, err := b.connect(t, tt.id, tt.username, tt.password); (err == nil) != tt.good {
			t.Errorf("%s: got error %v", tt.name, err)
		}
	}

	// A device that never got its new credentials is not locked out; using them
	// ends the old ones.
	renewed, err := b.store.Issue(t.Context(), "pump-1", "second")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, password string
		good           bool
	}{{"old", secret, true}, {"new", renewed, true}, {"old after new", secret, false}, {"new again", renewed, true}} {
		if _, err := b.connect(t, "pump-1", "pump-1", tt.password); (err == nil) != tt.good {
			t.Errorf("%s credentials: got error %v", tt.name, err)
		}
	}
}

// What an operator allows is allowed, by the plugin and by an acl_file.
func TestPermissionsOfTheOperator(t *testing.T) {
	acl := testfile.Write(t, "acl", "user devicetwin.fleet\ntopic readwrite old/#\n")
	b := start(t, "plugin_opt_allow publish tele/{id}/#", "plugin_opt_allow devicetwin.bridge: subscribe tele/#", "acl_file "+acl)
	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.Subscribe("tele/#")
	secret := b.enrol(t, "pump-1")
	b.forbidden(t, "pump-1", "pump-1", secret, "tele/pump-2/state", "tele/pump-1", "old/x")
	b.mustConnect(t, "pump-1", "pump-1", secret).Publish("tele/pump-1/state")
	bridge.Expect("tele/pump-1", "tele/pump-1/state")
	fleet := b.mustConnect(t, "x", "devicetwin.fleet", password)
	fleet.Subscribe("old/#")
	fleet.Publish("old/x")
	fleet.Expect("old/x")
}

// With an acl_file, Mosquitto takes subscriptions that nobody allows, and drops what may
// not be read: of a shared one, that would be what a bridge waits for.
func TestSharedSubscriptionsWithAnACLFile(t *testing.T) {
	acl := testfile.Write(t, "acl", "topic read open/#\nuser devicetwin.fleet\ntopic readwrite old/#\n")
	b := start(t, "allow_anonymous true", "acl_file "+acl)
	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.Subscribe("$share/bridges/devices/#")
	one, nobody := b.mustConnect(t, "pump-1", "pump-1", b.enrol(t, "pump-1")), b.mustConnect(t, "x", "", "")
	one.Subscribe("$share/own/devices/pump-1/#")
	for _, c := range []*brokertest.Client{one, nobody} {
		mayNotSubscribe(t, c, "$share/bridges/devices/#")
		c.Subscribe("devices/#") // gets what it may read: nothing of others
	}
	two := b.mustConnect(t, "pump-2", "pump-2", b.enrol(t, "pump-2"))
	var published []string
	for range 10 {
		published = append(published, "devices/pump-2/telemetry")
	}
	two.Publish(published...)
	bridge.Expect(published...)
	one.ExpectNothingElse()
	nobody.ExpectNothingElse()
}

// A device whose credentials are revoked is out within a second, wherever they are
// kept, and nobody else is.
func TestARevokedDeviceIsOut(t *testing.T) {
	for name, where := range map[string]func(t *testing.T) string{
		"folder":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "credentials") },
		"postgresql": func(t *testing.T) string { return postgrestest.Start(t).URL("postgres") },
	} {
		t.Run(name, func(t *testing.T) {
			b := startOn(t, where(t))
			secret := b.enrol(t, "pump-1")
			stays := b.mustConnect(t, "pump-2", "pump-2", b.enrol(t, "pump-2"))
			sessions := []*brokertest.Client{b.mustConnect(t, "pump-1", "pump-1", secret), b.mustConnect(t, "pump-1.log", "pump-1?SDK=Go", secret)}
			b.revoke(t, "pump-1", sessions...)
			if _, err := b.connect(t, "pump-1", "pump-1", secret); err == nil {
				t.Error("the device is in again")
			}
			if !stays.MQTT.IsConnectionOpen() {
				t.Error("another device is out, too")
			}
			stays.Publish("devices/pump-2/telemetry")
		})
	}
}

// revoke revokes a device, and wants its sessions to end within a second.
func (b *broker) revoke(t *testing.T, id device.ID, sessions ...*brokertest.Client) {
	t.Helper()
	began := time.Now()
	if _, err := b.store.Revoke(t.Context(), []device.ID{id}); err != nil {
		t.Fatal(err)
	}
	for _, out := range sessions {
		select {
		case <-out.Lost:
			if took := time.Since(began); took > time.Second {
				t.Errorf("out after %v", took)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the session goes on")
		}
	}
}

// What docs/brokers.md says to paste is what is tested here, and an example of allow.
func TestDocumentedSettings(t *testing.T) {
	config := "\n" + brokertest.File(t, "mosquitto.conf")
	for _, line := range brokertest.Documented(t, "Mosquitto") {
		if rule, ok := strings.CutPrefix(line, "plugin_opt_allow "); ok {
			if _, err := auth.ParseRule(rule); err != nil {
				t.Error(err)
			}
		} else if !strings.Contains(config, "\n"+line+"\n") {
			t.Errorf("mosquitto.conf does not have %q", line)
		}
	}
}

// A broker with a fault in its settings does not start, rather than letting
// everybody in.
func TestABrokenPluginOptionStopsTheBroker(t *testing.T) {
	program, plugin := installed(t)
	file := testfile.Write(t, "mosquitto.conf", "listener 0 127.0.0.1\nplugin "+plugin+"\nplugin_opt_credentials /nowhere\n"+testserver.MosquittoUser())
	out, err := exec.Command(program, "-c", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "plugin_opt_credentials") {
		t.Errorf("got %v and\n%s", err, out)
	}
}
