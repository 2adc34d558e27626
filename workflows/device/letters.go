package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
	"devicetwin/internal/measure"
	"devicetwin/wire"
)

// letter is what is published of one message, and what it is, for errors.
type letter struct {
	what         string
	publications []wire.Publication
	command      *wire.Command // nil: it is something else
	sending      wire.Sending  // of a command
}

// maxShows bounds SentCommand.Shows, in bytes: the workflow keeps it.
const maxShows = 16 << 10

// maxFailed bounds SentCommand.Failed, in bytes.
const maxFailed = 256

// written are the letters of an emission, and what is known of its messages before anything
// is published. All is written before that: what cannot be written now, because a dialect
// is missing, is tried again as a whole, and nothing leaves twice meanwhile.
func (a *Activities) written(e Emission) (letters []letter, done Emitted, err error) {
	for _, m := range e.Messages {
		var l letter
		var refused string
		switch {
		case m.Shadow != nil:
			l, refused, err = a.shadowOf(e, m)
		case m.Command == "":
			l, refused = a.publicationOf(e.Device, m)
		default:
			var sent SentCommand
			if l, sent, err = a.orderOf(e, m); sent.ends() {
				done.Sent = append(done.Sent, sent)
			}
		}
		if err != nil {
			return nil, Emitted{}, err
		}
		if refused != "" {
			done.Refused = append(done.Refused, refused)
		}
		letters = append(letters, l)
	}
	return letters, done, nil
}

func (s SentCommand) ends() bool { return s.Done || len(s.Shows) > 0 || s.Failed != "" }

// shadowOf writes a message of the shadow protocol: the answer to a request on its own
// topic, anything else on those of every scheme. What is retained has one place, below the
// device's own topics. A device that speaks a dialect is sent a delta in its words, too;
// what cannot be said in them is refused.
func (a *Activities) shadowOf(e Emission, m Outgoing) (l letter, refused string, err error) {
	topics := []string{m.Shadow.Topic}
	if m.Shadow.Topic == "" || m.Retain {
		topics = a.Dialect.ShadowTopics(e.Device, wire.ShadowDocument{Shadow: m.Shadow.Shadow, Rest: m.Shadow.Rest, Retained: m.Retain})
	}
	for _, topic := range topics {
		l.publications = append(l.publications, wire.Publication{Topic: topic, QoS: 1, Retained: m.Retain, Payload: m.Shadow.Payload})
	}
	if !m.Shadow.Inform {
		return l, "", nil
	}
	own, err := a.Dialect.EncodeDesired(e.Device, e.Address, deltaState(m.Shadow.Payload))
	switch {
	case err == nil:
	case permanent(err):
		refused = fmt.Sprintf("desired state in dialect %s: %v", e.Address.Dialect, err)
	default:
		a.noteUnknown(err)
		return letter{}, "", fmt.Errorf("write the desired state: %w", err)
	}
	l.publications = append(l.publications, own...) // what could be said
	return l, refused, nil
}

// publicationOf writes a message of the model's own, if the configuration allows its topic.
func (a *Activities) publicationOf(id device.ID, m Outgoing) (l letter, refused string) {
	topic := strings.ReplaceAll(m.Topic, "{id}", id.Name())
	if _, ok := kafkaTopic(topic); ok { // its run began before there were records
		return l, fmt.Sprintf("publish to %s: this run of the workflow began under an earlier release, and writes nothing to Kafka", topic)
	}
	if !a.mayPublish(id, topic) {
		return l, fmt.Sprintf("publish to %s: not among the topics that the worker's configuration allows", topic)
	}
	if id.Kind() != device.KindDevice && a.OfDevices != nil && a.OfDevices(topic) {
		return l, fmt.Sprintf("publish to %s: it is a topic of devices, and this is %s", topic, id.Entity())
	}
	payload, err := json.Marshal(m.Data)
	if err != nil {
		return l, fmt.Sprintf("publish to %s: encode: %v", topic, err)
	}
	l.publications = []wire.Publication{{Topic: topic, QoS: 1, Retained: m.Retain, Payload: payload}}
	return l, ""
}

// orderOf writes a command. One that its device's dialect cannot say has failed.
func (a *Activities) orderOf(e Emission, m Outgoing) (letter, SentCommand, error) {
	var data any
	switch {
	case len(m.Body) > 0:
		data = m.Body
	case len(m.Data) > 0:
		data = m.Data
	}
	sent := SentCommand{ID: m.ID}
	c := wire.Command{ID: m.ID, Name: m.Command, At: m.At, TTL: m.TTL, Data: data}
	l, err := a.commandOf(e.Device, e.Address, c)
	switch {
	case err == nil:
	case e.Address != nil && permanent(err):
		text := err.Error()
		sent.Failed = strings.ToValidUTF8(text[:min(len(text), maxFailed)], "")
		return letter{}, sent, nil
	default:
		return letter{}, sent, final(fmt.Errorf("write command %s (%s): %w", c.Name, c.ID, err))
	}
	sent.Done = l.sending.Done
	if m.TTL > 0 && !sent.Done {
		sent.Shows = l.sending.Shows
	}
	return l, sent, nil
}

// commandOf writes a command to a device.
func (a *Activities) commandOf(id device.ID, to *device.Address, c wire.Command) (letter, error) {
	s, err := a.Dialect.Encode(id, to, c)
	if err != nil {
		a.noteUnknown(err)
		return letter{}, err
	}
	if len(s.Shows) > maxShows {
		return letter{}, wire.Refuse(wire.ReasonTooLarge, "what the reported state has to show has %d bytes, the limit is %d", len(s.Shows), maxShows)
	}
	return letter{what: fmt.Sprintf("command %s (%s) ", c.Name, c.ID), publications: s.Publications, command: &c, sending: s}, nil
}

// permanent reports that something cannot be said in a dialect, now or later: the same words
// would fail again, and only another worker may have a dialect that is missing.
func permanent(err error) bool { return !errors.Is(err, wire.ErrUnknownDialect) }

// final is the error of an activity that is not tried again in vain.
func final(err error) error {
	if permanent(err) {
		return temporal.NewNonRetryableApplicationError(err.Error(), "encode", err)
	}
	return err
}

// noteUnknown counts what waits for a worker with another dialect.
func (a *Activities) noteUnknown(err error) {
	if a.Counts != nil && errors.Is(err, wire.ErrUnknownDialect) {
		a.Counts.UnknownDialects.Add(1)
	}
}

// post publishes a letter.
func (a *Activities) post(ctx context.Context, id device.ID, l letter) error {
	for _, p := range l.publications {
		if err := a.Publisher.Publish(ctx, p.Topic, p.QoS, p.Retained, p.Payload); err != nil {
			return fmt.Errorf("publish %sto %s for device %s: %w", l.what, p.Topic, id, err)
		}
	}
	if c := l.command; c != nil {
		tags := measure.EntityTags(string(id))
		tags[measure.TagName], tags[measure.TagStatus] = c.Name, measure.CommandSent
		a.Points.WritePoint(measure.Commands, tags,
			map[string]any{measure.Count: int64(1), measure.CommandID: c.ID}, time.UnixMilli(c.At.UnixMilli()))
	}
	return nil
}
