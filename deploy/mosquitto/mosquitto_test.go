// Package mosquitto holds the broker's configuration; this tests it with the real
// Mosquitto and the real plugin.
package mosquitto

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/auth"
	"devicetwin/device"
	"devicetwin/internal/credentials"
	"devicetwin/internal/postgrestest"
	"devicetwin/wire"
)

// broker is a Mosquitto with the files of this folder.
type broker struct {
	url, port string
	store     credentials.Store
}

const password = "a password that the start made"

var services = []string{"devicetwin.bridge", "devicetwin.worker", "devicetwin.fleet"}

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
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto" // Debian puts it where not every user's PATH leads
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("mosquitto is not installed (Debian package mosquitto)")
	}
	if _, err := os.Stat("/usr/include/mosquitto_plugin.h"); err != nil {
		t.Skip("the headers of mosquitto are not installed (Debian package mosquitto-dev)")
	}
	if plugin, err = buildPlugin(); err != nil {
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
	program, plugin := installed(t)
	dir := t.TempDir()
	store, err := credentials.Open(where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	sum := sha256.Sum256([]byte(password))
	var accounts strings.Builder
	for _, name := range services {
		accounts.WriteString(name + ":" + hex.EncodeToString(sum[:]) + "\n")
	}
	write(t, filepath.Join(dir, "accounts"), accounts.String())

	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	config := read(t, "mosquitto.conf")
	for _, change := range [][2]string{ // the paths of the container, and the port
		{"listener 1883", "listener " + port + " 127.0.0.1"},
		{"/usr/lib/devicetwin/devicetwin-auth.so", plugin},
		{"/var/lib/devicetwin/credentials", where},
		{"/run/secrets/mqtt/accounts", filepath.Join(dir, "accounts")},
		{"/var/lib/mosquitto/", dir + "/"},
		{"/etc/devicetwin/mosquitto", here},
	} {
		if !strings.Contains(config, change[0]) {
			t.Fatalf("mosquitto.conf does not contain %q", change[0])
		}
		config = strings.ReplaceAll(config, change[0], change[1])
	}
	file := filepath.Join(dir, "mosquitto.conf")
	write(t, file, config+strings.Join(more, "\n")+"\n"+asRoot())
	run(t, program, "-c", file)
	b := &broker{url: "tcp://" + address, port: port, store: store}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return b
		}
		if time.Now().After(deadline) {
			t.Fatal("mosquitto does not listen")
		}
	}
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

// asRoot keeps a Mosquitto that root starts from becoming a user who may not
// write to the folders of the test.
func asRoot() string {
	if os.Geteuid() == 0 {
		return "user root\n"
	}
	return ""
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr = t.Output(), t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// client is a connection whose messages come as "TOPIC PAYLOAD".
type client struct {
	t    *testing.T
	mqtt mqtt.Client
	got  chan string
}

func (b *broker) connect(t *testing.T, id, username, password string) (*client, error) {
	t.Helper()
	return b.connectTLS(t, nil, id, username, password)
}

func (b *broker) connectTLS(t *testing.T, security *tls.Config, id, username, password string) (*client, error) {
	t.Helper()
	c := &client{t: t, got: make(chan string, 100)}
	c.mqtt = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.url).SetClientID(id).SetTLSConfig(security).
		SetUsername(username).SetPassword(password).SetAutoReconnect(false).SetConnectTimeout(10 * time.Second).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.got <- m.Topic() + " " + string(m.Payload()) }))
	token := c.mqtt.Connect()
	token.Wait()
	if err := token.Error(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.mqtt.Disconnect(0) })
	return c, nil
}

func (b *broker) mustConnect(t *testing.T, id, username, password string) *client {
	t.Helper()
	c, err := b.connect(t, id, username, password)
	if err != nil {
		t.Fatalf("connect %s: %v", username, err)
	}
	return c
}

