package simulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"devicetwin/device"
)

// draft is something that a device will do over its link when its turn comes.
type draft struct {
	kind draftKind

	// Of a draftMessage.
	channel device.Channel
	name    string // of the event or of the command
	data    map[string]any
	marks   factKind // what the publish means to the oracle
	id      string   // of the command that marks is about; empty: it means nothing
	repeat  bool
	after   time.Duration // of the repetition
	aside   bool          // its latency says nothing: it is part of a burst of the simulator's own making

	// Of a draftCopy.
	topic   string
	payload []byte

	// Of a draftReconnect.
	credential  string // its id
	credentials credentials

	act Act // of a draftLeave
}

type draftKind uint8

const (
	draftMessage   draftKind = iota // a new message, which gets the next number
	draftGreeting                   // the same, the first one over a link
	draftCopy                       // a repetition, or poison: a payload that has its form already
	draftReconnect                  // leave, and come back with new credentials
	draftLeave                      // leave with a goodbye, and come back later
)

// numbered reports whether the draft gets a number of the device.
func (d draft) numbered() bool { return d.kind == draftMessage || d.kind == draftGreeting }

// onWire reports whether the draft is published.
func (d draft) onWire() bool { return d.numbered() || d.kind == draftCopy }

// topicOf is the topic of a message.
func topicOf(id string, channel device.Channel, name string) string {
	topic := "devices/" + id
	switch channel {
	case device.ChannelEvents:
		return topic + "/events/" + name
	case device.ChannelAck:
		return topic + "/commands/" + name + "/ack"
	}
	return topic + "/" + string(channel)
}

// encode is the payload of a message: its data with number and the device's own
// time beside it.
func encode(data map[string]any, n number, deviceTime time.Time) ([]byte, error) {
	all := make(map[string]any, len(data)+3)
	maps.Copy(all, data)
	all["epoch"], all["seq"], all["ts"] = n.epoch, n.seq, deviceTime.UnixMilli()
	b, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("encode message %d/%d: %w", n.epoch, n.seq, err)
	}
	return b, nil
}

// command is a message to the device.
type command struct {
	ID       string `json:"id"`
	Name     string `json:"-"`  // from the topic
	Issued   int64  `json:"ts"` // Unix milliseconds; 0: not told
	received time.Time
	Data     struct {
		Credentials struct {
			ID       string `json:"id"`
			Username string `json:"username"`
			Password string `json:"password"`
		} `json:"credentials"`
	} `json:"data"`
}

// parseCommand reads what came on devices/{id}/commands/{name}.
func parseCommand(topic string, payload []byte, at time.Time) (command, error) {
	c := command{received: at, Name: topic[strings.LastIndexByte(topic, '/')+1:]}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, fmt.Errorf("read command %s: %w", topic, err)
	}
	if c.ID == "" {
		return c, fmt.Errorf("read command %s: it has no id", topic)
	}
	return c, nil
}

// issued is when the service says that it made the command, or zero.
func (c command) issued() time.Time {
	if c.Issued == 0 {
		return time.Time{}
	}
	return time.UnixMilli(c.Issued)
}
