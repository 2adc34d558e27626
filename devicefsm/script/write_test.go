package script

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

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

// Numbers of any size are numbers again, in what a device sends and in what is expected.
func TestNumbersAreReadAgain(t *testing.T) {
	m, err := devicefsm.Load("pump.yaml", []byte(`
model: pump
events: {reading: {channel: telemetry}}
context: {last: 0}
initial: online
states:
  online: {on: {reading: {actions: [{assign: {last: event.a}}, {notify: {to: ops, data: {at: context.last}}}]}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, n := range []string{"5e-7", "1.5e-7", "0.0000003", "-1e-7", "1e18", "-1e19", "1e20", "1e21", "1.5e21", "123456789012345678901", "1e308", "5e-324", "12", "0.5"} {
		var data map[string]any
		if err := json.Unmarshal([]byte(`{"a": `+n+`}`), &data); err != nil {
			t.Fatal(err)
		}
		text, err := Recorded("x.script", "pump.yaml", "t", at, nil, []Input{{At: at.Add(time.Second), Channel: device.ChannelTelemetry, Data: data}}, m)
		if err != nil {
			t.Errorf("%s: %v", n, err)
			continue
		}
		s, err := Parse("x.script", text)
		if err != nil {
			t.Errorf("%s: %v\n%s", n, err, text)
			continue
		}
		if got := s.Tests[0].Steps[1].input.message.Data; !reflect.DeepEqual(got, data) {
			t.Errorf("%s: %#v, want %#v", n, got, data)
		}
		r := s.Run(m)
		if !r.OK() || !strings.Contains(string(text), "notify ops {at: ") {
			t.Errorf("%s: %s\n%s", n, r, text)
		}
		wrong := strings.Replace(string(text), "notify ops {at: ", "notify ops {at: 7, was: ", 1)
		if s, err = Parse("x.script", []byte(wrong)); err != nil {
			t.Errorf("%s: %v\n%s", n, err, wrong)
		} else if got := s.Update(s.Run(m)); string(got) != string(text) {
			t.Errorf("%s: updated:\n%s\nwant:\n%s", n, got, text)
		}
	}
}

// Why an activity failed is read as it was, whatever the text is.
func TestWhyItFailedIsReadAgain(t *testing.T) {
	m, err := devicefsm.Load("pump.yaml", []byte(`
model: pump
context: {why: ""}
initial: online
states:
  online: {invoke: {src: reprovision, onDone: online, onError: broken}}
  broken: {entry: [{assign: {why: event.message}}, {notify: {to: ops, data: {why: context.why}}}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	check := func(t rapid.TB, why string) {
		text, err := Recorded("x.script", "pump.yaml", "t", at, nil, []Input{{At: at.Add(time.Second), Failed: "reprovision", Text: why}}, m)
		if err != nil {
			t.Fatalf("%q: %v", why, err)
		}
		s, err := Parse("x.script", text)
		if err != nil {
			t.Fatalf("%q: %v\n%s", why, err, text)
		}
		if got := s.Tests[0].Steps[1].input.text; got != why {
			t.Errorf("%q is read as %q:\n%s", why, got, text)
		}
		if r := s.Run(m); !r.OK() {
			t.Errorf("%q: %s\n%s", why, r, text)
		}
	}
	for _, why := range []string{"", "plain", "a # b", "# a", "post: 500 #12", `say "x # y`, `"whole"`, `"whole" # not`, "{ # }", "} # x", "it's [ # ]", "line\nfeed", "a\r", "  two  spaces ", "two  spaces", "tab\tx", `back\slash # x`, "\u0085", "\u2028x"} {
		check(t, why)
	}
	char := rapid.RuneFrom([]rune("ab #\"'\\{}[]:,\n\r\t\u0085\u00a0ü€\x1b"))
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.StringOf(char).Draw(t, "why")) })
}

// What has no quotes means what it always meant.
func TestWhyItFailedAsPeopleWriteIt(t *testing.T) {
	for line, want := range map[string]string{
		`failed reprovision the broker refuses the user`: "the broker refuses the user",
		`failed reprovision`:                             "",
		`failed reprovision ""`:                          "",
		`failed reprovision too late  # a note`:          "too late",
		`failed reprovision "pump" is not known`:         `"pump" is not known`,
		`failed reprovision user "pump"`:                 `user "pump"`,
		`failed reprovision "error #12" # a note`:        "error #12",
		`failed reprovision "\x"`:                        `"\x"`,
		`failed reprovision "open`:                       `"open`,
	} {
		s, err := Parse("x.script", []byte("test t\n1s "+line+"\n"))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if got := s.Tests[0].Steps[1].input.text; got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
