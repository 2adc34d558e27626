package dialect

import (
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/wire"
)

// Whatever is wrong with what is sent, is reported with its place.
func TestOutgoingFaults(t *testing.T) {
	const topics = "dialect: d\ntopics:\n  - {topic: 'tele/{id}/STATE', channel: telemetry}\n  - {topic: 'hub/{hub}/{name...}/up', channel: telemetry, id: '{hub}:{name}'}\n"
	for text, want := range map[string]string{
		"commands: []":                                                               "commands: expected at least one",
		"commands: [{topic: ''}]":                                                    "topic: it is empty",
		"commands: [{}]":                                                             `key "topic" is missing`,
		"commands: [{topic: 'a/{id}', comand: x}]":                                   `did you mean "command"?`,
		"commands: [{topic: 'a/+/{id}'}]":                                            "expected a topic to publish to, without + and #",
		"commands: [{topic: 'a/{id}/#'}]":                                            "expected a topic to publish to, without + and #",
		"commands: [{topic: 'a/{id'}]":                                               "expected one variable in a level",
		"commands: [{topic: 'bridge/{id}/status'}]":                                  "it takes in bridge/x/status, which is the service's own",
		"commands: [{topic: 'cmnd/{id}/{comand}'}]":                                  `topic "cmnd/{id}/{comand}": {comand} is neither in the id "{id}", nor in a topic or in vars of such devices, nor in vars here`,
		"commands: [{topic: 'cmnd/{id}/{name}'}]":                                    `{name} is neither in the id "{id}"`,
		"commands: [{topic: 'cmnd/{id}', id: '{mac}'}]":                              `device id "{mac}": no topic has devices with it; those that there are: {id}, {hub}:{name}`,
		"commands: [{topic: 'cmnd/{hub}/{name}', id: '{hub}:{name}'}]":               "{name} may stand for several levels, as in topics of the devices: expected {name...} in a level of its own",
		"commands: [{topic: 'cmnd/{id}', vars: {id: '1'}}]":                          `variable "id": expected another name: it is known without vars`,
		"commands: [{topic: 'cmnd/{id}/{command}', vars: {command: '1'}}]":           `variable "command": expected another name`,
		"commands: [{topic: 'cmnd/{id}', data: topic.hub}]":                          `topic.hub: neither in the id "{id}", nor in a topic or in vars of such devices`,
		"commands: [{topic: 'cmnd/{id}', data: payload.x}]":                          "payload",
		"commands: [{topic: 'cmnd/{id}', data: {t: command.ts, x: command.data.x}}]": "command.ts: expected one of id, uuid, name, data, value, at, ttl",
		"commands: [{topic: 'cmnd/{id}', vars: {x: command.nam}}]":                   `did you mean "name"?`,
		"commands: [{topic: 'cmnd/{id}', data: item.x}]":                             "item: expected each",
		"commands: [{topic: 'cmnd/{id}', each: \"'x'\"}]":                            "each: expected a list",
		"commands: [{topic: 'cmnd/{id}', qos: 2}]":                                   "expected an integer from 0 to 1, found 2",
		"commands: [{topic: 'cmnd/{id}', payload: csv}]":                             "payload: csv: payloads can only be read",
		"commands: [{topic: 'cmnd/{id}', payload: {format: bytes, layout: [{name: a, type: u16}, {name: b, type: u8, at: 0}]}}]": "payload: bytes: fields of the layout overlap",
		"commands: [{topic: 'cmnd/{id}', command: 'a b'}]":                                                                       `command "a b": expected 1 to 64 letters`,
		"commands: [{topic: 'cmnd/{id}', command: 'a*b'}]":                                                                       "expected a name, or the beginning of names and then *",
		"commands: [{topic: 'cmnd/{id}', done: answerd}]":                                                                        `did you mean "answered"?`,
		"commands: [{topic: 'cmnd/{id}', done: answered}]":                                                                       "there is nothing on the channel answers",
		"commands: [{topic: 'cmnd/{id}', done: reported}]":                                                                       "done: reported: expected reported, the state that the device then has",
		"commands: [{topic: 'cmnd/{id}', reported: '{}'}]":                                                                       "reported: expected done: reported with it",
		"commands: [{topic: 'cmnd/{id}', done: sent, reported: '{}'}]":                                                           "reported: expected done: reported with it",
		"commands: [{topic: 'cmnd/{id}', each: '[1]', done: reported, reported: '{\"a\": item}'}]":                               "item: what the device reports is of the command",
		"commands: [{topic: 'a/{id}'}, {command: x, topic: 'b/{id}'}]":                                                           "it is never used: the entry at line 5 takes every command",
		"commands: [{command: [x, Po*], topic: 'a/{id}'}, {command: [y, Power*, x], topic: 'b/{id}'}]":                           `command "Power*": the entry at line 5 takes it before this one`,
		"commands: [{topic: 'tele/{id}/STATE'}]":                                                                                 "what is sent would be read as a message of a device, on topic \"tele/{id}/STATE\"",
		"commands: [{command: STATE, topic: 'tele/{id}/{command}'}]":                                                             "what is sent would be read as a message of a device",
		"commands: [{id: '{hub}:{name}', topic: 'hub/{hub}/{name...}/up'}]":                                                      "what is sent would be read as a message of a device",
		"desired: [{property: '*', topic: 'a/{id}'}]":                                                                            `member "*": expected a name`,
		"desired: [{property: a, topic: 'a/{id}', only: b}]":                                                                     "only: expected it without property",
		"desired: [{property: a, topic: 'a/{id}', data: desired}]":                                                               "desired",
		"desired: [{topic: 'a/{id}', data: value}]":                                                                              "value",
		"desired: [{topic: 'a/{id}/{property}'}]":                                                                                "{property} is neither in the id",
		"desired: [{topic: 'a/{id}', only: [a, b*]}, {property: bc, topic: 'a/{id}'}]":                                           `property "bc": the entry at line 5 takes it before this one`,
		"desired: [{topic: 'a/{id}'}, {property: a, topic: 'b/{id}'}]":                                                           "it is never used: the entry at line 5 takes every property",
		"ask: [{topic: 'a/{id}'}]":                                                                                               `key "at" is missing`,
		"ask: [{at: brith, topic: 'a/{id}'}]":                                                                                    `did you mean "birth"?`,
		"ask: [{at: start, topic: 'a/{id}'}]":                                                                                    "{id}: what is asked at a start is for all devices, so its topic has no variables",
		"ask: [{at: start, topic: a, id: '{id}'}]":                                                                               "id: what is asked at a start is for all devices",
		"ask: [{at: start, topic: a, data: topic.id}]":                                                                           "topic.id: what is asked at a start is for all devices",
		"ask: [{at: birth, topic: 'a/{id}', each: '[1]'}]":                                                                       `unknown key "each"`,
		"ask: [{at: start, topic: tele/x/STATE}]":                                                                                "what is sent would be read as a message of a device",
	} {
		_, err := Load("d.yaml", []byte(topics+text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		} else if !strings.Contains(err.Error(), "d.yaml:5:") {
			t.Errorf("%s: without its place: %v", text, err)
		}
	}
}

// All faults of both directions are found at once.
func TestOutgoingFaultsAtOnce(t *testing.T) {
	_, err := Load("d.yaml", []byte("dialect: d\ntopics: [{topic: 'a/{id', channel: telemetry}]\ncommands: [{topic: '+/x'}]\nask: [{at: x, topic: a}]\ndesired: [{}]"))
	for _, want := range []string{"one variable in a level", "without + and #", `at "x"`, `key "topic" is missing`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing: %v", want, err)
		}
	}
}

