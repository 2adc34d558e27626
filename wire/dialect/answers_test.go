package dialect

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

const answering = `
dialect: plugs
awake: 10s
topics:
  - {topic: 'tele/{id}/STATE', channel: telemetry}
  - {topic: 'tele/{id}/DEEP', channel: status, payload: text, awake: 1m}
  - {topic: 'tele/{id}/MAINS', channel: telemetry, awake: null}
  - topic: 'stat/{id}/{command}'
    channel: answers
    name: '{command}'
    data: {id: payload.id, status: "has(payload.error) ? 'failed' : payload.status", reason: payload.error, result: payload.result}
  - {topic: 'ack/{id}', channel: answers, number: {seq: payload.n}}
  - {topic: 'word/{id}', channel: answers, payload: text}
  - {topic: 'net/{id}', channel: telemetry, relayed: true, number: {seq: payload.n}}
commands:
  - {command: asked, topic: 'cmnd/{id}/{command}', done: sent}
  - {topic: 'cmnd/{id}/{command}'}
`

func TestAnswers(t *testing.T) {
	s := load(t, answering)
	for _, c := range []struct{ topic, payload, want string }{
		{"stat/p/POWER", `{"id":"c1","status":"succeeded","result":{"on":true},"ts":1}`, `p ack POWER {"id":"c1","result":{"on":true},"status":"succeeded"}`},
		{"stat/p/POWER", `{"error":"hot"}`, `p ack POWER {"reason":"hot","status":"failed"}`},
		{"stat/p/POWER", `{"result":1}`, wire.ErrUnmapped.Error()}, // it does not say what the answer is
		{"stat/p/sequence.gap", `{"status":"accepted"}`, `p ack sequence.gap {"status":"accepted"}`},
		{"stat/p/a b", `{"status":"accepted"}`, `bad_topic: command name "a b": expected 1 to 64 letters, digits, _, - and .`},
		{"ack/p", `{"status":"accepted","id":"c2","n":7,"ts":5}`, `p ack 0/7 {"id":"c2","n":7,"status":"accepted","ts_":5}`},
		{"ack/p", `{"id":"c2","a":{"status":"x"}}`, wire.ErrUnmapped.Error()},
		{"word/p", `rejected`, `p ack {"status":"rejected"}`},
		{"ack/p", `{"status":1,"n":"x"}`, "bad_payload: seq: expected an integer from 1 to 2^53"},
	} {
		if got := said(s.Decode(c.topic, []byte(c.payload), false, now)); got != c.want {
			t.Errorf("%s %s: %s\nwant %s", c.topic, c.payload, got, c.want)
		}
	}
	if s.Retained("ack/p") {
		t.Error("an answer that the broker keeps is an old one")
	}
}

// A command is answered where something is on the channel answers, unless it says something else.
func TestCommandsAreAnswered(t *testing.T) {
	s := load(t, answering)
	for command, want := range map[string]string{"asked": "cmnd/p/asked \ndone", "POWER": "cmnd/p/POWER "} {
		if got := encoding(s.Encode("p", plugsAddress(), wire.Command{Name: command})); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

// An answer is complete, whatever a bridge leaves for later.
func TestAnswersAreComplete(t *testing.T) {
	c := wire.DefaultConfig()
	c.Lazy = true
	received, err := loadWith(t, c, answering).Decode("word/p", []byte("accepted"), false, now)
	if want := map[string]any{"status": "accepted"}; err != nil || !reflect.DeepEqual(received[0].Message.Data, want) || received[0].Message.Digest == "" {
		t.Errorf("%+v, %v", received, err)
	}
}

func TestAwake(t *testing.T) {
	s := load(t, answering)
	for topic, want := range map[string]time.Duration{"tele/p/STATE": 10 * time.Second, "tele/p/DEEP": time.Minute, "tele/p/MAINS": 0} {
		received, err := s.Decode(topic, []byte("{}"), false, now)
		if err != nil || received[0].Message.From.Awake != want {
			t.Errorf("%s: %+v, %v; want %v", topic, received, err, want)
		}
	}
}

// What somebody else says of a device does not show that it is up, also if it cannot be read.
func TestRelayed(t *testing.T) {
	s := load(t, answering)
	received, err := s.Decode("net/p", []byte(`{"n":1}`), false, now)
	if err != nil || !received[0].Message.Relayed || received[0].Message.Alive() || received[0].Message.From == nil {
		t.Errorf("%+v, %v", received, err)
	}
	if received, err = s.Decode("tele/p/STATE", []byte(`{}`), false, now); err != nil || received[0].Message.Relayed {
		t.Errorf("%+v, %v", received, err)
	}
	for topic, alive := range map[string]bool{"net/p": false, "ack/p": true} {
		_, err := s.Decode(topic, []byte(`{"status":"accepted","n":"x"}`), false, now)
		if refused, ok := err.(*wire.Refused); !ok || refused.ID != device.ID("p") || refused.Alive != alive {
			t.Errorf("%s: %+v", topic, err)
		}
	}
}

func TestAnswerFaults(t *testing.T) {
	for text, want := range map[string]string{
		"channel: answers, data: {id: payload.id}": "data: expected a member status, which says what the answer is",
		"channel: answers, only: id":               "only: it leaves out status",
		"channel: answers, omit: [st*]":            "omit: it leaves out status",
		"channel: answers, name: 'a b'":            `name "a b": expected 1 to 64 letters`,
		"channel: answers, name: '{x}'":            "{x} is neither in the topic",
		"channel: answers, status: {online: x}":    "status: only what is on the channel status has words",
		"channel: telemetry, name: x":              "name: only what is on the channels events and answers has one",
		"channel: telemetry, relayed: 1":           "expected true or false",
		"channel: ignored, relayed: true":          "relayed: expected nothing else of what is ignored",
		"channel: telemetry, awake: 10":            `awake "10": expected a duration such as 10s`,
		"channel: telemetry, awake: 0s":            `awake "0s": expected a duration such as 10s, more than 0s`,
		"channel: telemetry, awake: 2d":            "at most 1d",
		"channel: telemetry, awake: [1s]":          "expected a string, a number, true or false",
		"channel: telemetry, awake: 1s":            "awake: expected commands, desired or ask: nothing is sent to devices",
		"channel: telemetry}]\nawake: 1s #":        "awake: expected commands, desired or ask: nothing is sent to devices",
		"channel: answrs":                          `did you mean "answers"?`,
	} {
		_, err := Load("d.yaml", []byte("dialect: d\ntopics: [{topic: 't/{id}', "+text+"}]"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
}

// What try prints says where the status of an answer is another word.
func TestLineOfAnAnswer(t *testing.T) {
	s := load(t, "dialect: d\ntopics: [{topic: 's/{id}', channel: answers}]")
	for payload, want := range map[string]string{
		`{"status":"Failed"}`: `{device: a, channel: answers, data: {"status":"Failed"}}`,
		`{"status":"OK"}`:     `{device: a, channel: answers, data: {"status":"OK"}} # status: expected accepted, succeeded, failed or rejected; it answers nothing`,
		`true`:                `{device: a, channel: answers, data: {"status":true}} # status: expected accepted, succeeded, failed or rejected; it answers nothing`,
	} {
		received, err := s.Decode("s/a", []byte(payload), false, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := Line(&received[0]); got != want {
			t.Errorf("%s: %s\nwant %s", payload, got, want)
		}
	}
}