func (b *broker) mustConnectTLS(t *testing.T, security *tls.Config, id, username string) *client {
	t.Helper()
	c, err := b.connectTLS(t, security, id, username, "")
	if err != nil {
		t.Fatalf("connect %s: %v", id, err)
	}
	return c
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

func (c *client) subscribe(filters ...string) {
	c.t.Helper()
	for _, f := range filters {
		token := c.mqtt.Subscribe(f, 1, nil).(*mqtt.SubscribeToken)
		if token.Wait(); token.Error() != nil || token.Result()[f] != 1 {
			c.t.Fatalf("subscribe to %s: granted %v, error %v", f, token.Result(), token.Error())
		}
	}
}

func (c *client) mayNotSubscribe(filter string) {
	c.t.Helper()
	token := c.mqtt.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
	if token.Wait(); token.Result()[filter] != 0x80 {
		c.t.Fatalf("subscribe to %s: granted %v, error %v", filter, token.Result(), token.Error())
	}
}

// forbidden publishes what has to be dropped. Mosquitto 2.0.11 also ends the
// connection, other versions acknowledge: each topic has a connection of its own.
func (b *broker) forbidden(t *testing.T, id, username, password string, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		c := b.mustConnect(t, id, username, password)
		c.mqtt.Publish(topic, 1, false, "x").Wait()
		c.mqtt.Disconnect(0)
	}
}

func (c *client) publish(topics ...string) {
	c.t.Helper()
	for _, topic := range topics {
		token := c.mqtt.Publish(topic, 1, false, "x")
		if token.Wait(); token.Error() != nil {
			c.t.Fatalf("publish to %s: %v", topic, token.Error())
		}
	}
}

// expect wants exactly these messages, the last of which ends the wait.
func (c *client) expect(topics ...string) {
	c.t.Helper()
	var got []string
	for last := topics[len(topics)-1] + " x"; !slices.Contains(got, last); {
		select {
		case m := <-c.got:
			got = append(got, m)
		case <-time.After(10 * time.Second):
			c.t.Fatalf("got %q, and not %s", got, last)
		}
	}
	for i, topic := range topics {
		if i >= len(got) || got[i] != topic+" x" {
			c.t.Fatalf("got %q, want %q", got, topics)
		}
	}
	if len(got) != len(topics) {
		c.t.Fatalf("got %q, want %q", got, topics)
	}
}

func TestADeviceMayOnlyUseItsOwnTopics(t *testing.T) {
	b := start(t)
	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.subscribe(grammar(t).Filters()...)
	worker := b.mustConnect(t, "devicetwin-worker-1", "devicetwin.worker", password)
	secret := b.enrol(t, "pump-1")
	accepted, delta := shadowTopics(t, "pump-1", "update/accepted"), shadowTopics(t, "pump-1", "update/delta")
	forbidden := []string{
		"devices/pump-2/telemetry", "devices/pump-10/telemetry", commandTopic(t, "pump-1"), wire.StatusTopic("b"), wire.ClaimTopic("b"), wire.DeadLetterTopic("b"),
	}
	forbidden = append(append(append(forbidden, accepted...), delta...), shadowTopics(t, "pump-2", "update")...)
	b.forbidden(t, "pump-1", "pump-1", secret, forbidden...)
	allowed := ownTopics(t, "pump-1")
	one := b.mustConnect(t, "pump-1", "pump-1", secret)
	one.publish(allowed...)
	bridge.expect(allowed...)

	for _, foreign := range []string{"#", "devices/#", "devices/+/commands/+", "$aws/things/#", grammar(t).CommandFilter("pump-2")} {
		one.mayNotSubscribe(foreign)
	}
	one.subscribe("devices/pump-1/#", "$aws/things/pump-1/shadow/#")
	b.mustConnect(t, "pump-2", "pump-2", b.enrol(t, "pump-2")).publish("devices/pump-2/telemetry")
	worker.publish(append(append(shadowTopics(t, "pump-2", "update/accepted"), shadowTopics(t, "pump-2", "update/delta")...), commandTopic(t, "pump-2"))...)
	own := append(append(accepted, delta...), commandTopic(t, "pump-1"))
	worker.publish(own...)
	one.expect(own...)
}

