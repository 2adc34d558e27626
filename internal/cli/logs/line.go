package logs

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/internal/recordlog"
	"devicetwin/points"
)

// The kinds of records, as they are printed.
var kindNames = map[byte]string{
	history.KindArrival: "arrival", points.KindLines: "lines", history.KindOutcome: "outcome", history.KindBegin: "begin",
}

func kindOf(name string) (byte, bool) {
	for kind, known := range kindNames {
		if known == name {
			return kind, true
		}
	}
	return 0, false
}

func kindName(kind byte) string {
	if name, ok := kindNames[kind]; ok {
		return name
	}
	return fmt.Sprint("kind ", kind)
}

// common is what each line begins with.
type common struct {
	Kind     string    `json:"kind"`
	Position int64     `json:"position"` // after the record
	At       time.Time `json:"at"`       // of receipt
}

// messageLine is one message of a device.
type messageLine struct {
	common
	Device  device.ID      `json:"device,omitempty"`
	Channel device.Channel `json:"channel,omitempty"`
	Name    string         `json:"name,omitempty"`
	Topic   string         `json:"topic,omitempty"`
	Epoch   int64          `json:"epoch,omitempty"`
	Seq     uint64         `json:"seq,omitempty"`
	Sent    *time.Time     `json:"sent,omitempty"` // by the device's clock

	Verdict     string `json:"verdict"`
	Redelivered bool   `json:"redelivered,omitempty"`

	Connection string              `json:"connection,omitempty"`
	Model      string              `json:"model,omitempty"`
	Faults     []device.Fault      `json:"faults,omitempty"`
	Shadow     *device.TwinRequest `json:"shadow,omitempty"`

	Measurement string     `json:"measurement,omitempty"` // of its point
	Point       *time.Time `json:"point,omitempty"`       // its time

	Data    json.RawMessage `json:"data,omitempty"`    // as received
	Payload string          `json:"payload,omitempty"` // of what has no data
}

// Verdicts of lines that history does not have.
const (
	verdictAdded  = "added"  // by the bridge
	verdictUnread = "unread" // nothing was read from it
)

type lineProtocol struct {
	common
	Lines []string `json:"lines"`
}

type outcomeLine struct {
	common
	Device device.ID `json:"device"`
	UpTo   int64     `json:"up_to"`
	Run    string    `json:"run,omitempty"`
}

type beginLine struct {
	common
	Instance string `json:"instance"`
	Bridge   string `json:"bridge"`
}

// unknownLine is a record that this release cannot decode.
type unknownLine struct {
	common
	Bytes int    `json:"bytes"`
	Error string `json:"error,omitempty"`
}

// linesOf returns what is printed of a record: what concerns wanted devices.
func linesOf(e recordlog.Entry, wanted func(device.ID) bool) []any {
	start := common{kindName(e.Kind), e.End, e.At}
	lines, err := decode(e, start, wanted)
	if err != nil && wanted("") {
		return []any{unknownLine{start, len(e.Data), err.Error()}}
	}
	return lines
}

func decode(e recordlog.Entry, start common, wanted func(device.ID) bool) ([]any, error) {
	switch e.Kind {
	case history.KindArrival:
		a, err := history.ReadArrival(e.Data, e.At)
		if err != nil {
			return nil, err
		}
		return arrivalLines(a, start, wanted), nil
	case points.KindLines:
		lines, err := points.Lines(e.Record)
		if err != nil {
			return nil, err
		}
		lines = slices.DeleteFunc(lines, func(line string) bool { return !wanted(device.ID(points.DeviceOf(line))) })
		if len(lines) == 0 {
			return nil, nil
		}
		return []any{lineProtocol{start, lines}}, nil
	case history.KindOutcome:
		o, err := history.ReadOutcome(e.Data)
		if err != nil || !wanted(o.ID) {
			return nil, err
		}
		return []any{outcomeLine{start, o.ID, o.UpTo, o.Run}}, nil
	case history.KindBegin:
		b, err := history.ReadBegin(e.Data)
		if err != nil || !wanted("") {
			return nil, err
		}
		return []any{beginLine{start, b.Instance, b.Bridge}}, nil
	}
	if !wanted("") {
		return nil, nil
	}
	return []any{unknownLine{start, len(e.Data), ""}}, nil
}

// arrivalLines are those of the messages of an arrival: what the bridge added comes first,
// as it does for the workflow.
func arrivalLines(a *history.Arrival, start common, wanted func(device.ID) bool) (lines []any) {
	for _, o := range a.Outgoing {
		if o.Of > 0 || !wanted(o.ID) {
			continue
		}
		line := message(start, o.ID, &o.Message)
		line.Verdict = verdictAdded
		if len(o.Message.Data) > 0 {
			line.Data, _ = json.Marshal(o.Message.Data) // it was JSON
		}
		lines = append(lines, line)
	}
	for i := range a.Messages {
		m := &a.Messages[i]
		if !wanted(m.ID) {
			continue
		}
		line := message(start, m.ID, &m.Message)
		line.Topic, line.Verdict, line.Redelivered = a.Origin, m.Verdict.String(), m.Message.Redelivered || a.Again
		line.Measurement, line.Point = m.Measurement, shown(m.Point)
		switch {
		case json.Valid(m.Object):
			line.Data = m.Object
		default:
			line.Payload = string(a.Payload)
		}
		lines = append(lines, line)
	}
	if len(a.Messages) == 0 && len(lines) == 0 && wanted("") {
		lines = append(lines, messageLine{common: start, Topic: a.Origin, Verdict: verdictUnread, Redelivered: a.Again, Payload: string(a.Payload)})
	}
	return lines
}

func message(start common, id device.ID, m *device.Message) messageLine {
	return messageLine{
		common: start, Device: id, Channel: m.Channel, Name: m.Name, Epoch: m.Epoch, Seq: m.Seq, Sent: shown(m.Sent),
		Connection: m.Connection, Model: m.Model, Faults: m.Faults, Shadow: m.Twin, Redelivered: m.Redelivered,
	}
}

// shown is a time, nil if it is zero.
func shown(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
