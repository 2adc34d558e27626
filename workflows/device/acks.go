package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/internal/measure"
	"devicetwin/twin/command"
)

// ackStatus is the status that an acknowledgement gives; ok is false if it is not one
// that a device may give.
func (d *run) ackStatus(m device.Message) (s command.Status, ok bool) {
	word, _ := m.Data["status"].(string)
	if !d.follows(rulesMessages) {
		s = command.Status(word) // the run began when only the exact word counted
		return s, s.FromDevice()
	}
	return device.AckStatus(word)
}

// says reports whether an acknowledgement has one of these statuses.
func (d *run) says(m device.Message, any ...command.Status) bool {
	s, ok := d.ackStatus(m)
	return ok && slices.Contains(any, s)
}

// classify is the event of a message.
func (d *run) classify(m device.Message) (name string, ok bool) {
	if !d.follows(rulesMessages) {
		return d.model.ClassifyAsWritten(m)
	}
	return d.model.Classify(m)
}

// noteAck makes a point of what the device says of a command.
func (d *run) noteAck(m device.Message) {
	if m.Channel != device.ChannelAck {
		return
	}
	status, ok := d.ackStatus(m)
	if !ok { // it would be a tag of its own
		return
	}
	id, _ := m.Data["id"].(string)
	reason, _ := m.Data["reason"].(string)
	d.aside(Point{
		Measurement: measure.Commands,
		Tags:        d.tags(measure.TagName, m.Name, measure.TagStatus, string(status)),
		Fields:      map[string]any{measure.Count: int64(1), measure.CommandID: bounded(id), measure.Text: bounded(reason)},
		At:          spreadTimestamps(m.Time, len(d.state.Asides)),
	})
}

// recordAck notes what the device says of the command under way, or of one that has
// ended, and reports what means nothing. The state machine gets the message as an
// event, like any other.
func (d *run) recordAck(m device.Message) {
	if m.Channel != device.ChannelAck {
		return
	}
	id, _ := m.Data["id"].(string)
	reason, _ := m.Data["reason"].(string)
	status, ok := d.ackStatus(m)
	if !ok { // reported as a word that means nothing
		return
	}
	known, found := d.state.Commands.Find(id)
	switch {
	case !found && d.issued(id): // without a time to live, or one that is forgotten
		if status.Ended() {
			d.recordEnd(command.Command{ID: id, Name: m.Name, Status: status, Reason: bounded(reason), Result: resultOf(m), Ended: m.Time})
		}
	case !found:
		d.reportAck(m, device.FaultUnknownCommand, "id", "expected the id of a command")
	case known.Status == command.Waiting:
		d.reportAck(m, device.FaultUnknownCommand, "id", "the command has not been sent yet")
	case known.Status.Ended():
		if _, changed := d.state.Commands.AcknowledgeLate(id, status, reason, m.Time); changed {
			d.reportAck(m, device.FaultLateAck, "status", fmt.Sprintf("command %s had ended before: %s", id, known.Status))
		}
	default:
		if c, _ := d.state.Commands.Acknowledge(id, status, resultOf(m), reason, m.Time); c.Status.Ended() {
			delete(d.depths, id)
			d.recordEnd(c)
		}
	}
}

func resultOf(m device.Message) json.RawMessage {
	r, ok := m.Data["result"]
	if !ok {
		return nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return nil
	}
	return raw
}

// issued reports whether an id has the form of those that this life of the device's
// workflow gives: see effectID. A command without a time to live is in no queue.
func (d *run) issued(id string) bool {
	rest, own := strings.CutPrefix(id, d.effectID(""))
	at := strings.LastIndexByte(rest, '-')
	return own && at > 0 && at < len(rest)-1 && strings.Trim(rest[at+1:], "0123456789") == ""
}

// reportAck reports a fault of an acknowledgement with the value of one of its keys.
func (d *run) reportAck(m device.Message, reason device.FaultReason, key, expected string) {
	f := device.Fault{At: m.Time, Topic: m.Topic(), Reason: reason, Detail: expected}
	switch v := m.Data[key].(type) {
	case nil:
		f.Detail += "; found none"
	case string:
	default:
		f.Detail += "; found " + device.TypeName(v)
	}
	f.Value = valueText(m.Data, key)
	d.report(f)
}

// valueText is the value of a key as JSON; "" if there is none.
func valueText(data map[string]any, key string) string {
	v, ok := data[key]
	if !ok {
		return ""
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}
