package dialect

import (
	"strings"
	"testing"
	"time"
)

const sending = plug + `
commands:
  - {command: POWER*, topic: 'cmnd/{id}/{command}', payload: text, done: reported, reported: "{command.name: command.data}"}
  - {command: clock, topic: 'cmnd/{id}/clock', data: {at: command.at, ttl: command.ttl}, retained: true, qos: 0}
  - {command: raw, topic: 'cmnd/{id}/raw', payload: {format: text, encoded: hex}, done: answered}
  - {topic: 'gw/{room}/{id}/{mac}/set', id: '{id}:{mac}'}
  - {topic: 'cmnd/{id}/{command}'}
desired:
  - {property: POWER*, topic: 'cmnd/{id}/{property}', payload: text}
  - {only: [a, b*], topic: 'cmnd/{id}/set'}
  - {id: '{id}:{mac}', topic: 'gw/{room}/{id}/{mac}/want'}
ask:
  - {at: birth, topic: 'cmnd/{id}/STATE'}
  - {at: start, topic: cmnd/plugs/STATE}
`

func sendingFile(t *testing.T, samples string) string {
	text := strings.Replace(sending, "  - topic: t/{id}/lwt", "  - {topic: 'ack/{id}', channel: answers}\n  - {topic: 'gw/{room}/{id}/{mac}/up', channel: telemetry, id: '{id}:{mac}'}\n  - topic: t/{id}/lwt", 1)
	return files(t, text, samples)
}

