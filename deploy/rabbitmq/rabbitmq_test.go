// Package rabbitmq holds the broker's configuration; this tests it with a real
// RabbitMQ, which asks a real "devicetwin auth".
package rabbitmq

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/device"
	"devicetwin/internal/credentials"
	"devicetwin/service"
	"devicetwin/wire"
)

const (
	password = "a password that the start made"
	secret   = "a-secret"

	patience      = 20 * time.Second
	startPatience = 4 * time.Minute // an Erlang system, on a busy machine
)

// broker is a RabbitMQ with the files of this folder.
type broker struct {
	url   string
	store credentials.Store
}

// program is the RabbitMQ that make servers has installed.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.servers/rabbitmq/rabbitmq-server")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("CI_SERVERS") == "" {
			t.Skip("rabbitmq is not installed: run make servers ONLY=rabbitmq")
		}
		t.Fatal("rabbitmq is not installed: run make servers ONLY=rabbitmq")
	}
	return path
}

// start starts devicetwin auth, and a RabbitMQ that asks it.
func start(t *testing.T) *broker {
	t.Helper()
	server := program(t)
	b := &broker{}
	auth := b.startAuth(t)
	// Not in a folder of the test, which the user of RabbitMQ cannot enter.
	dir, err := os.MkdirTemp("", "rabbitmq-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address := freeAddress(t)
	config := read(t, "rabbitmq.conf")
	for _, change := range [][2]string{
		{"listeners.tcp.1 = 127.0.0.1:5672", "listeners.tcp.1 = " + freeAddress(t)}, {"mqtt.listeners.tcp.1 = 1883", "mqtt.listeners.tcp.1 = " + address},
		{"http://127.0.0.1:8095", auth}, {"SECRET", secret},
	} {
		if !strings.Contains(config, change[0]) {
			t.Fatalf("rabbitmq.conf does not contain %q", change[0])
		}
		config = strings.ReplaceAll(config, change[0], change[1])
	}
	write(t, filepath.Join(dir, "rabbitmq.conf"), config)
	for _, name := range []string{"advanced.config", "enabled_plugins"} {
		write(t, filepath.Join(dir, name), read(t, name))
	}
	giveToRabbit(t, dir)

	names := portOf(freeAddress(t)) // of Erlang's name server, which would go on running after the test if RabbitMQ had to start it
	run(t, dir, []string{"ERL_EPMD_PORT=" + names}, "epmd", "-address", "127.0.0.1", "-port", names)
	ended := run(t, dir, []string{
		"HOME=" + dir, "ERL_EPMD_PORT=" + names, "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_NODENAME=test@localhost", "RABBITMQ_DIST_PORT=" + portOf(freeAddress(t)),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_ADVANCED_CONFIG_FILE=" + filepath.Join(dir, "advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "enabled_plugins"), "RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_LOGS=-",
	}, server)
	b.url = "tcp://" + address
	for deadline := time.Now().Add(startPatience); ; time.Sleep(100 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return b
		}
		select {
		case <-ended:
			t.Fatal("rabbitmq ended")
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("rabbitmq does not listen")
		}
	}
}

// startAuth starts devicetwin auth, and returns its URL.
func (b *broker) startAuth(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sum := sha256.Sum256([]byte(password))
	var accounts strings.Builder
	for _, name := range []string{"devicetwin.bridge", "devicetwin.worker", "devicetwin.fleet"} {
		accounts.WriteString(name + ":" + hex.EncodeToString(sum[:]) + "\n")
	}
	write(t, filepath.Join(dir, "accounts"), accounts.String())
	settings := service.DefaultAuth()
	settings.Auth.Listen, settings.Auth.Secret, settings.HTTP.Listen = "127.0.0.1:0", secret, ""
	settings.Auth.Services, settings.Worker.Credentials = filepath.Join(dir, "accounts"), filepath.Join(dir, "credentials")
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
	return running.AuthURL()
}

// run starts a program that ends with the test, with all that it starts.
func run(t *testing.T, dir string, env []string, name string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	command := exec.Command(name, args...)
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	command.Stdout, command.Stderr = t.Output(), t.Output()
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(over)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		<-over
	})
	return over
}

// giveToRabbit makes a folder that of the user rabbitmq, who runs it for root.
func giveToRabbit(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	rabbit, err := user.Lookup("rabbitmq")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(rabbit.Uid)
	gid, _ := strconv.Atoi(rabbit.Gid)
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, uid, gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
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
	lost chan struct{}
}

func (b *broker) connect(t *testing.T, id, username, password string) (*client, error) {
	t.Helper()
	c := &client{t: t, got: make(chan string, 100), lost: make(chan struct{})}
	c.mqtt = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.url).SetClientID(id).SetUsername(username).SetPassword(password).
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

func (b *broker) mustConnect(t *testing.T, id, username, password string) *client {
	t.Helper()
	c, err := b.connect(t, id, username, password)
	if err != nil {
		t.Fatalf("connect %s: %v", username, err)
	}
	return c
}

