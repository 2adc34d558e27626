package dialect

import (
	"strings"
	"testing"
)

// samplesOfSends has a sample for each entry of sends.
const samplesOfSends = `samples:
  - {command: {device: plug-1, name: Power, data: "ON"}, sends: {topic: cmnd/plug-1/Power, payload: "ON"}, shows: {Power: "ON"}, done: false}
  - {command: {device: plug-1, name: all, data: [{led: a, "on": true}, {led: b}]}, done: true,
     sends: [{topic: cmnd/plug-1/a, payload: {on: true}, qos: 0}, {topic: cmnd/plug-1/b, qos: 0}]}
  - {command: {device: p, name: say, data: {x: "'"}, ttl: 1m}, sends: {topic: cmnd/p/say, retained: true, payload:
     '{"id":"8d99169b-2ed0-503e-af8d-5dfe9f9aab78","is":"p","name":"say","ts":"2026-01-01T12:00:00Z","ttl":60,"x":"''"}'}}
  - {command: {device: p, name: to, data: {path: a/b}}, sends: {topic: cmnd/p/to/a/b}}
  - {command: {device: p, name: to, data: {path: +}}, outcome: bad_topic}
  - {command: {device: p, name: reboot}, outcome: no_words}
  - {command: {device: p, name: at, data: 1}, sends: {topic: cmnd/p/1-x, payload: 1}}
  - {command: {device: "g:m", id: "{id}:{mac}", vars: {room: hall}, name: x}, sends: {topic: gwset/hall/g/m/x}}
  - {command: {device: "m:a--2fb", id: "m:{name}", name: x, data: 1}, sends: {topic: manyset/a/b/set, payload_hex: 7b2278223a317d}}
  - {command: {device: "v:e", id: "v:{eui}", vars: {hub: h, slot: 7}, name: x, data: [1]}, sends: {topic: varsset/h/e/7, payload: [1]}}
  - {desired: {device: p, state: {POWER1: "ON", x: 1}}, sends: {topic: cmnd/p/POWER1, payload: "ON"}}
  - {desired: {device: p, state: {a: 1}}, sends: {topic: cmnd/p/set, payload: {a: 1}, retained: true}}
  - {desired: {device: p, state: {each: 7, a: 1}}, outcome: bad_payload, sends: {topic: cmnd/p/set, payload: {a: 1}, retained: true}}
  - {desired: {device: p, state: {each: [7]}}, sends: {topic: cmnd/p/each, payload: 7}}
  - {desired: {device: p, state: {c: 7}}, sends: []}
  - {desired: {device: "m:a", id: "m:{name}", state: {c: 7}}, sends: {topic: manyset/a/set, payload: {c: 7}}}
  - {birth: p, sends: [{topic: cmnd/p/STATE}, {topic: cmnd/p/Status, payload: 5, qos: 0}]}
  - {birth: {device: "g:m", id: "{id}:{mac}", vars: {room: hall}}, sends: {topic: gwset/hall/g/m/get, payload: {mac: m}}}
  - {start: true, sends: {topic: cmnd/all/STATE, payload: '"all"'}}
`

func TestSamplesOfWhatIsSent(t *testing.T) {
	set := load(t, sends)
	samples, err := LoadSamples("s.yaml", []byte(samplesOfSends))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if err := s.Check(set); err != nil {
			t.Error(err)
		}
	}
	if entries := set.dialects[0].Unsent(samples); len(entries) > 0 {
		t.Errorf("no sample: %q", entries)
	}
	want := []string{
		"line 9, topic cmnd/{id}/{command}", "line 10, topic cmnd/{id}/{led}", "line 11, topic cmnd/{id}/say", "line 12, topic cmnd/{id}/to/{path...}",
		"line 13, topic cmnd/{id}/{a}-x", "line 14, topic gwset/{room}/{id}/{mac}/{command}", "line 15, topic manyset/{name...}/set", "line 16, topic varsset/{hub}/{eui}/{slot}",
		"line 18, topic cmnd/{id}/{property}", "line 19, topic cmnd/{id}/set", "line 20, topic cmnd/{id}/each", "line 21, topic manyset/{name...}/set",
		"line 23, topic cmnd/{id}/STATE", "line 24, topic cmnd/{id}/Status", "line 25, topic gwset/{room}/{id}/{mac}/get", "line 26, topic cmnd/all/STATE",
	}
	if got := set.dialects[0].Unsent(nil); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

