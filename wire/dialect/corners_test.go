package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/wire"
)

// asItIs takes payloads as they are; read takes the same payloads decoded, because of a condition.
const (
	asItIs = "dialect: d\ntopics: [{topic: 's/{id}', channel: telemetry}]"
	read   = "dialect: d\ntopics: [{topic: 's/{id}', channel: telemetry, when: 'true'}]"
)

// A payload that is taken as it is has the same bounds as one that is decoded, and says the same.
func TestTakenAsItIsIsLikeDecoded(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for name, c := range map[string]struct{ payload, want string }{
		"as deep as may be":           {deep(32), "d telemetry " + deep(32)},
		"deeper":                      {deep(33), "bad_payload: json: line 1, column 161: nested deeper than 32"},
		"deeper than encoding/json":   {deep(10_001), "bad_payload: json: line 1, column 161: nested deeper than 32"},
		"a list too deep":             {`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}", "bad_payload: json: line 1, column 37: nested deeper than 32"},
		"not UTF-8":                   {"{\"a\":\"\xff\"}", "bad_payload: json: byte 6: not valid UTF-8"},
		"a name not UTF-8":            {"{\"\xff\":1}", "bad_payload: json: byte 2: not valid UTF-8"},
		"half of a pair":              {`{"a":"\ud800"}`, `d telemetry {"a":"` + "\ufffd" + `"}`},
		"a name that comes twice":     {`{"a":1,"b":2,"a":3}`, `d telemetry {"a":3,"b":2}`},
		"an object that comes twice":  {`{"a":{"x":1},"a":{"y":2}}`, `d telemetry {"a":{"y":2}}`},
		"a reserved name":             {`{"ts":1,"seq":2,"epoch":3,"x":4}`, `d telemetry {"epoch_":3,"seq_":2,"ts_":1,"x":4}`},
		"a reserved name in escapes":  {`{"\u0074s":1,"x":4}`, `d telemetry {"ts_":1,"x":4}`},
		"a reserved name twice":       {`{"ts":1,"\u0074s":2}`, `d telemetry {"ts_":2}`},
		"a reserved name inside":      {`{"a":{"ts":1,"seq":"x"},"b":[{"epoch":2}]}`, `d telemetry {"a":{"seq":"x","ts":1},"b":[{"epoch":2}]}`},
		"a name that is taken":        {`{"ts":1,"ts_":2}`, `d telemetry {"ts_":2,"ts__":1}`},
		"two names that are taken":    {`{"ts":1,"ts_":2,"ts__":3}`, `d telemetry {"ts_":2,"ts__":3,"ts___":1}`},
		"spaces around":               {" \n{\"a\":1}\n", `d telemetry {"a":1}`},
		"a mark":                      {"\ufeff{\"a\":1}", `d telemetry {"a":1}`},
		"a number beyond the largest": {`{"a":1e999}`, "bad_payload: json: line 1, column 6: number 1e999 is beyond the largest number"},
		"no name":                     {`{"":1}`, `d telemetry {"":1}`},
		"nothing":                     {`{}`, "d telemetry {}"},
		"blank":                       {" ", "bad_payload: json: empty: expected a JSON value"},
		"null":                        {"null", `d telemetry {"value":null}`},
		"more behind it":              {`{"a":1}{`, "bad_payload: json: line 1, column 8: invalid character '{' after top-level value"},
	} {
		for _, text := range []string{asItIs, read} {
			for range 8 { // the order of a map's members differs from run to run
				if got := said(load(t, text).Decode("s/d", []byte(c.payload), false, now)); got != c.want {
					t.Errorf("%s: %.60s:\n%.300s\nwant\n%.300s", name, c.payload, got, c.want)
					break
				}
			}
		}
	}
}

// The largest payload is that of the configuration, whatever reads it.
func TestLimitsAreThoseOfTheConfiguration(t *testing.T) {
	c := wire.DefaultConfig()
	c.MaxPayload = wire.MaxPayloadLimit
	payload := []byte(`{"a":"` + strings.Repeat("x", 200_000) + `"}`)
	for _, text := range []string{asItIs, read, strings.Replace(read, "when", "payload: text, when", 1)} {
		if received, err := loadWith(t, c, text).Decode("s/d", payload, false, now); err != nil || len(received) != 1 {
			t.Errorf("%s: %d messages, %v", text, len(received), err)
		}
	}
}

func TestCornersOfExpressions(t *testing.T) {
	many := func(n int, item string) string { return `{"l":[` + strings.Repeat(item+",", n-1) + item + "]}" }
	each := one("s/{id}", "each: payload.l")
	for name, c := range map[string]struct{ dialect, payload, want string }{
		"not a number":             {one("s/{id}", "data: {a: payload.a / payload.b}"), `{"a":0,"b":0}`, "bad_payload: data: a: division by zero"},
		"an infinity":              {one("s/{id}", "data: payload.a * payload.b"), `{"a":1e308,"b":10}`, "bad_payload: data: the result of * is not a finite number"},
		"absent inside":            {one("s/{id}", "absent: [null, n/a]"), `{"a":{"t":null,"h":4,"x":{"y":"n/a"}},"l":[null,1]}`, `d telemetry {"a":{"h":4},"l":[null,1]}`},
		"all absent inside":        {one("s/{id}", "absent: null"), `{"a":{"t":null}}`, wire.ErrUnmapped.Error()},
		"empty inside":             {one("s/{id}", "absent: null"), `{"a":{}}`, `d telemetry {"a":{}}`},
		"a number as a condition":  {one("s/{id}", "when: payload.n"), `{"n":1}`, "bad_payload: when: expected true or false, found a number"},
		"a string as a condition":  {one("s/{id}", "when: payload.n"), `{"n":"true"}`, "bad_payload: when: expected true or false, found a string"},
		"a condition is null":      {one("s/{id}", "when: payload.n"), `{"n":null}`, wire.ErrUnmapped.Error()},
		"too many":                 {each, many(1001, `{"a":1}`), "bad_payload: each: a list of 1001, the limit is 1000"},
		"a variable of an object":  {one("s/+", "vars: {v: payload.v}\n    id: '{v}'"), `{"v":{"a":1}}`, "bad_payload: variable v: expected a string, a number, true or false, found an object"},
		"a variable of a list":     {one("s/+", "vars: {v: payload.v}\n    id: '{v}'"), `{"v":["a"]}`, "bad_payload: variable v: expected a string, a number, true or false, found a list"},
		"a variable of a number":   {one("s/+", "vars: {v: payload.v}\n    id: '{v}'"), `{"v":-1.5e-7}`, `-1--2e5e-7 telemetry {"v":-1.5e-7}`},
		"a large number":           {one("s/+", "vars: {v: payload.v}\n    id: '{v}'"), `{"v":1234567890123}`, `1234567890123 telemetry {"v":1234567890123}`},
		"a variable of a bool":     {one("s/+", "vars: {v: payload.v}\n    id: '{v}'"), `{"v":true}`, `true telemetry {"v":true}`},
		"a variable of null":       {one("s/+", "vars: {v: payload.v}\n    id: '{v}'"), `{"v":null}`, `bad_device_id: device id {v}: v is empty`},
		"data without members":     {one("s/{id}", "data: {}"), `{"a":1}`, `d telemetry {}`},
		"data that is not there":   {one("s/{id}", "data: payload.a"), `{"b":1}`, wire.ErrUnmapped.Error()},
		"data that is null":        {one("s/{id}", "data: payload.a"), `{"a":null}`, `d telemetry {"value":null}`},
		"a member of no object":    {one("s/{id}", "data: {a: payload.a.b}"), `{"a":1}`, wire.ErrUnmapped.Error()},
		"one number twice":         {one("s/{id}", "each: payload.l\n    number: {seq: item.n}"), `{"l":[{"n":1},{"n":2},{"n":1}]}`, "bad_payload: seq: 1 is the number of another message of device d in the same payload (element 2)"},
		"numbers of two devices":   {one("s/{id}", "each: payload.l\n    vars: {v: item.v}\n    id: '{v}'\n    number: {seq: item.n}"), `{"l":[{"n":1,"v":"a"},{"n":1,"v":"b"}]}`, "a telemetry 0/1 {\"n\":1,\"v\":\"a\"}\nb telemetry 0/1 {\"n\":1,\"v\":\"b\"}"},
		"a time with its digits":   {one("s/{id}", "time: {at: payload.t}\n    data: '{}'"), `{"t":"1795953599.123456789"}`, `d telemetry 11:59:59.123456789 {}`},
		"one id twice":             {one("s/{id}", "each: payload.l\n    number: {id: item.n}"), `{"l":[{"n":"x"},{"n":""},{"n":""},{"n":"x"}]}`, "bad_payload: id of the message: \"x\" is that of another message of device d in the same payload (element 3)"},
		"ids of two devices":       {one("s/{id}", "each: payload.l\n    vars: {v: item.v}\n    id: '{v}'\n    number: {id: item.n}"), `{"l":[{"n":1,"v":"a"},{"n":1,"v":"b"}]}`, "a telemetry id \"1\" {\"n\":1,\"v\":\"a\"}\nb telemetry id \"1\" {\"n\":1,\"v\":\"b\"}"},
		"a number with its digits": {one("s/{id}", "time: {at: payload.t}\n    data: '{}'"), `{"t":1795953599.123456789}`, `d telemetry 11:59:59.123456789 {}`},
		"a time that is ahead":     {one("s/{id}", "time: {at: payload.t}\n    data: '{}'"), `{"t":1895953599}`, `d telemetry ts: more than 5m0s ahead of the arrival 1895953599 {}`},
		"a time that is null":      {one("s/{id}", "time: {at: payload.t}\n    data: '{}'"), `{"t":null}`, `d telemetry {}`},
		"a time in hexadecimal":    {one("s/{id}", "time: {at: payload.t}\n    data: '{}'"), `{"t":"0x6b0c2f7f"}`, `d telemetry ts: expected the time since 1970 or an RFC 3339 string; found another string "0x6b0c2f7f" {}`},
	} {
		if got := said(load(t, c.dialect).Decode("s/d", []byte(c.payload), false, now)); got != c.want {
			t.Errorf("%s: %.80s:\n%.300s\nwant\n%s", name, c.payload, got, c.want)
		}
	}
	received, err := load(t, each).Decode("s/d", []byte(many(1000, `{"mac":"AA:BB:CC:DD:EE:FF","rssi":-60,"data":"0123456789abcdef"}`)), false, now)
	if err != nil || len(received) != 1000 || received[999].Place != 999 {
		t.Errorf("as many as may be: %d messages, %v", len(received), err)
	}
}

// What one payload becomes is bounded.
func TestWhatIsMadeOfAPayloadIsBounded(t *testing.T) {
	s := load(t, one("s/{id}", "each: payload.l\n    data: payload"))
	_, err := s.Decode("s/d", []byte(`{"l":[`+strings.Repeat("1,", 999)+`1],"x":"`+strings.Repeat("x", 100_000)+`"}`), false, now)
	refused := (*wire.Refused)(nil)
	if !errors.As(err, &refused) || refused.Reason != wire.ReasonTooLarge {
		t.Errorf("%v", err)
	}
}

// Of several messages of one payload each has an identity of its own, which is the same when the
// payload is delivered again, and for each part of the devices.
func TestIdentityOfSeveralMessages(t *testing.T) {
	text := "dialect: d\ntopics: [{topic: gw, messages: [{channel: telemetry, each: payload.l, vars: {n: item.n}, id: '{n}', data: {t: 1}}, {channel: events, name: seen, vars: {n: payload.n}, id: '{n}'}]}]"
	payload := []byte(`{"n":"a","l":[{"n":"a"},{"n":"b"},{"n":"a"}]}`)
	identities := func(mine func(string) bool, dup bool) (all []string) {
		c := wire.DefaultConfig()
		c.Mine = mine
		received, err := loadWith(t, c, text).Decode("gw", payload, dup, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range received {
			r.Complete()
			if r.Message.Redelivered != dup {
				t.Errorf("message %d is delivered again: %v", r.Place, !dup)
			}
			all = append(all, fmt.Sprint(r.ID, " ", r.Message.Digest))
		}
		return all
	}
	all := identities(nil, false)
	seen := map[string]bool{}
	for _, id := range all {
		seen[id] = true
	}
	if len(all) != 4 || len(seen) != 4 {
		t.Fatalf("%q", all)
	}
	if again := identities(nil, true); fmt.Sprint(again) != fmt.Sprint(all) {
		t.Errorf("again: %q, want %q", again, all)
	}
	a := identities(func(name string) bool { return name == "a" }, false)
	if fmt.Sprint(a) != fmt.Sprint([]string{all[0], all[2], all[3]}) {
		t.Errorf("a part: %q of %q", a, all)
	}
}

// Without Lazy, messages are complete as in wire.Config.
func TestLazy(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		c := wire.DefaultConfig()
		c.Lazy = lazy
		for _, text := range []string{asItIs, read} {
			received, err := loadWith(t, c, text).Decode("s/d", []byte(`{"a":1}`), false, now)
			if err != nil {
				t.Fatal(err)
			}
			r := &received[0]
			if complete := r.Message.Data != nil && r.Message.Digest != ""; !lazy && !complete {
				t.Errorf("not lazy: %+v", r)
			}
			r.Complete()
			if r.Message.Digest == "" || len(r.Message.Data) != 1 {
				t.Errorf("completed: %+v", r)
			}
		}
	}
}

// Where several bridges share the devices, one of them has the dead letter of what cannot be read
// and says nothing of its device.
func TestWhoseRefusalsAre(t *testing.T) {
	for payload, want := range map[string]string{
		`{`:                         "bad_payload",
		`{"l":["a","b",""]}`:        "bad_device_id",
		`{"l":[]}`:                  "",
		strings.Repeat(" ", 200000): "too_large",
	} {
		refusals := 0
		for part := range 3 {
			c := wire.DefaultConfig()
			c.Mine = func(name string) bool { return len(name)%3 == part }
			_, err := loadWith(t, c, one("gw/one", "each: payload.l\n    vars: {n: item}\n    id: '{n}'")).Decode("gw/one", []byte(payload), false, now)
			refused := (*wire.Refused)(nil)
			switch {
			case errors.As(err, &refused):
				refusals++
				if string(refused.Reason) != want || refused.ID != "" {
					t.Errorf("%.20s: %+v, want %s", payload, refused, want)
				}
			case want != "" && !errors.Is(err, wire.ErrForeign):
				t.Errorf("%.20s, part %d: %v", payload, part, err)
			}
		}
		if expected := map[bool]int{true: 1}[want != ""]; refusals != expected {
			t.Errorf("%.20s: %d refusals, want %d", payload, refusals, expected)
		}
	}
}

// A refusal shows that the device is up, unless it may be that of a last will.
func TestRefusalsThatShowThatADeviceIsUp(t *testing.T) {
	for channels, want := range map[string]bool{
		"{channel: telemetry}":                                          true,
		"{channel: reported}":                                           true,
		"{channel: events, name: x}":                                    true,
		"{channel: status}":                                             false,
		"{channel: telemetry}, {channel: status}":                       false,
		"{channel: status}, {channel: telemetry}":                       false,
		"{channel: status, vars: {x: payload}}, {channel: telemetry}":   false,
		"{channel: reported}, {channel: telemetry, vars: {x: payload}}": true,
	} {
		_, err := load(t, "dialect: d\ntopics: [{topic: 's/{id}', messages: ["+channels+"]}]").Decode("s/d", []byte("{"), false, now)
		refused := (*wire.Refused)(nil)
		if !errors.As(err, &refused) || refused.ID != "d" || refused.Alive != want {
			t.Errorf("%s: %+v, want alive %v", channels, refused, want)
		}
	}
}

// What is reported is an update of the twin: of the whole state, with nulls that remove, and as an
// object of it if it is another value.
func TestReports(t *testing.T) {
	s := load(t, "dialect: d\ntopics: [{topic: 's/{id}', channel: reported}, {topic: 'w/{id}', channel: reported, payload: text, data: '{\"on\": payload == \"ON\"}'}]")
	for _, c := range []struct{ topic, payload, want string }{
		{"s/d", `{"a":1,"b":null}`, `d twin update {"state":{"reported":{"a":1,"b":null}}}`},
		{"s/d", `5`, `d twin update {"state":{"reported":{"value":5}}}`},
		{"w/d", `ON`, `d twin update {"state":{"reported":{"on":true}}}`},
		{"s/d", ``, wire.ErrNotInput.Error()},
	} {
		received, err := s.Decode(c.topic, []byte(c.payload), false, now)
		if got := said(received, err); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.topic, c.payload, got, c.want)
		}
		for _, r := range received {
			if m := r.Message; m.Channel != device.ChannelTwin || m.Twin.Reply != "" || !m.Twin.Reports || m.Digest == "" || !json.Valid(m.Twin.Payload) {
				t.Errorf("%+v", m)
			}
		}
	}
}

// The service's own topics are never those of devices, also where a template takes them in.
func TestTopicsOfTheServiceAreNotRead(t *testing.T) {
	s := load(t, "dialect: d\nid: '{a}:{b}'\ntopics: [{topic: '{a}/{b}/{c}', channel: telemetry}, {topic: 'b{a}/{b}/x', channel: telemetry}, {topic: 'bridge/{a}/{b}/x', channel: telemetry}]")
	for topic, want := range map[string]string{
		"bridge/b/status":     wire.ErrNotInput.Error(),
		"bridge/b/claim":      wire.ErrNotInput.Error(),
		"bridge/b/deadletter": wire.ErrNotInput.Error(),
		"bridge/b/c/x":        "b:c telemetry {}",
		"bridge/b/temp":       "bridge:b telemetry {}",
		"devices/d/telemetry": "d telemetry {}",
		"devices/d/x":         "bad_topic: expected {id}/telemetry, {id}/status, {id}/events/{name} or {id}/commands/{name}/ack",
		"$SYS/broker/load":    wire.ErrUnmapped.Error(),
	} {
		if got := said(s.Decode(topic, []byte(`{}`), false, now)); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
}

// Faults that are known before there is a message.
func TestFaultsOfWords(t *testing.T) {
	for text, want := range map[string]string{
		one("s/{id}", "when: \"'x'\""):       "when: expected a condition, which is true or false",
		one("s/{id}", "when: size(payload)"): "when: expected a condition",
		one("s/{id}", "when: payload.x + 1"): "when: expected a condition",
		one("s/{id}", "when: payload.x"):     "",
		one("s/{id}", "when: false"):         "when: it never holds",
		"dialect: d\ntopics: []":             "d.yaml:2:9: topics: expected at least one",

		// What is strange, and may be right.
		"dialect: d\ntime: {at: payload.t}\ntopics: [{topic: 's/{id}', channel: status, payload: text}]":                              "",
		"dialect: d\ntime: {at: item.t}\ntopics: [{topic: 's/{id}', channel: telemetry}]":                                             "",
		"dialect: d\ntime: {at: payload.t}\ntopics: [{topic: 's/{id}', channel: status, payload: csv}]":                               "d.yaml:3:10: payload.t: the payload is a list, of the lines of csv (each: payload, and then item.t)",
		"dialect: d\ntopics: [{topic: 's/{id}', channel: status, data: {firmware: payload.fw}}]":                                      "",
		one("s/{id}", "each: payload.l\n    number: {seq: item.n}"):                                                                   "",
		one("s/{id}", "each: payload.l\n    number: {seq: payload.n, epoch: item.e}"):                                                 "",
		one("s/{id}", "each: payload.l\n    when: item.first\n    number: {seq: payload.n}"):                                          "",
		one("s", "each: payload.l\n    vars: {n: item.n}\n    id: '{n}'\n    number: {seq: payload.n}"):                               "",
		one("s/{id}", "each: payload.l\n    vars: {n: item.n}\n    number: {seq: payload.n}"):                                         "number: all elements of each",
		one("s/{id}", "each: payload.l\n    number: {seq: 'payload.l.map(item, item.n)[0]'}"):                                         "number: all elements of each",
		two("number: {seq: payload.n}", "number: {seq: payload.n}"):                                                                   "d.yaml:6:7: number: another message",
		two("number: {seq: payload.n}, vars: {x: payload.x}", "number: {seq: payload.n}"):                                             "number: another message",
		two("number: {seq: payload.n, epoch: 1}", "number: {seq: payload.n}"):                                                         "",
		two("number: {seq: payload.n}", "number: {seq: payload.m}"):                                                                   "",
		two("number: {seq: payload.n}, when: payload.x", "number: {seq: payload.n}, when: '!payload.x'"):                              "",
		two("number: {seq: payload.n}, vars: {b: payload.b}, id: '{b}'", "number: {seq: payload.n}"):                                  "",
		two("number: {seq: payload.n}, vars: {b: payload.b}, id: '{b}'", "number: {seq: payload.n}, vars: {b: payload.c}, id: '{b}'"): "",
		one("s/{id}", "number: {id: payload.n, seq: payload.m}"):                                                                      "seq: expected none where there is an id",
		one("s/{id}", "number: {id: payload.n, epoch: payload.m}"):                                                                    "epoch: expected none where there is an id",
		one("s/{id}", "number: {epoch: payload.m}"):                                                                                   `key "seq" is missing`,
		one("s/{id}", "each: payload.l\n    number: {id: item.n}"):                                                                    "",
		one("s/{id}", "each: payload.l\n    number: {id: payload.n}"):                                                                 "number: all elements of each",
		two("number: {id: payload.n}", "number: {id: payload.n}"):                                                                     "d.yaml:6:7: number: another message",
		two("number: {id: payload.n}", "number: {seq: payload.n}"):                                                                    "",
		two("number: {id: payload.n}", "number: {id: payload.m}"):                                                                     "",
		events("a", "b"): "",
		events("a", "a"): "number: another message",
		"dialect: d\ntopics: [{topic: 's/{id}', channel: events, name: 'e.{v}', vars: {v: item.v}, each: payload.l, number: {id: payload.n}}]":  "",
		"dialect: d\ntopics: [{topic: 's/{id}', channel: events, name: 'e.{v}', vars: {v: item.v}, each: payload.l, number: {seq: payload.n}}]": "number: all elements of each",
		one("s/%x/{id}", ""):   "",
		one("s/${id}", ""):     "",
		one("s/<a>{id}/b", ""): "",

		one("$x{id}/a", ""): "first level",
		one("$x/{id}", ""):  "",
		"dialect: d\ntopics: [{topic: 's/{id}', channel: reported, number: {seq: payload.x}}]": "number: expected none of what is reported",
		one("s/{id}", "data: {t: topic.idd}"):                                                  `topic.idd: expected a variable of the topic "s/{id}"`,
		one("s/{id}", "vars: {t: topic.id}"):                                                   "",
		one("s/{id}", "when: has(topic.x)"):                                                    `topic.x: expected a variable of the topic`,
	} {
		_, err := Load("d.yaml", []byte(text))
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
			t.Errorf("%s\n%s\nwant %s", text, got, want)
		}
	}
}

// two is a dialect with a topic of two messages.
func two(first, second string) string {
	return fmt.Sprintf("dialect: d\ntopics:\n  - topic: 's/{id}'\n    messages:\n    - {channel: telemetry, %s}\n    - {channel: telemetry, %s}\n", first, second)
}

// events is a dialect with a topic of two events, which have one id.
func events(first, second string) string {
	return fmt.Sprintf("dialect: d\ntopics:\n  - topic: 's/{id}'\n    messages:\n    - {channel: events, name: %s, number: {id: payload.n}}\n    - {channel: events, name: %s, number: {id: payload.n}}\n", first, second)
}

// Copies of a message have its id, whatever they say and on whichever topic; events of two names, and messages on
// two channels, are two.
func TestIDsOfSenders(t *testing.T) {
	s := load(t, `
dialect: d
topics:
  - {topic: 'a/{id}', channel: events, name: order, number: {id: payload.n}}
  - {topic: 'b/{id}', channel: events, name: order, number: {id: payload.n}}
  - {topic: 'c/{id}', channel: events, name: return, number: {id: payload.n}}
  - {topic: 'd/{id}', channel: telemetry, number: {id: payload.n}}
`)
	idOf := func(topic, payload string) string {
		t.Helper()
		received, err := s.Decode(topic, []byte(payload), false, now)
		if err != nil || len(received) != 1 {
			t.Fatalf("%s %s: %v, %v", topic, payload, received, err)
		}
		return received[0].Message.SenderID
	}
	first := idOf("a/x", `{"n":"7"}`)
	if len(first) != 16 {
		t.Errorf("the id is %q, want 16 digits", first)
	}
	for what, same := range map[string]bool{`a/x {"n":"7","more":1}`: true, `a/x {"n":7}`: true, `b/x {"n":"7"}`: true, `a/x {"n":"8"}`: false, `c/x {"n":"7"}`: false, `d/x {"n":"7"}`: false} {
		topic, payload, _ := strings.Cut(what, " ")
		if got := idOf(topic, payload); (got == first) != same {
			t.Errorf("%s has the id %s; the first one has %s", what, got, first)
		}
	}
}

// A prefix may be anything that a topic may be.
func TestPrefixes(t *testing.T) {
	for _, prefix := range []string{"a{b", "x/y", strings.Repeat("p", 1024)} {
		c := wire.DefaultConfig()
		c.Prefix, c.ShadowTopics = prefix, nil
		if got := said(loadWith(t, c, asItIs).Decode(prefix+"/d/telemetry", []byte(`{}`), false, now)); got != "d telemetry {}" {
			t.Errorf("%.20s: %s", prefix, got)
		}
	}
}

// Of a retained message only what is reported counts, in samples too.
func TestSamplesOfRetainedMessages(t *testing.T) {
	s := load(t, "dialect: d\ntopics: [{topic: 's/{id}', messages: [{channel: telemetry}, {channel: reported}]}, {topic: 't/{id}', channel: telemetry}]")
	samples, err := LoadSamples("s.yaml", []byte(`samples:
  - {topic: s/a, payload: '{"x":1}', retained: true, gives: {device: a, channel: reported, data: {x: 1}}}
  - {topic: t/a, payload: '{"x":1}', retained: true, outcome: ignored}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range samples {
		if err := sample.Check(s); err != nil {
			t.Error(err)
		}
	}
}
