package tap

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/text"
	"devicetwin/mqtt"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// reader says what the service would make of messages. It is a little more careful than a
// bridge: it knows of no leases, quotas and other versions of a model.
type reader struct {
	set     *dialect.Set
	model   *devicefsm.Model // nil: none was given
	filters map[device.ID]*devicefsm.Filter
	unknown topics

	messages, relevant, leftOut, ignored, silent, refused int
}

func newReader(set *dialect.Set, model *devicefsm.Model) *reader {
	return &reader{set: set, model: model, filters: map[device.ID]*devicefsm.Filter{}}
}

// shownPayload is how much of a payload is shown, in bytes.
const shownPayload = 160

// line is what is printed of a message: topic, and what follows from it, a line for each
// device's message.
func (r *reader) line(m mqtt.Message) string {
	r.messages++
	head := fmt.Sprintf("%s %s", m.At.Format("15:04:05.000"), m.Topic)
	if m.Retained {
		head += " (retained)"
	}
	name := r.set.Speaks(m.Topic)
	if m.Retained && name != "" && !r.set.Retained(m.Topic) {
		r.ignored++
		return head + " → ignored: a retained copy\n"
	}
	received, err := r.set.Decode(m.Topic, m.Payload, m.Dup, m.At)
	if err != nil {
		return fmt.Sprintf("%s → %s\n", head, r.nothing(m, err))
	}
	if m.Retained { // of these, only what devices reported counts
		received = slices.DeleteFunc(received, func(r wire.Received) bool { return r.Message.Channel != device.ChannelTwin })
		if len(received) == 0 {
			r.ignored++
			return head + " → ignored: a retained copy\n"
		}
	}
	var b strings.Builder
	for i := range received {
		fmt.Fprintf(&b, "%s → %s %s%s\n", head, name, dialect.Line(&received[i]), r.verdict(&received[i]))
	}
	return b.String()
}

// nothing counts a message of which nothing was made, and says why.
func (r *reader) nothing(m mqtt.Message, err error) string {
	refused := (*wire.Refused)(nil)
	switch why := r.set.Why(m.Topic, m.Payload, err); {
	case errors.As(err, &refused):
		r.refused++
		return fmt.Sprintf("refused, %s: %s", why, shown(m.Payload))
	case !errors.Is(err, wire.ErrUnmapped):
		r.ignored++
		return why
	case r.set.Speaks(m.Topic) == "":
		r.unknown.add(m.Topic, m.Payload)
		return why + ": " + shown(m.Payload)
	default:
		r.silent++
		return why + ": " + shown(m.Payload)
	}
}

// verdict is what a bridge with the model would do with a message.
func (r *reader) verdict(to *wire.Received) string {
	if r.model == nil {
		return ""
	}
	msg := to.Message
	if msg.Channel == device.ChannelTwin {
		r.relevant++
		return ": relevant, it is for the twin"
	}
	f := r.filters[to.ID]
	if f == nil {
		f = new(devicefsm.Filter)
		r.filters[to.ID] = f
	}
	passes := r.model.Pass(f, msg)
	event, named := r.model.Classify(msg)
	switch {
	case passes && named:
		r.relevant++
		return ": relevant, event " + event
	case passes:
		r.relevant++
		return ": relevant"
	}
	r.leftOut++
	switch {
	case !named:
		return ": left out, not an event of the model"
	case !r.model.Relevant(msg):
		return ": left out, event " + event + " can do nothing"
	}
	return ": left out, event " + event + " repeats what was said"
}

// suggestion is a dialect for what nothing reads.
func (r *reader) suggestion() string {
	if r.messages == 0 {
		return "# nothing arrived: there is nothing to propose\n"
	}
	return r.unknown.suggestion()
}

// counts says how many messages there were.
func (r *reader) counts() string {
	s := fmt.Sprintf("%d messages: %d ignored, %d refused, %d that say nothing, %d that no dialect reads", r.messages, r.ignored, r.refused, r.silent, r.unknown.messages)
	if r.model != nil {
		s += fmt.Sprintf("; of devices, %d relevant, %d left out", r.relevant, r.leftOut)
	}
	return s
}

// shown is the beginning of a payload, as a string where it is one.
func shown(payload []byte) string {
	if json.Valid(payload) {
		return text.Clip(string(payload), shownPayload)
	}
	return text.Clip(fmt.Sprintf("%q", payload), shownPayload)
}
