package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// sends has an entry for each thing that can be said of what is sent.
const sends = `
dialect: plugs
topics:
  - {topic: 'tele/{id}/{what}', channel: telemetry}
  - {topic: 'gw/{room}/{id}/{mac}', channel: telemetry, id: '{id}:{mac}'}
  - {topic: 'many/{name...}/state', channel: telemetry, id: 'm:{name}'}
  - {topic: 'vars/{hub}', channel: telemetry, vars: {eui: payload.eui, slot: payload.slot}, id: 'v:{eui}'}
commands:
  - {command: Power*, topic: 'cmnd/{id}/{command}', payload: text, done: reported, reported: "{command.name: command.data}"}
  - {command: [blink, all], topic: 'cmnd/{id}/{led}', vars: {led: 'item.led'}, each: command.data, data: {on: item.on, of: item.of}, qos: 0}
  - {command: say, topic: 'cmnd/{id}/say', data: {id: command.uuid, ts: command.at, ttl: command.ttl, name: command.name, is: topic.id, x: command.data.x}, retained: true}
  - {command: to, topic: 'cmnd/{id}/to/{path...}', vars: {path: command.data.path}, data: command.value}
  - {command: at, topic: 'cmnd/{id}/{a}-x', vars: {a: command.data}, payload: number, data: '1'}
  - {id: '{id}:{mac}', topic: 'gwset/{room}/{id}/{mac}/{command}'}
  - {id: 'm:{name}', topic: 'manyset/{name...}/set', data: "{command.name: command.data}"}
  - {id: 'v:{eui}', topic: 'varsset/{hub}/{eui}/{slot}', data: command.data}
desired:
  - {property: [POWER*, Dimmer], topic: 'cmnd/{id}/{property}', payload: text, data: string(value)}
  - {only: [a, b*], topic: 'cmnd/{id}/set', retained: true}
  - {property: each, topic: 'cmnd/{id}/each', each: value}
  - {id: 'm:{name}', topic: 'manyset/{name...}/set', omit: x}
ask:
  - {at: birth, topic: 'cmnd/{id}/STATE'}
  - {at: birth, topic: 'cmnd/{id}/Status', data: '5', qos: 0}
  - {at: birth, id: '{id}:{mac}', topic: 'gwset/{room}/{id}/{mac}/get', data: {mac: topic.mac}}
  - {at: start, topic: cmnd/all/STATE, data: "'all'"}
`

