package device

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// spoken is a dialect as the workflow sees one: what a command is called says how it ends. Its
// topics are own/[site/]NAME.
type spoken struct {
	Dialect
	missing bool // it is not among those of the worker
}

func (s *spoken) Encode(id device.ID, to *device.Address, c wire.Command) (wire.Sending, error) {
	if to == nil {
		return s.Dialect.Encode(id, to, c)
	}
	if s.missing {
		return wire.Sending{}, wire.UnknownDialect(id, to)
	}
	payload, err := json.Marshal(c.Data)
	if err != nil {
		return wire.Sending{}, err
	}
	out := wire.Sending{Publications: []wire.Publication{{Topic: ownTopic(to) + c.Name, QoS: 1, Payload: payload}}}
	switch kind, _, _ := strings.Cut(c.Name, "-"); kind {
	case "mute":
		return wire.Sending{}, wire.ErrNoWords
	case "odd":
		return wire.Sending{}, wire.Refuse(wire.ReasonBadPayload, "not a number")
	case "blink":
		out.Done = true
	case "set":
		out.Shows = payload
	case "huge":
		out.Shows = fmt.Appendf(nil, `{"x":"%s"}`, strings.Repeat("x", maxShows))
	}
	return out, nil
}

func ownTopic(to *device.Address) string {
	topic := to.Dialect + "/"
	if site := to.Vars["site"]; site != "" {
		topic += site + "/"
	}
	return topic
}

func (s *spoken) EncodeDesired(id device.ID, to *device.Address, difference []byte) ([]wire.Publication, error) {
	switch {
	case to == nil:
		return nil, nil
	case s.missing:
		return nil, wire.UnknownDialect(id, to)
	case strings.Contains(string(difference), "odd"):
		return []wire.Publication{{Topic: ownTopic(to) + "rest", QoS: 1}}, wire.Refuse(wire.ReasonBadPayload, "not a number")
	}
	return []wire.Publication{{Topic: ownTopic(to) + "desired", QoS: 1, Payload: difference}}, nil
}

// newSpokenHarness is that of a device which speaks the dialect own.
func newSpokenHarness(t *testing.T, model string) (*twinHarness, *spoken) {
	t.Helper()
	h := newTwinHarness(t, model, 0)
	s := &spoken{Dialect: standardDialect()}
	h.activities.Dialect = s
	return h, s
}

// own is a message as it comes in the dialect own.
func own(m device.Message) device.Message { return in("own", m) }

func in(dialect string, m device.Message) device.Message {
	m.From = &device.Address{Dialect: dialect}
	return m
}

// birth is one in the dialect own.
func birth() device.Message { return own(status("online")) }

// reports is what a device says of its state, in the dialect own.
func (h *twinHarness) reports(after time.Duration, reported string) {
	h.RegisterDelayedCallback(func() {
		m := own(h.request("", device.MethodUpdate, `{"state":{"reported":`+reported+`}}`))
		m.Twin.Reply = ""
		h.signalRaw(m)
	}, after)
}

// said are the topics and payloads in the dialect.
func (h *twinHarness) said() string {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	var list []string
	for _, m := range h.wire.sent {
		if !strings.HasPrefix(m.topic, "devices/") && !strings.HasPrefix(m.topic, "$aws/") {
			list = append(list, m.topic+" "+m.payload)
		}
	}
	return strings.Join(list, "\n")
}

func orderOf(name, data string) Operation {
	return Operation{Command: &Order{Name: name, Data: json.RawMessage(data), TTL: time.Hour}}
}

// hearing is a model that keeps what it hears of its commands.
const hearing = `
model: hearing
context: {log: []}
initial: idle
states:
  idle:
    on:
      blink: {actions: [{command: {name: blink, data: {n: "1"}}}]}
      blink-timed: {actions: [{command: {name: blink-timed, ttl: 1m}}]}
      mute: {actions: [{command: {name: mute}}, {command: {name: mute-timed, ttl: 1m}}]}
      ask: {actions: [{command: {name: ask}}]}
      set: {actions: [{command: {name: set, data: {power: "'ON'"}, ttl: 1m}}]}
      "*":
        guard: has(event.status) && has(event.id)
        actions: [{assign: {log: "context.log + [(has(event.name) ? event.name : 'answer') + ' ' + event.status + (has(event.reason) ? ' ' + event.reason : '')]"}}]
`

func heard(v View) string {
	var list []string
	log, _ := v.Snapshot.Context()["log"].([]any)
	for _, l := range log {
		list = append(list, fmt.Sprint(l))
	}
	return strings.Join(list, "\n")
}