func TestCheckListsWhatIsSent(t *testing.T) {
	want := `plug: ok
  command POWER*: cmnd/{id}/{command}, done when the device reports it
  command clock: cmnd/{id}/clock, done when it is answered
  command raw: cmnd/{id}/raw, done when it is answered
  every command: gw/{room}/{id}/{mac}/set of {id}:{mac}, done when it is answered
  every other command: cmnd/{id}/{command}, done when it is answered
  desired POWER*: cmnd/{id}/{property}
  desired a, b* together: cmnd/{id}/set
  desired properties: gw/{room}/{id}/{mac}/want of {id}:{mac}
  question after a birth: cmnd/{id}/STATE
  question at a start: cmnd/plugs/STATE
a bridge`
	if got := ran((&checkCommand{names{[]string{sendingFile(t, "")}}}).Run); !strings.HasPrefix(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Entities of other kinds are sent what the words for their kind say, and devices nothing of it.
func TestTryWhatEntitiesAreSent(t *testing.T) {
	const shops = `
dialect: shops
kind: shop
id: "{city}:{nr}"
topics:
  - {topic: 'shops/{city}/{nr}/state', channel: reported}
  - {topic: 'crm/{id}/changed', channel: reported, kind: customer, id: '{id}'}
  - {topic: 'pos/{line}/{id}/up', channel: telemetry, kind: device, id: '{id}'}
commands:
  - {topic: 'shops/{city}/{nr}/do/{command}'}
  - {topic: 'crm/{id}/do/{command}', kind: customer, id: '{id}'}
  - {topic: 'pos/{line}/{id}/do/{command}', kind: device, id: '{id}'}
desired:
  - {topic: 'crm/{id}/set', kind: customer, id: '{id}'}
`
	path := files(t, shops, "")
	for _, c := range []struct {
		sent sent
		want string
	}{
		{sent{Command: "close", Device: "shop/bonn:7"}, "{topic: shops/bonn/7/do/close}\ndone when it is sent\n"},
		{sent{Command: "coupon", Device: "customer/4711", ID: "{id}"}, "{topic: crm/4711/do/coupon}\ndone when it is sent\n"},
		{sent{Command: "reboot", Device: "till-1", ID: "{id}", Var: map[string]string{"line": "a"}}, "{topic: pos/a/till-1/do/reboot}\ndone when it is sent\n"},
		{sent{Command: "coupon", Device: "customer/4711"}, "error: dialect shops: command coupon: the dialect has no words for this command"},
		{sent{Command: "close", Device: "bonn:7"}, "error: dialect shops: command close: the dialect has no words for this command"},
		{sent{Command: "close", Device: "shop/bonn"}, "error: bad_device_id: shop bonn: dialect shops makes no such id with shop/{city}:{nr}"},
		{sent{Command: "close", Device: "device/bonn:7"}, `error: --device: kind "device": expected ^[a-z][a-z0-9-]{0,31}$, other than device`},
		{sent{Command: "coupon", Device: "customer/4711", ID: "{id}", Var: map[string]string{"line": "a"}}, `error: variable line: the address of a device customer/{id} has none of the name, but []`},
		{sent{Command: "coupon", Device: "customer/4711", ID: "{id"}, `error: id "{id": `},
	} {
		if got := ran((&tryCommand{path, "", "-", time.Time{}, c.sent}).Run); !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %s\nwant %s", c.sent, got, c.want)
		}
	}
	if got := ran((&tryCommand{path, `{"vip":true}`, "-", time.Time{}, sent{Desired: true, Device: "customer/4711", ID: "{id}"}}).Run); got != "{topic: crm/4711/set, payload: '{\"vip\":true}'}\n" {
		t.Error(got)
	}
	if got := ran((&tryCommand{path, "crm/4711/changed", `{"vip":true}`, time.Unix(1e9, 0), sent{}}).Run); !strings.Contains(got, "device: customer/4711") {
		t.Error(got)
	}
}

func TestTryWhatIsSent(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	path := sendingFile(t, "")
	room := map[string]string{"room": "hall"}
	for _, c := range []struct {
		data string
		sent sent
		want string
	}{
		{"ON", sent{Command: "POWER1", Device: "p"}, "{topic: cmnd/p/POWER1, payload: 'ON'}\ndone when the device reports {\"POWER1\":\"ON\"}\n"},
		{"", sent{Command: "clock", Device: "p", TTL: time.Second}, "{topic: cmnd/p/clock, payload: '{\"at\":\"2026-01-01T00:00:00Z\",\"ttl\":1}', retained: true, qos: 0}\ndone when it is answered\n"},
		{`{"a":1}`, sent{Command: "x", Device: "p"}, "{topic: cmnd/p/x, payload: '{\"a\":1}'}\ndone when it is answered\n"},
		{"it's", sent{Command: "raw", Device: "p"}, "{topic: cmnd/p/raw, payload: '69742773'}\ndone when it is answered\n"},
		{"", sent{Command: "x", Device: "p:m", ID: "{id}:{mac}", Var: room}, "{topic: gw/hall/p/m/set}\ndone when it is answered\n"},
		{"", sent{Command: "x", Device: "p:m", ID: "{id}:{mac}"}, "error: bad_topic: topic gw/{room}/{id}/{mac}/set: {room} is not known yet: the device has not published on a topic that has it"},
		{"", sent{Command: "x", Device: "p", ID: "{mac}"}, "error: dialect plug: command x: the dialect has no words for this command"},
		{"", sent{Command: "a b", Device: "p"}, `error: command "a b": expected 1 to 64 letters, digits and ._-`},
		{"", sent{Command: "x"}, "error: expected --device, to which it is sent"},
		{"", sent{Command: "x", Device: "A/b"}, `error: --device: kind "A": expected ^[a-z][a-z0-9-]{0,31}$, other than device`},
		{"a=1", sent{Desired: true, Device: "p"}, `error: desired properties "a=1": expected a JSON object, such as '{"speed": 7}'`},
		{"null", sent{Desired: true, Device: "p"}, `error: desired properties "null": expected a JSON object, such as '{"speed": 7}'`},
		{"", sent{Command: "x", Device: "p", Desired: true}, "error: expected --command or --desired"},
		{`{"a":1}`, sent{Desired: true, Device: "p", TTL: time.Second}, "error: --ttl: expected --command with it: desired properties have no time to live"},
		{"t/a", sent{Device: "p"}, "error: --device, --id, --var and --ttl: expected --command or --desired with them"},
		{`{"POWER1":"ON","a":1,"c":2}`, sent{Desired: true, Device: "p"}, "{topic: cmnd/p/POWER1, payload: 'ON'}\n{topic: cmnd/p/set, payload: '{\"a\":1}'}\n"},
		{`{"POWER/":"ON","a":1}`, sent{Desired: true, Device: "p"}, "{topic: cmnd/p/set, payload: '{\"a\":1}'}\nerror: bad_topic: topic cmnd/{id}/{property}: property is \"POWER/\": expected one level"},
		{`{"c":2}`, sent{Desired: true, Device: "p"}, "error: nothing is sent: the dialect has no words for it"},
	} {
		if got := ran((&tryCommand{path + ",tasmota", c.data, "-", at, c.sent}).Run); got != c.want {
			t.Errorf("%s %+v: %s\nwant %s", c.data, c.sent, got, c.want)
		}
	}
	if got := ran((&tryCommand{path, "a", "b", at, sent{Command: "x", Device: "p"}}).Run); got != `error: "b": expected data in one argument` {
		t.Error(got)
	}
}

// Samples of what is sent are compared, and entries without one are named.
func TestSamplesOfWhatIsSentAreCompared(t *testing.T) {
	path := sendingFile(t, "samples:\n  - {command: {device: p, name: x}, sends: {topic: cmnd/p/x}}\n  - {birth: p, sends: {topic: cmnd/p/y}}\n")
	got := ran((&testCommand{names{[]string{path}}}).Run)
	for _, want := range []string{
		"plug: sample at line 3, birth: it sends\n  {topic: cmnd/p/STATE}\nexpected\n  {topic: cmnd/p/y}\n",
		"plug: no sample sends by the entry at line 14, topic cmnd/{id}/clock\n", "topic cmnd/plugs/STATE\n",
		"error: samples with other results than expected: 1",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	if strings.Contains(got, "line 17, ") {
		t.Errorf("an entry that has a sample: %s", got)
	}
}
