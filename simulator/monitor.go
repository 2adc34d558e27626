package simulator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/wire"
)

// poisonMark begins the payloads that a scenario publishes to be refused.
const poisonMark = "poison "

// deadLetterFilter is where bridges publish what they refuse.
var deadLetterFilter = wire.DeadLetterTopic("+")

// watcher subscribes to a topic filter until the returned function is called.
type watcher func(ctx context.Context, filter string, receive func(payload []byte)) (stop func(), err error)

// pahoWatcher watches with a client of its own, which reconnects automatically:
// messages in between are missed, which is good enough for counting.
func pahoWatcher(o Options) watcher {
	return func(ctx context.Context, filter string, receive func([]byte)) (func(), error) {
		handler := func(_ mqtt.Client, m mqtt.Message) { receive(m.Payload()) }
		options := mqtt.NewClientOptions().
			SetClientID(o.Prefix + "-monitor").
			SetUsername(o.Username).
			SetPassword(o.Password).
			SetConnectTimeout(connectTimeout).
			SetOnConnectHandler(func(c mqtt.Client) { c.Subscribe(filter, 1, handler) })
		for _, b := range o.Brokers {
			options.AddBroker(b)
		}
		if o.TLS != nil {
			options.SetTLSConfig(o.TLS)
		}
		client := mqtt.NewClient(options)
		connected := client.Connect()
		stop := func() { client.Disconnect(leaveTimeout) }
		select {
		case <-connected.Done():
		case <-ctx.Done():
			stop()
			return nil, ctx.Err()
		}
		if err := connected.Error(); err != nil {
			return nil, fmt.Errorf("connect to broker %s: %w", strings.Join(o.Brokers, ", "), err)
		}
		return stop, nil
	}
}

// deadLetters counts what the bridges refused of this fleet's messages.
type deadLetters struct {
	own func(topic string) bool // of the fleet
	log *slog.Logger

	mutex  sync.Mutex
	all    uint64
	meant  map[string]bool // poison that was refused, as intended
	logged int
}

// maxLettersLogged is how many dead letters are logged one by one.
const maxLettersLogged = 10

func newDeadLetters(o Options) *deadLetters {
	own := func(topic string) bool { return o.Speech.Owns(o.Prefix+"-", topic) }
	return &deadLetters{own: own, log: o.Log, meant: map[string]bool{}}
}

func (d *deadLetters) receive(payload []byte) {
	var letter struct {
		Topic   string `json:"topic"`
		Reason  string `json:"reason"`
		Detail  string `json:"detail"`
		Payload string `json:"payload_base64"`
	}
	if err := json.Unmarshal(payload, &letter); err != nil {
		d.log.Warn("cannot decode a dead letter", "error", err)
		return
	}
	if !d.own(letter.Topic) {
		return // another fleet's
	}
	refused, err := base64.StdEncoding.DecodeString(letter.Payload)
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if text := string(refused); err == nil && strings.HasPrefix(text, poisonMark) {
		if !d.meant[text] { // dead letters too come at least once
			d.meant[text] = true
			d.all++
		}
		return
	}
	d.all++
	if d.logged++; d.logged <= maxLettersLogged {
		d.log.Warn("dead letter", "topic", letter.Topic, "reason", letter.Reason, "detail", letter.Detail)
	}
}

func (d *deadLetters) counts() (all, meant uint64) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.all, uint64(len(d.meant))
}