// grammar is the dialect whose topics the broker's access rules allow.
func grammar(t *testing.T) *wire.Standard {
	t.Helper()
	d, err := wire.New(wire.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ownTopics are topics of every kind that a device publishes on.
func ownTopics(t *testing.T, id device.ID) []string {
	t.Helper()
	d := grammar(t)
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

func commandTopic(t *testing.T, id device.ID) string {
	t.Helper()
	s, err := grammar(t).Encode(id, nil, wire.Command{ID: "1", Name: "reboot"})
	if err != nil {
		t.Fatal(err)
	}
	return s.Publications[0].Topic
}

func shadowTopics(t *testing.T, id device.ID, rest string) []string {
	t.Helper()
	return grammar(t).ShadowTopics(id, wire.ShadowDocument{Rest: rest})
}

func TestServicesMayOnlyDoTheirWork(t *testing.T) {
	b := start(t)
	fleet := b.mustConnect(t, "fleet", "devicetwin.fleet", password)
	fleet.subscribe("devices/#")
	fleet.mayNotSubscribe("bridge/#")
	b.forbidden(t, "x", "devicetwin.fleet", password, wire.StatusTopic("b"), wire.ClaimTopic("b"), wire.DeadLetterTopic("b"))
	b.forbidden(t, "x", "devicetwin.worker", password, "devices/a/telemetry", wire.StatusTopic("b"), wire.ClaimTopic("b"))
	b.forbidden(t, "x", "devicetwin.bridge", password, "devices/a/telemetry", commandTopic(t, "a"))
	worker := b.mustConnect(t, "devicetwin-worker-1", "devicetwin.worker", password)
	worker.publish(commandTopic(t, "a"))
	fleet.expect(commandTopic(t, "a"))

	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.publish(wire.StatusTopic("b"), wire.DeadLetterTopic("b"), "devices/a/twin/get/rejected")
	fleet.expect("devices/a/twin/get/rejected")
	bridge.subscribe(wire.StatusTopic("b"), wire.ClaimTopic("b"))
	bridge.mayNotSubscribe(wire.DeadLetterTopic("b"))
	bridge.publish(wire.DeadLetterTopic("b"), wire.ClaimTopic("b"), wire.StatusTopic("b"))
	bridge.expect(wire.ClaimTopic("b"), wire.StatusTopic("b"))
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
	acl := filepath.Join(t.TempDir(), "acl")
	write(t, acl, "user devicetwin.fleet\ntopic readwrite old/#\n")
	b := start(t, "plugin_opt_allow publish tele/{id}/#", "plugin_opt_allow devicetwin.bridge: subscribe tele/#", "acl_file "+acl)
	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.subscribe("tele/#")
	secret := b.enrol(t, "pump-1")
	b.forbidden(t, "pump-1", "pump-1", secret, "tele/pump-2/state", "tele/pump-1", "old/x")
	b.mustConnect(t, "pump-1", "pump-1", secret).publish("tele/pump-1/state")
	bridge.expect("tele/pump-1", "tele/pump-1/state")
	fleet := b.mustConnect(t, "x", "devicetwin.fleet", password)
	fleet.subscribe("old/#")
	fleet.publish("old/x")
	fleet.expect("old/x")
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
			lost := make(chan time.Time, 2)
			for id, username := range map[string]string{"pump-1": "pump-1", "pump-1.log": "pump-1?SDK=Go"} { // two sessions
				out := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.url).SetClientID(id).SetUsername(username).SetPassword(secret).
					SetAutoReconnect(false).SetConnectionLostHandler(func(mqtt.Client, error) { lost <- time.Now() }))
				if token := out.Connect(); token.Wait() && token.Error() != nil {
					t.Fatal(token.Error())
				}
			}
			began := time.Now()
			if _, err := b.store.Revoke(t.Context(), []device.ID{"pump-1"}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				select {
				case at := <-lost:
					t.Logf("out after %v", at.Sub(began))
				case <-time.After(10 * time.Second):
					t.Fatal("the session goes on")
				}
			}
			if _, err := b.connect(t, "pump-1", "pump-1", secret); err == nil {
				t.Error("the device is in again")
			}
			if !stays.mqtt.IsConnectionOpen() {
				t.Error("another device is out, too")
			}
			stays.publish("devices/pump-2/telemetry")
		})
	}
}

// What docs/brokers.md says to paste is what is tested here, and an example of allow.
func TestDocumentedSettings(t *testing.T) {
	_, section, found := strings.Cut(read(t, "../../docs/brokers.md"), "\n## Mosquitto\n")
	_, block, fenced := strings.Cut(section, "\n```\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !found || !fenced || !closed {
		t.Fatal("docs/brokers.md has no settings of Mosquitto")
	}
	config := "\n" + read(t, "mosquitto.conf")
	lines := strings.Split(block, "\n")
	if len(lines) < 5 {
		t.Errorf("only %q", lines)
	}
	for _, line := range lines {
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
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	write(t, file, "listener 0 127.0.0.1\nplugin "+plugin+"\nplugin_opt_credentials /nowhere\n"+asRoot())
	out, err := exec.Command(program, "-c", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "plugin_opt_credentials") {
		t.Errorf("got %v and\n%s", err, out)
	}
}
