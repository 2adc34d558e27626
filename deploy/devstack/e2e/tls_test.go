package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/auth"
	"devicetwin/auth/authtest"
	"devicetwin/deploy/devstack/pki"
	"devicetwin/deploy/devstack/stack"
)

func openAuthority(t *testing.T) *pki.Authority {
	t.Helper()
	a, err := pki.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// startTLSBroker runs a broker with both listeners.
func startTLSBroker(t *testing.T, a *pki.Authority, o stack.Options) *stack.Stack {
	t.Helper()
	server, err := a.Server([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o.Parts = []stack.Part{stack.PartMQTT, stack.PartMQTTS}
	o.TLS = &stack.TLS{CAFile: a.CAFile(), CertFile: server.CertFile, KeyFile: server.KeyFile}
	return start(t, o)
}

// certificate lets a client trust the authority and show what another one (or
// the same) has issued for a device; nil: nothing.
func certificate(t *testing.T, trust, issuer *pki.Authority, device string, life time.Duration) option {
	t.Helper()
	raw, err := os.ReadFile(trust.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(raw)
	if issuer != nil {
		pair, err := issuer.Device(device, life, time.Now())
		if err != nil && !errors.Is(err, pki.ErrExists) {
			t.Fatal(err)
		}
		cert, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return func(o *mqtt.ClientOptions) { o.SetTLSConfig(config) }
}

func TestWhoMayConnectByTLS(t *testing.T) {
	ours, theirs := openAuthority(t), openAuthority(t)
	s := startTLSBroker(t, ours, stack.Options{Credentials: authtest.Passwords{"p1": "secret", "p2": "other", "p5": ""}})
	right := certificate(t, ours, ours, "p1", time.Hour)
	for _, c := range []struct {
		name, client string
		options      []option
		ok           bool
	}{
		{"certificate", "p1", []option{right}, true},
		{"certificate, another session", "p1/listen", []option{right}, true},
		{"certificate and password", "p1", []option{right, login("p1", "secret")}, true},
		{"certificate and the user name of an SDK", "p1", []option{right, login("?SDK=JavaScript&Version=2.2.16", "")}, true},
		{"certificate of a device that was revoked", "p5", []option{certificate(t, ours, ours, "p5", time.Hour)}, false},
		{"certificate and wrong password", "p1", []option{right, login("p1", "guess")}, false},
		{"certificate and another device's password", "p1", []option{right, login("p2", "other")}, false},
		{"another device's client id", "p2", []option{right}, false},
		{"a client id that begins with its own", "p10", []option{right}, false},
		{"the bridge's client id", "devicetwin-bridge", []option{right}, false},
		{"the stack's own user", "p1", []option{right, login("$devstack", "")}, false},
		{"no certificate", "p1", []option{certificate(t, ours, nil, "", 0)}, false},
		{"another authority's certificate", "p1", []option{certificate(t, ours, theirs, "p1", time.Hour)}, false},
		{"expired certificate", "p3", []option{certificate(t, ours, ours, "p3", -time.Minute)}, false},
		{"a broker that the device does not know", "p4", []option{certificate(t, theirs, ours, "p4", time.Hour)}, false},
	} {
		d, err := tryConnect(t, s.MQTTS.URL(), c.client, c.options...)
		if (err == nil) != c.ok {
			t.Errorf("%s: got error %v", c.name, err)
		}
		if err == nil {
			d.disconnect()
		}
	}
	plain := strings.Replace(s.MQTTS.URL(), "ssl://", "tcp://", 1)
	if _, err := tryConnect(t, plain, "p1"); err == nil {
		t.Error("no TLS: connected")
	}
}

// A device with a certificate, or with a password, has its own topics, and nobody else's.
func TestTopicsOfADevice(t *testing.T) {
	a := openAuthority(t)
	access := auth.DefaultConfig()
	access.Allow = []string{"publish tele/{id}/#", "publish /odd/{id}/x"}
	s := startTLSBroker(t, a, stack.Options{Credentials: authtest.Passwords{"p1": "secret"}, Access: access})
	for name, as := range map[string]func(client string, more ...option) *mqttDevice{
		"certificate": func(client string, more ...option) *mqttDevice {
			return connect(t, s.MQTTS.URL(), client, append(more, certificate(t, a, a, "p1", time.Hour))...)
		},
		"password": func(client string, more ...option) *mqttDevice {
			return connect(t, s.MQTT.URL(), client, append(more, login("p1", "secret"))...)
		},
	} {
		t.Run(name, func(t *testing.T) { tryTopics(t, s.MQTT, as) })
	}
}

// tryTopics tries what the device p1 may do.
func tryTopics(t *testing.T, broker *stack.Broker, as func(client string, more ...option) *mqttDevice) {
	t.Helper()
	service := connect(t, broker.URL(), "service")
	for _, filter := range []string{"devices/#", "$aws/#", "$JS/API/STREAM/LIST", "other", "tele/#", "/odd/#"} {
		service.subscribe(filter)
	}
	p1 := as("p1")
	for filter, granted := range map[string]bool{
		"devices/p1/commands/+": true, "devices/p1/#": true, "$aws/things/p1/shadow/#": true,
		"$aws/things/p1/shadow/name/config/update/delta": true,
		"devices/p2/commands/+":                          false, "devices/#": false, "devices/+/status": false, "#": false, "+/p1/#": false,
		"$aws/things/p2/shadow/#": false, "$MQTT/#": false, "$JS/#": false, "bridge/#": false, "tele/p1/#": false,
	} {
		token := p1.client.Subscribe(filter, 1, nil)
		if !token.WaitTimeout(patience) {
			t.Fatalf("subscribe to %s: no answer", filter)
		}
		if qos := token.(*mqtt.SubscribeToken).Result()[filter]; (qos == 1) != granted {
			t.Errorf("subscribe to %s: answered with %#x", filter, qos)
		}
	}
	for topic, own := range map[string]bool{"devices/p1/telemetry": true, "$aws/things/p1/shadow/update": true, "tele/p1/STATE": false, "/odd/p1/x": false} {
		p1.publish(topic, topic)
		if m := service.next(); m.topic != topic || m.payload != topic {
			t.Errorf("published to %s, got %+v", topic, m)
		}
		if !own {
			continue
		}
		if m := p1.next(); m.topic != topic {
			t.Errorf("its own message on %s came back as %+v", topic, m)
		}
	}
	service.publish("devices/p1/commands/reboot", "{}")
	if m := p1.next(); m.topic != "devices/p1/commands/reboot" {
		t.Errorf("instead of a command: %+v", m)
	}
	service.next() // its own
	for _, topic := range []string{
		"devices/p2/telemetry", "devices/p10/status", "$aws/things/p2/shadow/update", "$JS/API/STREAM/LIST", "other", "tele/p2/STATE",
		"devices/p1/commands/reboot", "$aws/things/p1/shadow/update/accepted", // what the service says
	} {
		// Another connection each time: the broker may cut it.
		intruder := as("p1/intruder")
		intruder.client.Publish(topic, 1, false, "intruder").WaitTimeout(time.Second)
		intruder.disconnect()
	}
	// Nor by its last will.
	intruder := as("p1/will", func(o *mqtt.ClientOptions) { o.SetWill("devices/p2/status", "intruder", 1, false) })
	broker.Disconnect("p1/will")
	eventually(t, "the end of the intruder", func(context.Context) bool { return !intruder.client.IsConnectionOpen() })
	service.nothingFor(300 * time.Millisecond)
	p1.disconnect()
	service.disconnect()
}

// The session of a device with a certificate is kept like any other, and what
// was in flight is delivered again in order.
func TestSessionByTLS(t *testing.T) {
	a := openAuthority(t)
	s := startTLSBroker(t, a, stack.Options{})
	service := connect(t, s.MQTT.URL(), "service")
	cert := certificate(t, a, a, "p1", time.Hour)
	device := connect(t, s.MQTTS.URL(), "p1", cert, persistent)
	device.subscribe("devices/p1/commands/+")
	for _, payload := range []string{"0", "1", "2", "3"} {
		service.publish("devices/p1/commands/reboot", payload)
	}
	device.inOrder(0, 0, 3)
	device.acknowledge(1)
	if !s.MQTT.Disconnect("p1") {
		t.Fatal("the broker does not know the client")
	}
	device = connect(t, s.MQTTS.URL(), "p1", cert, persistent)
	if !device.present {
		t.Error("the broker forgot the session")
	}
	device.inOrder(0, 1, 3)
}

// What a device sends before it leaves arrives, also without acknowledgements.
func TestLastWordsByTLS(t *testing.T) {
	a := openAuthority(t)
	s := startTLSBroker(t, a, stack.Options{})
	service := connect(t, s.MQTT.URL(), "service")
	service.subscribe("devices/#")
	cert := certificate(t, a, a, "p1", time.Hour)
	payload := strings.Repeat("x", 10_000)
	for range 20 {
		device := connect(t, s.MQTTS.URL(), "p1", cert)
		for range 20 {
			device.client.Publish("devices/p1/telemetry", 0, false, payload)
		}
		device.await("the last one", device.client.Publish("devices/p1/telemetry", 0, false, payload))
		device.disconnect()
		for range 21 {
			if m := service.next(); m.payload != payload {
				t.Fatalf("got %d bytes on %s", len(m.payload), m.topic)
			}
		}
	}
}

func TestTLSOptions(t *testing.T) {
	_, err := stack.Start(t.Context(), stack.Options{Parts: []stack.Part{stack.PartMQTTS}})
	if err == nil || !strings.Contains(err.Error(), "part mqtts needs part mqtt") || !strings.Contains(err.Error(), "needs certificates") {
		t.Errorf("without anything: %v", err)
	}
	access := auth.DefaultConfig()
	access.Allow = []string{"all devices/{id}/#", "publish all/#", "publish a#/{id}"}
	_, err = stack.Start(t.Context(), stack.Options{
		Parts: []stack.Part{stack.PartMQTT, stack.PartMQTTS}, Access: access, TLS: &stack.TLS{Host: "gateway", CAFile: "ca.pem"},
	})
	if err == nil {
		t.Fatal("started with wrong options")
	}
	for _, want := range []string{
		`host "gateway" of mqtts`, "file with its certificate", "file with its key",
		`rule "publish all/#": filter "all/#": expected {id}`, `rule "publish a#/{id}"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), `"devices/{id}/#"`) {
		t.Errorf("a right topic is refused: %v", err)
	}
	access.Allow = []string{"publish a/*/{id}"}
	_, err = stack.Start(t.Context(), stack.Options{Parts: []stack.Part{stack.PartMQTT}, Access: access})
	if err == nil || !strings.Contains(err.Error(), "wildcard") {
		t.Errorf("a rule that NATS takes for a wider one: %v", err)
	}
	a := openAuthority(t)
	wrong := filepath.Join(t.TempDir(), "none.pem")
	_, err = open(t, stack.Options{Parts: []stack.Part{stack.PartMQTT, stack.PartMQTTS}, TLS: &stack.TLS{
		CAFile: a.CAFile(), CertFile: wrong, KeyFile: wrong,
	}})
	if err == nil || !strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "mqtts") {
		t.Errorf("without a certificate of its own: %v", err)
	}
}

// Close ends connections that are open, and those that never say a word.
func TestCloseWithTLSConnections(t *testing.T) {
	a := openAuthority(t)
	s := startTLSBroker(t, a, stack.Options{})
	silent, err := net.Dial("tcp", s.MQTTS.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	device := connect(t, s.MQTTS.URL(), "p1", certificate(t, a, a, "p1", time.Hour))
	if err := s.MQTTS.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	s.MQTTS = nil
	eventually(t, "the end of the connection", func(context.Context) bool { return !device.client.IsConnectionOpen() })
	var rest bytes.Buffer
	if _, err := io.Copy(&rest, silent); err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the silent connection: %v", err)
	}
}
