package e2e

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/auth/authtest"
	"devicetwin/deploy/devstack/stack"
)

func startBroker(t *testing.T, o stack.Options) *stack.Broker {
	t.Helper()
	o.Parts = []stack.Part{stack.PartMQTT}
	return start(t, o).MQTT
}

func TestManualAcknowledgement(t *testing.T) {
	broker := startBroker(t, stack.Options{})
	bridge := connect(t, broker.URL(), "bridge", persistent)
	bridge.subscribe("devices/#")
	pump := connect(t, broker.URL(), "pump")
	for i := range 3 {
		pump.publish("devices/p:1/events/valve.open", strconv.Itoa(i))
	}
	for i := range 3 {
		m := bridge.next()
		if m.topic != "devices/p:1/events/valve.open" || m.payload != strconv.Itoa(i) || m.duplicate {
			t.Fatalf("message %d: %+v", i, m)
		}
		if i < 2 {
			m.ack()
		}
	}
	bridge.disconnect()
	eventually(t, "the end of the connection", func(context.Context) bool { return broker.Clients() == 1 })

	// What was acknowledged is over, what was not is delivered again, marked as such.
	bridge = connect(t, broker.URL(), "bridge", persistent)
	if !bridge.present {
		t.Error("the broker forgot the session")
	}
	if m := bridge.next(); m.payload != "2" || !m.duplicate {
		t.Errorf("after the reconnect: %+v", m)
	} else {
		m.ack()
	}
	bridge.nothingFor(300 * time.Millisecond)
}

// What was in flight when a connection was lost comes first, in order, however
// much was published in the meantime, and whoever ended the connection.
func TestUnacknowledgedComesFirstAndInOrder(t *testing.T) {
	broker := startBroker(t, stack.Options{})
	pump := connect(t, broker.URL(), "pump")
	sent := 0
	publish := func(n int) {
		for range n {
			pump.publish("devices/p1/telemetry", strconv.Itoa(sent))
			sent++
		}
	}
	bridge := connect(t, broker.URL(), "bridge", persistent)
	bridge.subscribe("devices/#")
	endings := map[string]func(){
		"disconnect": func() { bridge.disconnect() },
		"cut":        func() { broker.Disconnect("bridge") },
		"takeover":   func() {},
	}
	low, high := 0, 0 // the first message that is open is one of these: a cut may swallow acknowledgements
	for _, ending := range []string{"disconnect", "cut", "takeover", "takeover", "cut", "disconnect"} {
		publish(20)
		low = bridge.inOrder(low, high, sent-1)
		high = low + 7
		bridge.acknowledge(7)
		endings[ending]()
		publish(10)
		bridge = connect(t, broker.URL(), "bridge", persistent)
		if !bridge.present {
			t.Fatalf("%s: the broker forgot the session", ending)
		}
		publish(10)
	}
	bridge.inOrder(low, high, sent-1)
	bridge.nothingFor(300 * time.Millisecond)
}

// inOrder receives messages numbered first, first+1, …, last without a gap,
// where first is between low and high. They stay open.
func (d *mqttDevice) inOrder(low, high, last int) (first int) {
	d.t.Helper()
	d.open = nil
	for expected := low; expected <= last; expected++ {
		m := d.next()
		n, err := strconv.Atoi(m.payload)
		if err != nil {
			d.t.Fatalf("message %q is not a number", m.payload)
		}
		if d.open == nil {
			if n < low || n > high {
				d.t.Fatalf("the first message is %d, not %d to %d", n, low, high)
			}
			first, expected = n, n
		}
		if n != expected {
			d.t.Fatalf("message %d (duplicate %v) in the place of %d", n, m.duplicate, expected)
		}
		d.open = append(d.open, m)
	}
	return first
}

func (d *mqttDevice) acknowledge(n int) {
	for _, m := range d.open[:n] {
		m.ack()
	}
}

