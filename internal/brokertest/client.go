package brokertest

import (
	"errors"
	"fmt"
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
	if token := c.MQTT.Connect(); !token.WaitTimeout(c.patience) {
		c.MQTT.Disconnect(0)
		return nil, fmt.Errorf("not admitted in %v", c.patience)
	} else if err := token.Error(); err != nil {
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
		if err := c.TrySubscribe(f); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TrySubscribe is an error if the filter is not granted with QoS 1, or the connection ends first.
func (c *Client) TrySubscribe(filter string) error {
	token := c.MQTT.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
	if err := c.await(token); err != nil {
		return fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	if granted := token.Result()[Unshared(filter)]; granted != 1 {
		return fmt.Errorf("subscribe to %s: granted %#x", filter, granted)
	}
	return nil
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
		if err := c.TryPublish(topic); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TryPublish publishes a message "x". An error: the broker has not acknowledged it, and may have it
// nevertheless.
func (c *Client) TryPublish(topic string) error {
	if err := c.await(c.MQTT.Publish(topic, 1, false, "x")); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}

// await waits for an answer of the broker: without a connection there will be none.
func (c *Client) await(token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-c.Lost:
		return errors.New("the connection was lost")
	case <-time.After(c.patience):
		return fmt.Errorf("no answer in %v", c.patience)
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
