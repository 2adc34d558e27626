package script

import (
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// Whatever happened is written so that it is read as the same.
func TestWhatIsRecordedIsReadAgain(t *testing.T) {
	m, err := devicefsm.Load("pump.yaml", []byte(`
model: pump
events: {reading: {channel: telemetry}}
context: {n: 0}
initial: online
states:
  online:
    on:
      "*": {actions: [{log: "event"}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
	texts := []string{"", "plain", "two words", `"quoted"`, "# not a comment", "{a: 1}", "a: b", "it's", "back\\slash", "line\nfeed", "tab\there", "äöü €", "true", "null", "12", "~", "- x", "}", "]"}
	var inputs []Input
	for i, text := range texts {
		at := at.Add(time.Duration(i) * 1234567 * time.Millisecond)
		inputs = append(inputs, Input{At: at, Sent: at.Add(-36 * time.Hour), Channel: device.ChannelTelemetry, Data: map[string]any{"text": text, text: []any{1.5, nil, map[string]any{text: true}}}})
		inputs = append(inputs, Input{At: at, Event: "say " + text, Note: "it said\n" + text})
	}
	inputs = append(inputs, Input{At: at, Channel: device.ChannelEvents, Name: "door.open"}, Input{At: at.Add(24 * 300 * time.Hour)})
	text, err := Recorded("x.script", "pump.yaml", "What\nwas said", at, []string{"a note"}, inputs, m)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	s, err := Parse("x.script", text)
	if err != nil {
		t.Fatal(err)
	}
	if report := s.Run(m); !report.OK() || report.Inputs != len(inputs) {
		t.Errorf("%d inputs, want %d: %s\n%s", report.Inputs, len(inputs), report, text)
	}
	if !s.Tests[0].Start.Equal(at) || s.Tests[0].Name != "What was said" || s.Model != "pump.yaml" {
		t.Errorf("test %+v, model %q", s.Tests[0], s.Model)
	}
	for i, step := range s.Tests[0].Steps[1:] {
		in := inputs[i]
		switch {
		case in.Channel == device.ChannelTelemetry:
			if got := step.input.message.Data["text"]; got != in.Data["text"] || *step.input.sent != in.Sent.Sub(at) || step.At != in.At.Sub(at) {
				t.Errorf("line %d: %q, sent %v at %v; want %q: %s", step.Line, got, *step.input.sent, step.At, in.Data["text"], step.Text)
			}
		case in.Event != "" && step.input.name != in.Event:
			t.Errorf("line %d: event %q, want %q", step.Line, step.input.name, in.Event)
		}
	}
	if !strings.HasPrefix(string(text), "# a note\nmodel pump.yaml\n") {
		t.Errorf("%s", text)
	}
}
