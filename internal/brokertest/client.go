package brokertest

import (
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// Client is a connection whose messages come as "TOPIC PAYLOAD". Its methods wait as long
// as its options let a connection take.
type Client struct {
	MQTT mqtt.Client
	Got  <-chan string
	Lost <-chan struct{} // closed when the connection is lost

	t        *testing.T
	patience time.Duration
}

// Connect connects a client, whose messages are kept, and which does not reconnect. It
// ends with the test.
func Connect(t *testing.T, o *mqtt.ClientOptions) (*Client, error) {
	t.Helper()
	got, lost := make(chan string, 100), make(chan struct{})
	c := &Client{Got: got, Lost: lost, t: t, patience: o.ConnectTimeout}
	c.MQTT = mqtt.NewClient(o.SetAutoReconnect(false).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(lost) }).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { got <- m.Topic() + " " + string(m.Payload()) }))
	token := c.MQTT.Connect()
	token.Wait()
	if err := token.Error(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.MQTT.Disconnect(0) })
	return c, nil
}

// MustConnect connects a client that has to be admitted.
func MustConnect(t *testing.T, o *mqtt.ClientOptions) *Client {
	t.Helper()
	c, err := Connect(t, o)
	if err != nil {
		t.Fatalf("connect %s as %q: %v", o.ClientID, o.Username, err)
	}
	return c
}

// Subscribe wants these filters granted with QoS 1.
func (c *Client) Subscribe(filters ...string) {
	c.t.Helper()
	for _, f := range filters {
		token := c.MQTT.Subscribe(f, 1, nil).(*mqtt.SubscribeToken)
		if !token.WaitTimeout(c.patience) || token.Error() != nil || token.Result()[Unshared(f)] != 1 {
			c.t.Fatalf("subscribe to %s: granted %v, error %v", f, token.Result(), token.Error())
		}
	}
}

// Unshared is the filter of a shared subscription, by which the client's answer to it is
// found.
func Unshared(filter string) string {
	if rest, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, filter, _ = strings.Cut(rest, "/")
	}
	return filter
}

// Publish publishes messages "x", in order.
func (c *Client) Publish(topics ...string) {
	c.t.Helper()
	for _, topic := range topics {
		token := c.MQTT.Publish(topic, 1, false, "x")
		if !token.WaitTimeout(c.patience) || token.Error() != nil {
			c.t.Fatalf("publish to %s: %v", topic, token.Error())
		}
	}
}

// Expect wants exactly these messages "x", in order. Later ones are left for the next
// call.
func (c *Client) Expect(topics ...string) {
	c.t.Helper()
	var got []string
	for _, topic := range topics {
		select {
		case m := <-c.Got:
			if got = append(got, m); m != topic+" x" {
				c.t.Fatalf("got %q, want %q", got, topics)
			}
		case <-time.After(c.patience):
			c.t.Fatalf("got %q, and then nothing, want %q", got, topics)
		}
	}
}

// ExpectInAnyOrder wants exactly these messages "x", of several filters: some brokers keep
// the order within one filter only.
func (c *Client) ExpectInAnyOrder(topics ...string) {
	c.t.Helper()
	want := make([]string, len(topics))
	for i, topic := range topics {
		want[i] = topic + " x"
	}
	slices.Sort(want)
	var got []string
	for range want {
		select {
		case m := <-c.Got:
			got = append(got, m)
		case <-time.After(c.patience):
			c.t.Fatalf("got %q, and then nothing, want %q", got, want)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		c.t.Fatalf("got %q, want %q", got, want)
	}
}

// ExpectNothingElse wants no other message to have come.
func (c *Client) ExpectNothingElse() {
	c.t.Helper()
	select {
	case m := <-c.Got:
		c.t.Fatalf("got %q", m)
	default:
	}
}
