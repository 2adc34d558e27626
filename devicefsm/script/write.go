package script

import (
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/text"
	"devicetwin/source"
)

// Input is what happened to a device, for Write. One of Channel, Event, Done and Failed says what
// it is; of none of them, time has passed.
type Input struct {
	At time.Time // on the service's clock
	// Sent is when the device says that it was; zero: the same.
	Sent    time.Time
	Channel device.Channel // of a message, with Name and Data
	Event   string         // named as the model names it, with Data
	// Done is the activity that returned Data, and Failed the one that failed with Text;
	// "process" is the processing of an event.
	Done   string
	Failed string
	Name   string
	Data   map[string]any
	Text   string
	// Note is a comment above the line; "" for none.
	Note string
}

// Write writes a script of one test. Its only expectation is wrong, and has the place of those of the
// start: Run finds what happens, and Update writes it down. The model is the name of its file from the script's folder.
func Write(model, test string, start time.Time, notes []string, inputs []Input) []byte {
	var b strings.Builder
	line := func(parts ...string) {
		b.WriteString(strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " "))
		b.WriteString("\n")
	}
	for _, note := range notes {
		line("#", oneLine(note))
	}
	line("model", model)
	line()
	line("test", oneLine(test))
	start = start.UTC().Truncate(time.Millisecond)
	line("start", start.Format("2006-01-02T15:04:05.999Z07:00"))
	line("   ", "state", nowhere)
	last := time.Duration(0)
	for _, in := range inputs {
		if in.Note != "" {
			line("#", oneLine(in.Note))
		}
		at := max(in.At.Sub(start).Truncate(time.Millisecond), last)
		last = at
		sent := ""
		if d := in.Sent.Sub(start).Truncate(time.Millisecond); !in.Sent.IsZero() && d != at && (in.Channel != "" || in.Event != "") {
			sent = "sent "
			if d < 0 {
				sent, d = "sent -", -d
			}
			sent += source.FormatDuration(d)
		}
		line(append([]string{source.FormatDuration(at), sent}, in.words()...)...)
	}
	return []byte(b.String())
}

// nowhere is not the name of a state.
const nowhere = "?"

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// words are what the line says after its times.
func (in Input) words() []string {
	data := ""
	if len(in.Data) > 0 {
		data = text.YAML(in.Data)
	}
	switch {
	case in.Channel == device.ChannelTelemetry || in.Channel == device.ChannelStatus:
		return []string{string(in.Channel), data}
	case in.Channel != "":
		return []string{string(in.Channel), nameText(in.Name), data}
	case in.Event != "":
		return []string{"event", nameText(in.Event), data}
	case in.Done != "":
		return []string{"done", nameText(in.Done), data}
	case in.Failed != "":
		return []string{"failed", nameText(in.Failed), failureText(in.Text)}
	}
	return []string{"wait"}
}

// Writable reports whether a message can be a line of a script of its own. Others are events, under
// the names that the model gives them.
func Writable(channel device.Channel, name string) bool {
	switch channel {
	case device.ChannelTelemetry, device.ChannelStatus:
		return true
	case device.ChannelEvents:
		return device.ValidName(name) && !device.ReservedName(name)
	case device.ChannelAck:
		return device.ValidName(name)
	case device.ChannelMembers:
		return slices.Contains(device.MemberReports, name)
	}
	return false
}

// Recorded is a script of what happened to a device, with what its model makes of it as its
// expectations. The error is source.Faults: what cannot be written so that it is read again.
func Recorded(file, model, test string, start time.Time, notes []string, inputs []Input, m *devicefsm.Model) ([]byte, error) {
	s, err := Parse(file, Write(model, test, start, notes, inputs))
	if err != nil {
		return nil, err
	}
	return s.Update(s.Run(m)), nil
}