func TestWindowOfTheBroker(t *testing.T) {
	broker := startBroker(t, stack.Options{})
	bridge := connect(t, broker.URL(), "bridge", persistent)
	bridge.subscribe("devices/#")
	pump := connect(t, broker.URL(), "pump")
	const extra = 100
	for i := range stack.MaxUnacknowledged + extra {
		token := pump.client.Publish("devices/p1/telemetry", 1, false, strconv.Itoa(i))
		if i%500 == 0 {
			pump.await("publish", token)
		}
	}
	open := make([]received, 0, stack.MaxUnacknowledged)
	for i := range stack.MaxUnacknowledged {
		m := bridge.next()
		if m.payload != strconv.Itoa(i) {
			t.Fatalf("message %d is %s", i, m.payload)
		}
		open = append(open, m)
	}
	bridge.nothingFor(200 * time.Millisecond)
	for _, m := range open {
		m.ack()
	}
	for i := range extra {
		if m := bridge.next(); m.payload != strconv.Itoa(stack.MaxUnacknowledged+i) {
			t.Fatalf("message %d is %s", i, m.payload)
		}
	}
}

func TestLargeMessages(t *testing.T) {
	broker := startBroker(t, stack.Options{})
	bridge := connect(t, broker.URL(), "bridge", persistent)
	bridge.subscribe("devices/#")
	pump := connect(t, broker.URL(), "pump")
	payload := fmt.Sprintf("%0*d", 1<<20, 7)
	pump.publish("devices/p1/telemetry", payload)
	if m := bridge.next(); m.payload != payload {
		t.Errorf("message of 1 MiB came back with %d bytes", len(m.payload))
	}
}

func TestCredentials(t *testing.T) {
	const sdk = "?SDK=JavaScript&Version=2.2.16"
	broker := startBroker(t, stack.Options{Credentials: authtest.Passwords{"p1": "secret", "p5": ""}})
	for _, c := range []struct {
		name, client string
		options      []option
		ok           bool
	}{
		{"anonymous", "device", nil, true},
		{"right password", "p1", []option{login("p1", "secret")}, true},
		{"another session", "p1/log", []option{login("p1", "secret")}, true},
		{"session of another device", "p2", []option{login("p1", "secret")}, false},
		{"session of the bridge", "devicetwin-bridge", []option{login("p1", "secret")}, false},
		{"wrong password", "p1", []option{login("p1", "guess")}, false},
		{"no password", "p1", []option{login("p1", "")}, false},
		{"unknown user", "p2", []option{login("p2", "secret")}, false},
		{"a device that was revoked", "p5", []option{login("p5", "")}, false},
		{"an account", "x", []option{login("devicetwin.bridge", "secret")}, false},
		{"an SDK that says who it is", "device", []option{login(sdk, "")}, true},
		{"an SDK, a name and its password", "p1", []option{login("p1"+sdk, "secret")}, true},
		{"an SDK, a name and a wrong password", "p1", []option{login("p1"+sdk, "guess")}, false},
		{"the stack's own user", "device", []option{login("$devstack", "")}, false},
	} {
		d, err := tryConnect(t, broker.URL(), c.client, c.options...)
		if (err == nil) != c.ok {
			t.Errorf("%s: got error %v", c.name, err)
		}
		if err == nil {
			d.disconnect()
		}
	}
	open := startBroker(t, stack.Options{})
	connect(t, open.URL(), "device", login("anyone", "anything"))
}

// More devices wait for commands than the broker allows by default.
func TestMoreThanAThousandSessions(t *testing.T) {
	broker := startBroker(t, stack.Options{})
	const devices = 1100
	last := make([]*mqttDevice, 0, 3)
	for i := range devices {
		id := "device-" + strconv.Itoa(i)
		d := connect(t, broker.URL(), id, persistent)
		token := d.client.Subscribe("devices/"+id+"/commands/+", 1, nil)
		d.await("subscribe", token)
		for filter, qos := range token.(*mqtt.SubscribeToken).Result() {
			if qos != 1 {
				t.Fatalf("session %d: subscription to %s was answered with %#x", i, filter, qos)
			}
		}
		if i >= devices-cap(last) {
			last = append(last, d)
		} else {
			d.disconnect()
		}
	}
	operator := connect(t, broker.URL(), "operator")
	for i, d := range last {
		topic := "devices/device-" + strconv.Itoa(devices-cap(last)+i) + "/commands/reboot"
		operator.publish(topic, "{}")
		if m := d.next(); m.topic != topic {
			t.Errorf("got %s instead of %s", m.topic, topic)
		}
	}
}