func (b *broker) issue(t *testing.T, id, credential string) string {
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

// forbidden does what RabbitMQ ends a connection for. Each topic has one of its own.
func (b *broker) forbidden(t *testing.T, id, username, password, action string, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		c := b.mustConnect(t, id, username, password)
		refused := false
		if action == "publish" {
			c.mqtt.Publish(topic, 1, false, "forbidden")
		} else {
			token := c.mqtt.Subscribe(topic, 1, nil).(*mqtt.SubscribeToken)
			refused = token.WaitTimeout(patience) && token.Result()[topic] == 0x80
		}
		select {
		case <-c.lost:
		case <-time.After(patience):
			if !refused {
				t.Errorf("%s may %s %s", username, action, topic)
			}
		}
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

// One RabbitMQ for all: it takes long to start.
func TestRabbitMQ(t *testing.T) {
	b := start(t)
	t.Run("logins", b.logins)
	t.Run("reprovisioning", b.reprovisioning)
	t.Run("topics of a device", b.deviceTopics)
	t.Run("topics of services", b.serviceTopics)
	t.Run("messages wait in a session", b.sessions)
}

func (b *broker) logins(t *testing.T) {
	const sdk = "?SDK=JavaScript&Version=2.2.16"
	secret, colon := b.issue(t, "pump-1", "first"), b.issue(t, "plant:7", "first")
	for _, tt := range []struct {
		name, id, username, password string
		good                         bool
	}{
		{"device", "pump-1", "pump-1", secret, true},
		{"second connection", "pump-1.log", "pump-1", secret, true},
		{"advertisement behind the name", "pump-1", "pump-1" + sdk, secret, true},
		{"colon in the id", "plant:7", "plant:7", colon, true},
		{"wrong password", "pump-1", "pump-1", "guess", false},
		{"unknown device", "pump-9", "pump-9", secret, false},
		{"session of another device", "pump-2", "pump-1", secret, false},
		{"anonymous", "pump-1", "", "", false},
		{"nobody but an SDK", "pump-1", sdk, "", false},
		{"service", "devicetwin-bridge-1", "devicetwin.bridge", password, true},
		{"service with the password of a device", "x", "devicetwin.bridge", secret, false},
		{"a user that RabbitMQ has", "guest", "guest", "guest", false},
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
func (b *broker) reprovisioning(t *testing.T) {
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

func (b *broker) deviceTopics(t *testing.T) {
	one, two := b.issue(t, "pump-1", "topics"), b.issue(t, "pump-2", "topics")
	bridge := b.mustConnect(t, "devicetwin-bridge-1", "devicetwin.bridge", password)
	bridge.subscribe(grammar(t).Filters()...)
	b.forbidden(t, "pump-1", "pump-1", one, "publish",
		"devices/pump-2/telemetry", "devices.pump-2.telemetry", "devices/*/telemetry", commandTopic(t, "pump-1"), wire.StatusTopic("b"),
		"devices/pump-1/twin/update/accepted", "$aws/things/pump-2/shadow/get", "$aws/things/pump-1/shadow/update/delta")
	b.forbidden(t, "pump-1", "pump-1", one, "subscribe", "#", "devices/#", "devices/+/commands/+", "devices/*/commands/+", "$aws/things/#", grammar(t).CommandFilter("pump-2"))

	own := []string{"devices/pump-1/telemetry", "devices/pump-1/status", "devices/pump-1/events/door", "devices/pump-1/commands/reboot/ack"}
	for _, shadow := range []string{"", "config"} {
		own = append(own, grammar(t).ShadowTopics("pump-1", wire.ShadowDocument{Shadow: shadow, Rest: "update"})...)
	}
	pump := b.mustConnect(t, "pump-1", "pump-1", one)
	pump.publish(own...)
	bridge.expect(own...)

	pump.subscribe(grammar(t).CommandFilter("pump-1"), "devices/pump-1/twin/#", "$aws/things/pump-1/shadow/#")
	b.mustConnect(t, "pump-2", "pump-2", two).subscribe("devices/pump-2/#")
	worker := b.mustConnect(t, "devicetwin-worker-1", "devicetwin.worker", password)
	answers := append(grammar(t).ShadowTopics("pump-1", wire.ShadowDocument{Rest: "update/delta"}), commandTopic(t, "pump-1"))
	worker.publish(append([]string{commandTopic(t, "pump-2")}, answers...)...)
	pump.expect(answers...)
}

func (b *broker) serviceTopics(t *testing.T) {
	b.forbidden(t, "x", "devicetwin.worker", password, "publish", "devices/a/telemetry", wire.ClaimTopic("b"))
	b.forbidden(t, "x", "devicetwin.worker", password, "subscribe", "devices/#")
	b.forbidden(t, "x", "devicetwin.bridge", password, "publish", "devices/a/telemetry", commandTopic(t, "a"))
	b.forbidden(t, "x", "devicetwin.bridge", password, "subscribe", wire.DeadLetterTopic("b"))
	b.forbidden(t, "x", "devicetwin.fleet", password, "publish", wire.StatusTopic("b"))
	bridge := b.mustConnect(t, "devicetwin-bridge-2", "devicetwin.bridge", password)
	bridge.subscribe(wire.StatusTopic("b"), wire.ClaimTopic("b"))
	bridge.publish(wire.DeadLetterTopic("b"), wire.ClaimTopic("b"), wire.StatusTopic("b"))
	bridge.expect(wire.ClaimTopic("b"), wire.StatusTopic("b"))
}

// What is published while a bridge is down waits for it.
func (b *broker) sessions(t *testing.T) {
	secret := b.issue(t, "pump-1", "sessions")
	options := mqtt.NewClientOptions().AddBroker(b.url).SetClientID("devicetwin-bridge-3").SetUsername("devicetwin.bridge").SetPassword(password).
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
