package nats

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/internal/brokertest"
)

// session is that of a client which acknowledges nothing, and so is sent everything again,
// from the first message on, each time that it comes back: with the settings here it would
// be five minutes later without "devicetwin auth".
//
// While a cluster elects a leader, it ends the connections of those whom it cannot answer. So
// device and client connect again, and the device sends again what is not acknowledged: the
// broker may have it twice then. And a new leader may send again what the one before sent last.
type session struct {
	t      *testing.T
	nodes  *nodes
	at     int // node of the device
	device *brokertest.Client
	sent   []string       // topics
	times  map[string]int // that the device sent each of them

	client *brokertest.Client
	conn   net.Conn
	came   map[string]int // times that each topic came on this connection
}

// untilServed is the time that servers have to elect a leader, and everybody to connect again.
const untilServed = 2 * time.Minute

const (
	clientID = "devicetwin-bridge-9"
	deviceID = "devicetwin-fleet-1"
)

// newSession is of a client at the first node, to which a device at another one publishes.
func newSession(t *testing.T, n *nodes, device int) *session {
	t.Helper()
	s := &session{t: t, nodes: n, at: device, times: map[string]int{}}
	s.connectDevice()
	s.retry("subscribe", func() error {
		s.comeBack(0)
		return s.client.TrySubscribe("devices/#")
	})
	return s
}

// retry tries until it succeeds, as bridges and devices do.
func (s *session) retry(what string, try func() error) {
	s.t.Helper()
	for deadline := time.Now().Add(untilServed); ; time.Sleep(250 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if s.t.Logf("%s: %v", what, err); time.Now().After(deadline) {
			s.t.Fatalf("%s: it does not succeed in %v", what, untilServed)
		}
	}
}

func (s *session) connect(node int, id, account string) (c *brokertest.Client) {
	s.t.Helper()
	s.retry("connect "+id, func() (err error) {
		o := mqtt.NewClientOptions().AddBroker("tcp://" + s.nodes.addresses[node]).SetClientID(id).SetUsername(account).SetPassword(brokertest.Password)
		o.SetConnectTimeout(30 * time.Second).SetCleanSession(false).SetAutoAckDisabled(true)
		o.SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			conn, err := net.Dial("tcp", u.Host)
			if id == clientID {
				s.conn = conn
			}
			return conn, err
		})
		c, err = brokertest.Connect(s.t, o)
		return err
	})
	return c
}

func (s *session) connectDevice() {
	s.t.Helper()
	s.device = s.connect(s.at, deviceID, "devicetwin.fleet")
}

// comeBack connects the client.
func (s *session) comeBack(node int) {
	s.t.Helper()
	s.client, s.came = s.connect(node, clientID, "devicetwin.bridge"), map[string]int{}
}

func (s *session) publish(count int) {
	s.t.Helper()
	for range count {
		topic := fmt.Sprintf("devices/pump-1/events/n%d", len(s.sent))
		s.sent = append(s.sent, topic)
		s.retry("publish", func() error {
			if s.times[topic] > 0 {
				s.device.MQTT.Disconnect(0)
				s.connectDevice()
			}
			s.times[topic]++
			return s.device.TryPublish(topic)
		})
	}
}

// expect wants these to come in order: nothing that comes for the first time on this connection may
// be before them, or missing.
func (s *session) expect(topics []string) {
	s.t.Helper()
	var got []string
	for _, topic := range topics {
		for first := true; first; {
			select {
			case m := <-s.client.Got:
				got = append(got, m)
				if first = s.again(m); !first && m != topic+" x" {
					s.t.Fatalf("got %q, want %q", got, topics)
				}
			case <-time.After(untilServed):
				s.t.Fatalf("got %q, and then nothing, want %q", got, topics)
			}
		}
	}
}

// again notes a message, and reports whether it has come before on this connection, as it may.
func (s *session) again(message string) bool {
	s.t.Helper()
	topic, _ := strings.CutSuffix(message, " x")
	s.came[topic]++
	if elects := len(s.nodes.servers) > 1; !elects && s.came[topic] > max(1, s.times[topic]) {
		s.t.Fatalf("%s came %d times, and was sent %d times", topic, s.came[topic], s.times[topic])
	}
	return s.came[topic] > 1
}

func (s *session) expectAll() {
	s.t.Helper()
	s.expect(s.sent)
	for {
		select {
		case m := <-s.client.Got:
			if !s.again(m) {
				s.t.Fatalf("got %q too", m)
			}
		default:
			return
		}
	}
}

// round loses the connection, as ending does it, and comes back at a node.
func (s *session) round(name string, ending func(), node int) {
	s.t.Helper()
	s.publish(5)
	s.expect(s.sent[len(s.sent)-5:])
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
