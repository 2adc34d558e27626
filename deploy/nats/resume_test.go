package nats

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/internal/brokertest"
)

// session is that of a client which acknowledges nothing, and so is sent everything again,
// from the first message on, each time that it comes back: with the settings here it would
// be five minutes later without "devicetwin auth".
type session struct {
	t      *testing.T
	nodes  *nodes
	device *brokertest.Client
	sent   []string // topics

	client *brokertest.Client
	conn   net.Conn
}

// newSession is of a client at the first node, to which a device at another one publishes.
func newSession(t *testing.T, n *nodes, device int) *session {
	t.Helper()
	s := &session{t: t, nodes: n}
	s.device = s.connect(brokertest.MustConnect, device, "devicetwin-fleet-1", "devicetwin.fleet")
	s.comeBack(0)
	s.client.Subscribe("devices/#")
	return s
}

type connecting = func(*testing.T, *mqtt.ClientOptions) *brokertest.Client

func (s *session) connect(connect connecting, node int, id, account string) *brokertest.Client {
	o := mqtt.NewClientOptions().AddBroker("tcp://" + s.nodes.addresses[node]).SetClientID(id).SetUsername(account).SetPassword(brokertest.Password)
	o.SetConnectTimeout(30 * time.Second).SetCleanSession(false).SetAutoAckDisabled(true)
	o.SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
		conn, err := net.Dial("tcp", u.Host)
		if id == clientID {
			s.conn = conn
		}
		return conn, err
	})
	return connect(s.t, o)
}

const clientID = "devicetwin-bridge-9"

// comeBack connects the client, which is tried again like a bridge does.
func (s *session) comeBack(node int) {
	s.t.Helper()
	s.client = s.connect(func(t *testing.T, o *mqtt.ClientOptions) *brokertest.Client {
		for deadline := time.Now().Add(time.Minute); ; {
			c, err := brokertest.Connect(t, o)
			if err == nil {
				return c
			}
			if t.Logf("connect: %v", err); time.Now().After(deadline) {
				t.Fatal("it cannot connect")
			}
			time.Sleep(250 * time.Millisecond)
		}
	}, node, clientID, "devicetwin.bridge")
}

func (s *session) publish(count int) {
	s.t.Helper()
	topics := make([]string, count)
	for i := range topics {
		topics[i] = fmt.Sprintf("devices/pump-1/events/n%d", len(s.sent)+i)
	}
	s.device.Publish(topics...)
	s.sent = append(s.sent, topics...)
}

func (s *session) expectAll() {
	s.t.Helper()
	s.client.Expect(s.sent...)
	s.client.ExpectNothingElse()
}

// round loses the connection, as ending does it, and comes back at a node.
func (s *session) round(name string, ending func(), node int) {
	s.t.Helper()
	s.publish(5)
	s.client.Expect(s.sent[len(s.sent)-5:]...)
	ending()
	s.publish(5)
	began := time.Now()
	s.comeBack(node)
	s.t.Logf("%s: back after %v", name, time.Since(began))
	s.expectAll()
}

// What was in flight when a connection was lost comes first, and in order, whoever ended the
// connection.
func TestUnacknowledgedComesFirstAndInOrder(t *testing.T) {
	s := newSession(t, startNodes(t, 1), 0)
	s.round("disconnected", func() { s.client.MQTT.Disconnect(0) }, 0)
	s.round("cut", func() { s.conn.Close() }, 0)
	for range 2 {
		s.round("the broker holds it", func() {}, 0)
	}
}

// So it is at another server of a cluster, also if the one before was killed.
func TestUnacknowledgedComesFirstAndInOrderFromACluster(t *testing.T) {
	n := startNodes(t, 3)
	s := newSession(t, n, 1)
	for _, tt := range []struct {
		name   string
		ending func()
		node   int
	}{
		{"cut", func() { s.conn.Close() }, 1},
		{"another server holds it", func() {}, 0},
		{"its server was killed", func() {
			if err := n.servers[0].Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-s.client.Lost
		}, 2},
		{"cut without that server", func() { s.conn.Close() }, 1},
	} {
		s.round(tt.name, tt.ending, tt.node)
	}
}
