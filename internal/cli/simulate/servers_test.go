package simulate

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"devicetwin/internal/cli"
	"devicetwin/service"
	"devicetwin/simulator"
)

// play runs the command until the returned function is called.
func play(t *testing.T, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan int, 1)
	go func() {
		grammar := struct {
			Simulate Command `cmd:""`
		}{New(service.DefaultConfig())}
		args := append([]string{"simulate", "--model", pump, "--temporal-address", "127.0.0.1:1"}, args...)
		ended <- cli.Execute(ctx, &grammar, "devicetwin", "", args, io.Discard, io.Discard)
	}()
	return func() { cancel(); <-ended }
}

// accept waits for a connection.
func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	_ = l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := l.Accept()
	if err != nil {
		t.Fatalf("no connection: %v", err)
	}
	return conn
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A fleet tries all brokers in turn.
func TestSimulateTriesAllBrokers(t *testing.T) {
	broker := listen(t)
	stop := play(t, "--mqtt-url", "tcp://127.0.0.1:1,tcp://"+broker.Addr().String())
	conn := accept(t, broker)
	conn.Close()
	stop()
}

// A fleet checks the broker's certificate against the authority that it is given.
func TestSimulateUsesTLSFiles(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--mqtt-ca-file", ca}, nil} {
		broker := listen(t)
		stop := play(t, append(args, "--mqtt-url", "ssl://"+broker.Addr().String())...)
		conn := accept(t, broker)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		err := tls.Server(conn, &tls.Config{Certificates: server.TLS.Certificates}).Handshake()
		conn.Close()
		stop()
		if trusted := len(args) > 0; (err == nil) != trusted {
			t.Errorf("with %q: handshake %v", args, err)
		}
	}
	grammar := New(service.DefaultConfig())
	grammar.Model, grammar.MQTT.CAFile = pump, "/none"
	if _, err := grammar.plan().fleet.load(); err == nil {
		t.Error("a file that is not there is not an error")
	}
}

// A fleet publishes below the topic prefix.
func TestSimulateUsesTheTopicPrefix(t *testing.T) {
	command := New(service.DefaultConfig())
	command.Model, command.TopicPrefix = pump, "site/things"
	command.Fleet = FleetConfig{Devices: 1, Rate: 1, Duration: time.Second, ConnectRate: 1, InFlight: 1}
	fleet, err := command.plan().fleet.load()
	if err != nil {
		t.Fatal(err)
	}
	if topic := fleet.plan.options.Speech.Voice("d", simulator.Identity{}).Noise("").Topic; topic != "site/things/d/telemetry" {
		t.Errorf("telemetry goes to %s", topic)
	}
}