// A sample that says something else fails, whatever it is.
func TestSamplesOfWhatIsSentFail(t *testing.T) {
	set := load(t, sends)
	const power = "command: {device: p, name: Power, data: 'ON'}, "
	for text, want := range map[string]string{
		power + "sends: {topic: cmnd/p/Power, payload: 'OFF'}":                "sample at line 1, command: it sends\n  {topic: cmnd/p/Power, payload: 'ON'}\nexpected\n  {topic: cmnd/p/Power, payload: 'OFF'}",
		power + "sends: {topic: cmnd/p/power, payload: 'ON'}":                 "expected\n  {topic: cmnd/p/power, payload: 'ON'}",
		power + "sends: {topic: cmnd/p/Power, payload: 'ON', retained: true}": "expected\n  {topic: cmnd/p/Power, payload: 'ON', retained: true}",
		power + "sends: {topic: cmnd/p/Power, payload: 'ON', qos: 0}":         "expected\n  {topic: cmnd/p/Power, payload: 'ON', qos: 0}",
		power + "sends: []": "expected\n  nothing",
		power + "sends: {topic: cmnd/p/Power, payload: {a: 1}}":                                          `expected` + "\n" + `  {topic: cmnd/p/Power, payload: '{"a":1}'}`,
		power + "sends: {topic: cmnd/p/Power, payload: 'ON'}, done: true":                                "done is false; expected true",
		power + "sends: {topic: cmnd/p/Power, payload: 'ON'}, shows: {Power: 'OFF'}":                     `shows is {"Power":"ON"}; expected {"Power":"OFF"}`,
		power + "outcome: no_words":                                                                      "1 are sent; expected no_words",
		"command: {device: p, name: at, data: 1}, sends: {topic: cmnd/p/1-x, payload: 1}, shows: {a: 1}": `shows is nothing; expected {"a":1}`,
		"command: {device: p, name: at, data: '+'}, outcome: no_words":                                   "expected no_words",
		"command: {device: p, name: reboot}, sends: {topic: a}":                                          "no words for this command; expected what it sends",
		"command: {device: p, name: x, vars: {room: r}}, outcome: no_words":                              "variable room: the address of a device {id} has none of the name",
		"command: {device: p, name: x, id: '{'}, outcome: no_words":                                      `id "{": expected variables`,
		"desired: {device: p, state: {POWER/x: 1}}, sends: []":                                           "expected one level; expected what it sends",
		"birth: p, sends: {topic: cmnd/p/STATE}":                                                         "it sends\n  {topic: cmnd/p/STATE}\n  {topic: cmnd/p/Status, payload: '5', qos: 0}\nexpected\n  {topic: cmnd/p/STATE}",
		"start: true, sends: {topic: cmnd/all/STATE, payload_hex: '00'}":                                 "payload_hex: 00",
	} {
		samples, err := LoadSamples("s.yaml", []byte("samples: [{"+text+"}]"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if err := samples[0].Check(set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
	if err := (&Sample{sent: &sent{occasion: "start"}, Dialect: "other"}).Check(set); err == nil {
		t.Error("a dialect that there is not")
	}
}

func TestFaultsOfSamplesOfWhatIsSent(t *testing.T) {
	for text, want := range map[string]string{
		"command: {device: p}, sends: []":                                                 `key "name" is missing`,
		"command: {name: p}, sends: []":                                                   `key "device" is missing`,
		"command: {device: A/b, name: p}, sends: []":                                      `kind "A"`,
		"command: {device: p, name: x, dta: 1}, sends: []":                                `did you mean "data"?`,
		"command: {device: p, name: x}":                                                   "expected sends, or outcome",
		"command: {device: p, name: x}, outcome: nowords":                                 `outcome "nowords": expected one of no_words, bad_topic`,
		"command: {device: p, name: x}, outcome: no_words, sends: {topic: a}":             "expected outcome or sends",
		"command: {device: p, name: x}, sends: {topic: a/+}":                              "without wildcards",
		"command: {device: p, name: x}, sends: {payload: a}":                              `key "topic" is missing`,
		"command: {device: p, name: x}, sends: {topic: a, payload: b, payload_hex: '00'}": "expected one of payload, payload_hex",
		"command: {device: p, name: x}, sends: {topic: a}, topic: b":                      "topic: expected none where something is sent",
		"desired: {device: p, state: [1]}, sends: []":                                     "expected a mapping",
		"desired: {device: p}, sends: []":                                                 `key "state" is missing`,
		"birth: p, sends: [], done: true":                                                 "done: only a command is done",
		"birth: p, desired: {device: p, state: {}}, sends: []":                            "birth: expected none where something is sent",
		"start: false, sends: []":                                                         "start: expected true",
		"topic: a, payload: b, outcome: ignored, sends: []":                               "sends: expected command, desired, birth, start with it",
	} {
		if _, err := LoadSamples("s.yaml", []byte("samples: [{"+text+"}]")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
}