// publications are a line for each.
func publications(all []wire.Publication) string {
	var lines []string
	for _, p := range all {
		line := p.Topic + " " + string(p.Payload)
		if p.Retained {
			line += " retained"
		}
		if p.QoS != 1 {
			line += fmt.Sprint(" qos ", p.QoS)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// encoding is a command as it is sent, and what ends it.
func encoding(s wire.Sending, err error) string {
	if err != nil {
		return err.Error()
	}
	text := publications(s.Publications)
	if s.Done {
		text += "\ndone"
	}
	if s.Shows != nil {
		text += "\nshows " + string(s.Shows)
	}
	return text
}

func plugsAddress() *device.Address { return &device.Address{Dialect: "plugs"} }

func TestEncode(t *testing.T) {
	s := load(t, sends)
	gateway := &device.Address{Dialect: "plugs", ID: "{id}:{mac}", Vars: map[string]string{"room": "hall"}}
	many := &device.Address{Dialect: "plugs", ID: "m:{name}"}
	vars := &device.Address{Dialect: "plugs", ID: "v:{eui}", Vars: map[string]string{"hub": "h 1", "slot": "7"}}
	for name, c := range map[string]struct {
		id      device.ID
		to      *device.Address
		command string
		data    string // JSON; "": there is none
		want    string
	}{
		"a beginning of names":         {"plug-1", plugsAddress(), "Power2", `"ON"`, "cmnd/plug-1/Power2 ON\nshows {\"Power2\":\"ON\"}"},
		"the value of an object":       {"plug-1", plugsAddress(), "to", `{"path":"a","value":0}`, "cmnd/plug-1/to/a 0\ndone"},
		"an object without a value":    {"plug-1", plugsAddress(), "to", `{"path":"a"}`, "cmnd/plug-1/to/a \ndone"},
		"without data":                 {"plug-1", plugsAddress(), "Power2", "", "cmnd/plug-1/Power2 \ndone"},
		"no words":                     {"plug-1", plugsAddress(), "reboot", "", "dialect plugs: command reboot: the dialect has no words for this command"},
		"one for each":                 {"plug-1", plugsAddress(), "all", `[{"led":"a","on":true},{"led":"b","of":1}]`, "cmnd/plug-1/a {\"on\":true} qos 0\ncmnd/plug-1/b {\"of\":1} qos 0\ndone"},
		"an empty payload":             {"plug-1", plugsAddress(), "blink", `[{"led":"a"}]`, "cmnd/plug-1/a  qos 0\ndone"},
		"one without the list around":  {"plug-1", plugsAddress(), "all", `{"led":"a","on":true}`, "cmnd/plug-1/a {\"on\":true} qos 0\ndone"},
		"one for each of none":         {"plug-1", plugsAddress(), "all", `[]`, "bad_payload: each: an empty list, so nothing is sent"},
		"one for each of what is not":  {"plug-1", plugsAddress(), "all", `7`, "bad_payload: each: expected a list or an object, found a number"},
		"an element that cannot be":    {"plug-1", plugsAddress(), "all", `[{"led":"a"},{"led":"a/b"}]`, `bad_topic: topic cmnd/{id}/{led}: led is "a/b": expected one level (element 1)`},
		"everything of the command":    {"plug-1", plugsAddress(), "say", `{"x":[1]}`, `cmnd/plug-1/say {"id":"` + device.CommandUUID("c-1") + `","is":"plug-1","name":"say","ts":"2026-11-29T12:00:00.25Z","ttl":1.5,"x":[1]} retained` + "\ndone"},
		"several levels":               {"plug-1", plugsAddress(), "to", `{"path":"a/b","value":null}`, "cmnd/plug-1/to/a/b null\ndone"},
		"a level that is empty":        {"plug-1", plugsAddress(), "to", `{"path":"a//b","value":1}`, `bad_topic: topic cmnd/{id}/to/{path...}: path is "a//b": expected levels that are not empty`},
		"a wildcard":                   {"plug-1", plugsAddress(), "to", `{"path":"a/#","value":1}`, `bad_topic: topic "cmnd/plug-1/to/a/#": expected 1 to 65535 bytes of UTF-8 without wildcards`},
		"a number in a level":          {"plug-1", plugsAddress(), "at", `7.5`, "cmnd/plug-1/7.5-x 1\ndone"},
		"an address with another id":   {"plug-1", &device.Address{Dialect: "plugs", Vars: map[string]string{"id": "plug-2", "command": "x"}}, "Power", `"ON"`, "cmnd/plug-1/Power ON\nshows {\"Power\":\"ON\"}"},
		"what has no text":             {"plug-1", plugsAddress(), "at", `[7]`, "bad_payload: variable a: expected a string, a number, true or false, found a list"},
		"nothing in a level":           {"plug-1", plugsAddress(), "at", ``, `bad_topic: topic cmnd/{id}/{a}-x: a is "": expected one level`},
		"a variable that is known":     {"g:m1", gateway, "on", `{"a":1}`, "gwset/hall/g/m1/on {\"a\":1}\ndone"},
		"a variable that is not known": {"g:m1", &device.Address{Dialect: "plugs", ID: "{id}:{mac}"}, "on", "", "bad_topic: topic gwset/{room}/{id}/{mac}/{command}: {room} is not known yet: the device has not published on a topic that has it"},
		"another one's id":             {"plug-1", gateway, "on", "", "bad_device_id: device plug-1: dialect plugs makes no such id with {id}:{mac}"},
		"an id that is written else":   {"a--zz", plugsAddress(), "Power", `"ON"`, "bad_device_id: device a--zz: dialect plugs makes no such id with {id}"},
		"a name of several levels":     {"m:kitchen--2flamp--201", many, "state", `"ON"`, "manyset/kitchen/lamp 1/set {\"state\":\"ON\"}\ndone"},
		"vars of messages":             {"v:0A", vars, "x", "", "varsset/h 1/0A/7 \ndone"},
		"an id that no entry has":      {"plug-1", &device.Address{Dialect: "plugs", ID: "x:{id}"}, "Power", `"ON"`, "dialect plugs: command Power: the dialect has no words for this command"},
		"a dialect that is not there":  {"plug-1", &device.Address{Dialect: "other"}, "Power", `"ON"`, "device plug-1, which speaks other: its dialect is not among those that are used here (--mqtt-dialect)"},
		"a format that cannot":         {"plug-1", plugsAddress(), "PowerX", `{"a":1}`, "bad_payload: encode text: expected a string, a number or a boolean, found an object"},
		"the service's own":            {"plug-1", nil, "reboot", `{"a":1}`, `devices/plug-1/commands/reboot {"id":"c-1","name":"reboot","ts":1795953600250,"ttl_ms":1500,"data":{"a":1}}`},
	} {
		command := wire.Command{ID: "c-1", Name: c.command, At: now.Add(250 * time.Millisecond), TTL: 1500 * time.Millisecond}
		if c.data != "" {
			command.Data = json.RawMessage(c.data)
		}
		if got := encoding(s.Encode(c.id, c.to, command)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// A list of commands may be hostile, too.
func TestEncodeBounds(t *testing.T) {
	s := load(t, strings.Replace(sends, "each: command.data, data: {on: item.on, of: item.of}", "each: command.data", 1))
	list := func(n int, of string) string {
		return "[" + strings.Repeat(`{"led":"a","of":"`+of+`"},`, n-1) + `{"led":"b"}]`
	}
	for _, c := range []struct{ data, want string }{
		{list(maxSent+1, ""), "bad_payload: each: a list of 101, the limit is 100"},
		{list(maxSent, strings.Repeat("x", 2000)), "cmnd/plug-1/a "},
		{list(maxSent, strings.Repeat("x", 11000)), "bad_payload: each: the value is larger than 262144 bytes"},
	} {
		got := encoding(s.Encode("plug-1", plugsAddress(), wire.Command{Name: "all", Data: json.RawMessage(c.data)}))
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%.100s, want %s", got, c.want)
		}
	}
	s = load(t, strings.Replace(sends, "data: {on: item.on, of: item.of}", "data: command.data", 1))
	got := encoding(s.Encode("plug-1", plugsAddress(), wire.Command{Name: "all", Data: json.RawMessage(list(maxSent, strings.Repeat("x", 200)))}))
	if want := "too_large: the messages have more than 1048576 bytes together (element 48)"; got != want {
		t.Errorf("%.100s, want %s", got, want)
	}
}

// Errors say whether another time could help: a refusal, and a command without words.
func TestEncodeErrors(t *testing.T) {
	s := load(t, sends)
	if _, err := s.Encode("plug-1", plugsAddress(), wire.Command{Name: "reboot"}); !errors.Is(err, wire.ErrNoWords) {
		t.Error(err)
	}
	for _, c := range []wire.Command{{Name: "at", Data: "+"}, {Name: "Power", Data: make(chan int)}, {Name: "Power", Data: json.RawMessage("{")}} {
		refused := (*wire.Refused)(nil)
		if _, err := s.Encode("plug-1", plugsAddress(), c); !errors.As(err, &refused) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestEncodeDesired(t *testing.T) {
	s := load(t, sends)
	for name, c := range map[string]struct {
		id         device.ID
		to         *device.Address
		difference string
		want       string
	}{
		"properties and what is left": {"p", plugsAddress(), `{"b1":2,"POWER2":"ON","Dimmer":10,"a":{"x":[1]},"c":1,"POWER1":"OFF"}`,
			"cmnd/p/Dimmer 10\ncmnd/p/POWER1 OFF\ncmnd/p/POWER2 ON\ncmnd/p/set {\"a\":{\"x\":[1]},\"b1\":2} retained"},
		"no words":       {"p", plugsAddress(), `{"c":1}`, ""},
		"nothing":        {"p", plugsAddress(), `{}`, ""},
		"all but one":    {"m:a--2fb", &device.Address{Dialect: "plugs", ID: "m:{name}"}, `{"x":1,"y":2}`, `manyset/a/b/set {"y":2}`},
		"a list":         {"p", plugsAddress(), `{"each":[1,{"a":2}]}`, "cmnd/p/each 1\ncmnd/p/each {\"a\":2}"},
		"an empty list":  {"p", plugsAddress(), `{"each":[]}`, ""},
		"one that can't": {"p", plugsAddress(), `{"POWER/x":"ON","POWER":"ON","each":1}`, "cmnd/p/POWER ON\nbad_topic: topic cmnd/{id}/{property}: property is \"POWER/x\": expected one level\nbad_payload: each: expected a list or an object, found a number"},
		"not an object":  {"p", plugsAddress(), `[1]`, "bad_payload: the desired state: json: cannot unmarshal array into Go value of type map[string]interface {}"},
		"standard":       {"p", nil, `{"a":1}`, ""},
	} {
		all, err := s.EncodeDesired(c.id, c.to, []byte(c.difference))
		got := publications(all)
		if err != nil {
			got = strings.TrimPrefix(got+"\n"+err.Error(), "\n")
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestQuestions(t *testing.T) {
	s := load(t, sends)
	for _, c := range []struct {
		to   *device.Address
		id   device.ID
		want string
	}{
		{plugsAddress(), "p", "cmnd/p/STATE \ncmnd/p/Status 5 qos 0"},
		{&device.Address{Dialect: "plugs", ID: "{id}:{mac}", Vars: map[string]string{"room": "r"}}, "g:m", `gwset/r/g/m/get {"mac":"m"}`},
		{&device.Address{Dialect: "plugs", ID: "{id}:{mac}"}, "g:m", ""}, // the room is not known yet
		{&device.Address{Dialect: "other"}, "p", ""},
		{nil, "p", ""},
	} {
		if got := publications(s.Questions(c.id, c.to)); got != c.want {
			t.Errorf("%s: %s, want %s", c.id, got, c.want)
		}
	}
	if got, want := publications(s.Opening()), `cmnd/all/STATE "all"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A message says how its device is reached: what the id does not say, and what is sent needs.
func TestFrom(t *testing.T) {
	s := load(t, sends)
	for topic, want := range map[string]*device.Address{
		"tele/a/STATE":   {Dialect: "plugs"},
		"gw/hall/g/m":    {Dialect: "plugs", ID: "{id}:{mac}", Vars: map[string]string{"room": "hall"}},
		"many/a/b/state": {Dialect: "plugs", ID: "m:{name}"},
		"vars/h":         {Dialect: "plugs", ID: "v:{eui}", Vars: map[string]string{"hub": "h", "slot": "7"}},
		"gw/" + strings.Repeat("r", maxRemembered+1) + "/g/m": {Dialect: "plugs", ID: "{id}:{mac}"}, // the twin would keep it
	} {
		received, err := s.Decode(topic, []byte(`{"eui":"0A","slot":7}`), false, now)
		if err != nil {
			t.Fatal(topic, ": ", err)
		}
		if got := received[0].Message.From; !reflect.DeepEqual(got, want) {
			t.Errorf("%.40s: %+v, want %+v", topic, got, want)
		}
	}
	received, err := load(t, asItIs).Decode("s/d", []byte("{}"), false, now)
	if err != nil || received[0].Message.From != nil {
		t.Errorf("nothing is sent, from %+v, %v", received, err)
	}
}