// Where the same is on an ignored topic, or nothing reads it, it can be sent.
func TestEchoesThatAreIgnored(t *testing.T) {
	for _, text := range []string{
		"topics: [{topic: 'z/{id...}', channel: telemetry}, {topic: 'z/{id...}/set', channel: ignored}]\ncommands: [{topic: 'z/{id...}/set'}]",
		"topics: [{topic: 'z/{id}', channel: telemetry}]\ncommands: [{topic: 'z/{id}/set'}]",
		"topics: [{topic: 'z/{id}/on', channel: telemetry}]\ncommands: [{topic: 'z/{id}/{command}'}]", // but for the command on
	} {
		if _, err := Load("d.yaml", []byte("dialect: d\n"+text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What only a name or an id shows is refused when it is sent.
func TestEchoesOfOneDevice(t *testing.T) {
	s := load(t, "dialect: plugs\ntopics: [{topic: 'z/{id}/on', channel: telemetry}, {topic: '{id}/x', channel: ignored}]\ncommands: [{command: go, topic: '{id}/telemetry'}, {topic: 'z/{id}/{command}'}]")
	for _, c := range []struct{ id, command, want string }{
		{"d", "on", `bad_topic: topic "z/d/on": dialect plugs would read it as a message of a device, on topic "z/{id}/on"`},
		{"d", "off", "z/d/off \ndone"},
		{"d", "go", "d/telemetry \ndone"},
		{"devices--2fx", "go", `bad_topic: topic {id}/telemetry: id is "devices/x": expected one level`},
		{"devices", "go", `bad_topic: topic "devices/telemetry": it is the service's own`},
		{"--24SYS", "go", `bad_topic: topic "$SYS/telemetry" is not one of {id}/telemetry`},
		{"--2b", "off", `bad_topic: topic "z/+/off": expected 1 to 65535 bytes of UTF-8 without wildcards`},
		{"a--00", "off", `bad_topic: topic "z/a\x00/off": expected 1 to 65535 bytes of UTF-8 without wildcards`},
	} {
		if got := encoding(s.Encode(device.ID(c.id), plugsAddress(), wire.Command{ID: "1", Name: c.command})); got != c.want {
			t.Errorf("%s %s: %s\nwant %s", c.id, c.command, got, c.want)
		}
	}
}

// A command must not teach a dialect what is on the topics of devices.
func TestNothingIsSentToTopicsOfDiscovery(t *testing.T) {
	const learns = "dialect: learns\ndiscovery: {prefix: ha}\nsubscribe: [ha/#, l/#]\ntopics: [{topic: 'l/{id}', channel: telemetry}]\n"
	s := loadWith(t, wire.DefaultConfig(), learns, "dialect: plugs\ntopics: [{topic: '{id}/x', channel: telemetry}]\ncommands: [{command: deep, topic: '{id}/sensor/{a}/config', vars: {a: command.data}}, {topic: '{id}/{command}'}]")
	for _, c := range []struct{ id, command, want string }{
		{"ha", "deep", `bad_topic: topic "ha/sensor/e/config": it is one of discovery messages`},
		{"h2", "deep", "h2/sensor/e/config \"e\"\ndone"},
	} {
		if got := encoding(s.Encode(device.ID(c.id), plugsAddress(), wire.Command{ID: "1", Name: c.command, Data: "e"})); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.id, got, c.want)
		}
	}
	var all []*Dialect
	for _, text := range []string{learns, "dialect: d\ntopics: [{topic: 'd/{id}', channel: telemetry}]\ncommands: [{topic: 'ha/sensor/{id}/config'}]"} {
		d, err := Load("d.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	if _, err := NewSet(wire.DefaultConfig(), all...); err == nil || !strings.Contains(err.Error(), `dialect d: sends to topic "ha/sensor/{id}/config"`) {
		t.Error(err)
	}
}

// What one dialect sends, another one must not read.
func TestEchoesOfAnotherDialect(t *testing.T) {
	var all []*Dialect
	for _, text := range []string{
		"dialect: a\ntopics: [{topic: 'a/{id}', channel: telemetry}]\ncommands: [{topic: 'b/{id}/set'}]\ndesired: [{topic: 'devices/{id}/x'}]",
		"dialect: b\ntopics: [{topic: 'b/{id}/{what}', channel: telemetry}]",
	} {
		d, err := Load("d.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	_, err := NewSet(wire.DefaultConfig(), all...)
	for _, want := range []string{
		`dialect a: sends to topic "b/{id}/set": topic "b/something/set": dialect b would read it as a message of a device, on topic "b/{id}/{what}"`,
		`dialect a: sends to topic "devices/{id}/x": topic "devices/something/x": it is the service's own`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// A topic that does not distinguish devices is noted: it may be right, as of the one bridge that there is.
func TestNotes(t *testing.T) {
	const topics = "dialect: d\nid: '{site}:{machine}'\ntopics: [{topic: 'p/{site}/{line}/{machine}', channel: telemetry}, {topic: 'gw/{gw}', channel: telemetry, vars: {m: payload.m}, id: 'g:{m}'}]\n"
	for text, want := range map[string]string{
		"commands: [{topic: 'c/{machine}'}]":                                   `line 4: topic "c/{machine}": devices are sent the same whose ids "{site}:{machine}" differ in {site} only, which is neither in the topic nor read in an expression`,
		"desired: [{property: x, topic: 'c/x'}]":                               `line 4: topic "c/x": devices are sent the same whose ids "{site}:{machine}" differ in {site}, {machine} only, which is neither in the topic nor read in an expression`,
		"ask: [{at: birth, topic: 'c/all'}, {at: start, topic: 'c/all'}]":      `line 4: topic "c/all": devices are sent the same whose ids "{site}:{machine}" differ in {site}, {machine} only, which is neither in the topic nor read in an expression`,
		"commands: [{topic: 'c/{site}/{machine}'}]":                            "",
		"commands: [{topic: 'c/{machine}', data: {s: topic.site}}]":            "",
		"commands: [{topic: 'c/{machine}/{x}', vars: {x: topic.site}}]":        "",
		"commands: [{topic: 'c/{machine}', data: topic}]":                      "",
		"commands: [{topic: 'c/{line}/{machine}'}]":                            "", // the line may say the site
		"commands: [{id: 'g:{m}', topic: 'gw/{gw}/down'}]":                     "",
		"commands: [{id: 'g:{m}', topic: 'gw/{gw}/down', data: {m: topic.m}}]": "",
	} {
		d, err := Load("d.yaml", []byte(topics+text))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(d.Notes(), "\n"); got != want {
			t.Errorf("%s: %s\nwant %s", text, got, want)
		}
	}
}
