package dialect

import (
	"fmt"
	"strings"
	"testing"
)

const lora = `
dialect: d
topics:
  - topic: up/{id}
    messages:
      - channel: telemetry
        inside: {member: payload.data, format: bytes, encoded: hex, layout: [{name: t, type: i16, scale: 0.5}, {name: on, type: bool}]}
        when: "!has(payload.only) || inside.on"
        data: {t: inside.t, warm: inside.t > 10, has: has(inside.t), text: "string(inside.t)", other: "has(payload.object) ? payload.object.t : inside.t"}
      - channel: reported
        inside: {member: payload.text, format: json}
        data: inside
      - channel: events
        inside: {member: payload.list, format: json}
        each: inside.all
        name: x
        data: {n: item}
`

func TestInside(t *testing.T) {
	set := load(t, lora)
	for payload, want := range map[string]string{
		`{"data":"002b01"}`:                   `{"has":true,"other":21.5,"t":21.5,"text":"21.5","warm":true}`,
		`{"data":"00 02 00"}`:                 `{"has":true,"other":1,"t":1,"text":"1","warm":false}`,
		`{"data":"000201","only":1}`:          `{"has":true,"other":1,"t":1,"text":"1","warm":false}`,
		`{"data":"000200","only":1}`:          `unmapped`,
		`{"data":null}`:                       `{"has":false}`,
		`{"object":{"t":3}}`:                  `{"has":false,"other":3}`,
		`{"only":1}`:                          `unmapped`,
		`{"only":1,"text":"{\"a\":[1]}"}`:     `{"state":{"reported":{"a":[1]}}}`,
		`{"only":1,"text":"[1]"}`:             `{"state":{"reported":{"value":[1]}}}`,
		`{"only":1,"list":"{\"all\":[1,2]}"}`: `{"n":1} {"n":2}`,
		`{"only":1,"list":"{}"}`:              `unmapped`,
		`{"data":"0002"}`:                     `bad_payload: inside: bytes:`,
		`{"data":"x"}`:                        `bad_payload: inside: hex:`,
		`{"data":7}`:                          `bad_payload: inside: expected a string, found a number`,
		`{"data":{}}`:                         `bad_payload: inside: expected a string, found an object`,
		`{"only":1,"text":"{"}`:               `bad_payload: inside: json:`,
	} {
		received, err := set.Decode("up/d1", []byte(payload), false, now)
		var got []string
		for _, r := range received {
			if r.Message.Twin != nil {
				got = append(got, string(r.Message.Twin.Payload))
				continue
			}
			got = append(got, string(r.Object))
		}
		if err != nil {
			got = append(got, strings.Replace(err.Error(), "a message that no dialect maps to a device", "unmapped", 1))
		}
		if found := strings.Join(got, " "); found != want && !(strings.HasPrefix(want, "bad_") && strings.HasPrefix(found, want)) {
			t.Errorf("%s: %s, want %s", payload, found, want)
		}
	}
}

// What was inside of one element is not inside of the next, and what is inside of the payload is decoded once.
func TestInsideOfElements(t *testing.T) {
	set := load(t, one("s/{id}", "each: payload.l\n    inside: {member: item.j, format: json}\n    data: {a: inside.a, b: item.b}"))
	received, err := set.Decode("s/d1", []byte(`{"l":[{"j":"{\"a\":1}","b":1},{"b":2},{"j":"{\"a\":3}"}]}`), false, now)
	var got []string
	for _, r := range received {
		got = append(got, string(r.Object))
	}
	if want := `[{"a":1,"b":1} {"b":2} {"a":3}]`; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
}

func TestFaultsOfInside(t *testing.T) {
	for text, want := range map[string]string{
		one("s/{id}", "data: {t: inside.t}"):                                                                      "inside: expected the key inside",
		one("s/{id}", "inside: {format: json}\n    data: inside"):                                                 `key "member" is missing`,
		one("s/{id}", "inside: {member: payload.d}\n    data: inside"):                                            `key "format" is missing`,
		one("s/{id}", "inside: {member: payload.d, format: bytes}\n    data: inside"):                             "inside: layout",
		one("s/{id}", "inside: {member: payload.d, format: json, header: true}\n    data: inside"):                "inside: header: not an option",
		one("s/{id}", "inside: {member: payload.d, format: jsn}\n    data: inside"):                               "inside: format: expected json",
		one("s/{id}", "inside: {member: inside.d, format: json}\n    data: inside"):                               "inside: expected a member of something else",
		one("s/{id}", "inside: {member: item.d, format: json}\n    data: inside"):                                 "item: expected each",
		one("s/{id}", "inside: {member: item.d, format: json}\n    each: inside.l"):                               "each: expected a list that is not inside of its own elements",
		one("s/{id}", "inside: {member: payload.d, format: json}\n    each: inside.l"):                            "",
		one("s/{id}", "inside: {member: item.d, format: json}\n    each: payload.l\n    number: {seq: inside.n}"): "",
		"dialect: d\ntime: {at: inside.t}\ntopics: [{topic: 's/{id}', channel: telemetry}]":                       "",
	} {
		_, err := Load("d.yaml", []byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n%v\nwant %q", text, err, want)
		}
	}
}
