package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/device"
	"devicetwin/internal/credentials"
	client "devicetwin/mqtt"
)

// Devices that are not of the fleet: one tries what it may not do to the other.
const (
	intruder = "chaos-intruder"
	victim   = "chaos-victim"
)

const (
	refusalPatience = 20 * time.Second
	// dropped is how long a broker is given to acknowledge what it does not deliver; some never do.
	dropped = 2 * time.Second
)

// refusals is what refused tries: a wrong password, a topic to publish to, and one to
// subscribe to.
const refusals = 3

// refused is an error if the broker takes a wrong password, lets a device publish or subscribe
// to the topics of another one, or refuses what the device may do.
func (s *system) refused(ctx context.Context) error {
	store, err := credentials.Open(s.credentials())
	if err != nil {
		return fmt.Errorf("open the credentials: %w", err)
	}
	defer store.Close()
	password, err := store.Issue(ctx, intruder, fmt.Sprintf("chaos-%d", time.Now().UnixNano()))
	if err != nil {
		return fmt.Errorf("make a password: %w", err)
	}
	v := visit{s, device.ID(intruder), password}
	return errors.Join(v.wrongPassword(), v.foreignSubscription(), v.foreignTopic(ctx))
}

// visit is what a device does at the broker.
type visit struct {
	system   *system
	id       device.ID
	password string
}

// login connects the device; lost is closed when the broker ends the connection.
func (v visit) login(password string) (c mqtt.Client, lost <-chan struct{}, err error) {
	ended := make(chan struct{})
	options := v.system.options(Devices, string(v.id)).SetUsername(string(v.id)).SetPassword(password).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(ended) })
	c = mqtt.NewClient(options)
	return c, ended, wait(c.Connect())
}

// wait waits for what the broker answers.
func wait(t mqtt.Token) error {
	if !t.WaitTimeout(refusalPatience) {
		return errors.New("no answer from the broker")
	}
	return t.Error()
}

func (v visit) wrongPassword() error {
	c, _, err := v.login("not " + v.password)
	switch {
	case err == nil:
		c.Disconnect(0)
		return errors.New("the broker takes a wrong password")
	case !client.Refused(err):
		return fmt.Errorf("a wrong password is not refused as one: %w", err)
	}
	return nil
}

func (v visit) foreignSubscription() error {
	c, lost, err := v.login(v.password)
	if err != nil {
		return fmt.Errorf("the right password: %w", err)
	}
	defer c.Disconnect(0)
	filter := "devices/" + victim + "/#"
	token := c.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
	select {
	case <-lost: // some brokers end the connection
	case <-token.Done():
		if token.Error() == nil && token.Result()[filter] < 0x80 {
			return errors.New("the broker lets a device subscribe to the topics of another one")
		}
	case <-time.After(refusalPatience):
		return errors.New("the broker does not answer a subscription to the topics of another device")
	}
	return nil
}

// foreignTopic publishes to the topic of another device, and then to an own one: only the
// latter may arrive.
func (v visit) foreignTopic(ctx context.Context) error {
	got := make(chan string, 10)
	reader := v.system.client(Bridge, "chaos-reader", bridgeAccount)
	if err := wait(reader.Connect()); err != nil {
		return fmt.Errorf("connect as a bridge: %w", err)
	}
	defer reader.Disconnect(0)
	foreign, own := "devices/"+victim+"/status", "devices/"+string(v.id)+"/status"
	receive := func(_ mqtt.Client, m mqtt.Message) { got <- m.Topic() }
	if err := wait(reader.SubscribeMultiple(map[string]byte{foreign: 1, own: 1}, receive)); err != nil {
		return fmt.Errorf("subscribe as a bridge: %w", err)
	}
	for _, topic := range []string{foreign, own} {
		c, lost, err := v.login(v.password)
		if err != nil {
			return fmt.Errorf("the right password: %w", err)
		}
		token := c.Publish(topic, 1, false, `{"status":"here"}`)
		select {
		case <-lost:
		case <-token.Done():
		case <-time.After(dropped):
		}
		c.Disconnect(0)
	}
	select {
	case topic := <-got:
		if topic != own {
			return fmt.Errorf("the broker lets a device publish to %s", topic)
		}
		return nil
	case <-time.After(refusalPatience):
		return errors.New("what a device publishes to its own topic does not arrive")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// options are those of a client that is not of the service.
func (s *system) options(from Part, id string) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions().SetClientID(id).SetCleanSession(true).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(refusalPatience)
	for _, url := range s.BrokerURLs(from) {
		o.AddBroker(url)
	}
	return o
}

// client is such a client with an account, where services have any.
func (s *system) client(from Part, id, account string) mqtt.Client {
	o := s.options(from, id)
	if s.accounts {
		o.SetUsername(account).SetPassword(accountPassword)
	}
	return mqtt.NewClient(o)
}
