package bridge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/mqtt"
	"devicetwin/points"
)

var testLimits = payloadLimits{bytes: 1000, depth: 4, objects: 3}

func TestParseTopic(t *testing.T) {
	long := strings.Repeat("x", 128)
	for topic, want := range map[string]string{
		"devices/d1/telemetry":                "d1 telemetry ",
		"devices/a:B_c-9/status":              "a:B_c-9 status ",
		"devices/" + long + "/status":         long + " status ",
		"devices/d1/events/door.open":         "d1 events door.open",
		"devices/d1/commands/reprovision/ack": "d1 ack reprovision",
		"devices/d1/commands/reprovision":     "d1 command reprovision",
		"devices":                             "bad_topic",
		"devices/d1":                          "bad_topic",
		"devices/d1/telemetri":                "bad_topic",
		"devices/d1/telemetry/x":              "bad_topic",
		"devices//telemetry":                  "bad_device_id",
		"devices/d 1/telemetry":               "bad_device_id",
		"devices/ä/telemetry":                 "bad_device_id",
		"devices/\xff/telemetry":              "bad_device_id",
		"devices/" + long + "x/status":        "bad_device_id",
		"devices/d.1/status":                  "bad_device_id",
		"other/d1/telemetry":                  "bad_topic",
		"devicesd1/telemetry":                 "bad_topic",
		"devices/d1/events/":                  "bad_topic",
		"devices/d1/events/a b":               "bad_topic",
		"devices/d1/events/device.silent":     "bad_topic",
		"devices/d1/events/done":              "bad_topic",
		"devices/d1/events/doneness":          "d1 events doneness",
		"devices/d1/events/" + long:           "bad_topic",
		"devices/d1/commands//ack":            "bad_topic",
		"devices/d1/commands/a/acknowledge":   "bad_topic",
	} {
		a, ref := parseTopic("devices", topic)
		got := fmt.Sprintf("%s %s %s", a.device, a.channel, a.name)
		if a.command {
			got = fmt.Sprintf("%s command %s", a.device, a.name)
		}
		if ref != nil {
			got = string(ref.reason)
			if ref.detail == "" || !utf8.ValidString(ref.detail) {
				t.Errorf("%q: detail %q", topic, ref.detail)
			}
		}
		if got != want {
			t.Errorf("%q: got %q, expected %q", topic, got, want)
		}
	}
	if a, ref := parseTopic("plant/7", "plant/7/d1/status"); ref != nil || a.device != "d1" {
		t.Errorf("prefix of two levels: %+v, %v", a, ref)
	}
}

func TestDecode(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := address{device: "d", channel: device.ChannelTelemetry}
	tests := map[string]struct {
		payload string
		want    string // the messages, or the beginning of the refusal
	}{
		"object":         {`{"a":1,"b":"x","c":true,"d":null,"e":{"f":[1]}}`, `0/0 {"a":1,"b":"x","c":true,"d":null,"e":{"f":[1]}}`},
		"empty object":   {`{}`, `0/0 {}`},
		"space around":   {" \n{\"a\":1}\t", `0/0 {"a":1}`},
		"numbered":       {`{"epoch":1764000000,"seq":17,"ts":1772366399000,"a":1}`, `1764000000/17 {"a":1}`},
		"seq alone":      {`{"seq":1}`, `0/1 {}`},
		"largest seq":    {`{"seq":9007199254740991}`, `0/9007199254740991 {}`},
		"array":          {`[{"seq":1,"a":1},{"seq":2}]`, `0/1 {"a":1} 0/2 {}`},
		"text ts":        {`{"ts":"noon","a":1}`, `0/0 {"a":1}`},
		"nested seq":     {`{"a":{"seq":"x"}}`, `0/0 {"a":{"seq":"x"}}`},
		"brackets":       {`{"a":"[[[[[[[[","b":"\"[[[[[["}`, `0/0 {"a":"[[[[[[[[","b":"\"[[[[[["}`},
		"empty":          {"", "bad_payload: empty"},
		"blank":          {" \n", "bad_payload: empty"},
		"text":           {"hello", "bad_payload: expected a JSON object or an array"},
		"number":         {"42", "bad_payload: expected a JSON object or an array"},
		"null":           {"null", "bad_payload: expected a JSON object or an array"},
		"cut off":        {`{"a":1`, "bad_payload: not JSON"},
		"more behind":    {`{"a":1}{"b":2}`, "bad_payload: not JSON"},
		"array cut off":  {`[{"a":1}`, "bad_payload: not JSON"},
		"array of text":  {`[{"a":1},"x"]`, `bad_payload: object 2 of 2: expected a JSON object, found "\"x\""`},
		"bad in array":   {`[{"a":1},{"seq":-1}]`, "bad_payload: object 2 of 2: seq: expected an integer from 1"},
		"nested array":   {`[[{"a":1}]]`, "bad_payload: object 1 of 1: expected a JSON object"},
		"empty array":    {`[]`, "bad_payload: empty array"},
		"long array":     {`[{},{},{},{}]`, "bad_payload: array of 4 objects, the limit is 3"},
		"not UTF-8":      {"{\"a\":\"\xff\"}", "bad_payload: not valid UTF-8"},
		"deep":           {`{"a":{"a":{"a":{"a":{}}}}}`, "bad_payload: nested deeper than 4"},
		"deep and open":  {strings.Repeat("[", 900), "bad_payload: nested deeper than 4"},
		"huge number":    {`{"a":1e999}`, "bad_payload: not JSON"},
		"too large":      {`{"a":"` + strings.Repeat("x", 1000) + `"}`, "too_large: 1008 bytes, the limit is 1000"},
		"seq zero":       {`{"seq":0}`, "bad_payload: seq: expected an integer from 1"},
		"seq fraction":   {`{"seq":1.5}`, "bad_payload: seq: expected"},
		"seq text":       {`{"seq":"1"}`, "bad_payload: seq: expected"},
		"seq null":       {`{"seq":null}`, "bad_payload: seq: expected"},
		"seq too large":  {`{"seq":9007199254740992}`, "bad_payload: seq: expected"},
		"epoch negative": {`{"epoch":-1,"seq":1}`, "bad_payload: epoch: expected an integer from 0"},
		"epoch alone":    {`{"epoch":1}`, "bad_payload: epoch without seq"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			objects, ref := decode(a, []byte(test.payload), true, at, testLimits)
			if ref != nil {
				if got := string(ref.reason) + ": " + ref.detail; !strings.HasPrefix(got, test.want) {
					t.Fatalf("refused: %s", got)
				}
				return
			}
			var got []string
			for _, o := range objects {
				m := o.message
				data, err := json.Marshal(m.Data)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%d/%d %s", m.Epoch, m.Seq, data))
				if m.Channel != a.channel || !m.Time.Equal(at) || !m.Redelivered || (m.Digest == "") != (m.Seq > 0) {
					t.Errorf("message %+v", m)
				}
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("got %s, expected %s", s, test.want)
			}
		})
	}
}

func TestTimeOfPoint(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for ts, want := range map[string]time.Time{
		fmt.Sprint(at.UnixMilli() - 5000):                     at.Add(-5 * time.Second),
		fmt.Sprint(at.UnixMilli() + 60_000):                   at.Add(time.Minute),
		fmt.Sprint(at.Add(-364 * 24 * time.Hour).UnixMilli()): at.Add(-364 * 24 * time.Hour),
		fmt.Sprint(at.Add(2 * time.Hour).UnixMilli()):         at, // a clock that is wrong
		"0":                   at,
		"-1":                  at,
		"1e300":               at,
		`"x"`:                 at,
		"null":                at,
		fmt.Sprint(at.Unix()): at, // seconds
	} {
		objects, ref := decode(address{}, []byte(`{"ts":`+ts+`}`), false, at, testLimits)
		if ref != nil || !objects[0].at.Equal(want) {
			t.Errorf("ts %s: %v, %v", ts, objects, ref)
		}
	}
}

func TestDigest(t *testing.T) {
	at := time.Now()
	a := address{device: "d", channel: device.ChannelEvents, name: "e"}
	digests := func(a address, payload string) (ds []string) {
		objects, ref := decode(a, []byte(payload), false, at, testLimits)
		if ref != nil {
			t.Fatal(ref)
		}
		for _, o := range objects {
			ds = append(ds, o.message.Digest)
		}
		return ds
	}
	one := digests(a, `{"a":1}`)[0]
	if len(one) != 16 || one != digests(a, `{"a":1}`)[0] {
		t.Errorf("digest %q is not stable", one)
	}
	b := a
	b.name = "f"
	if one == digests(a, `{"a":2}`)[0] || one == digests(b, `{"a":1}`)[0] {
		t.Error("different messages with one digest")
	}
	if ds := digests(a, `[{"a":1},{"a":1}]`); ds[0] == ds[1] {
		t.Error("two objects of one array with one digest")
	}
}

// FuzzDecode looks for payloads that break the decoder, or its promises about
// what it accepts.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"epoch":1,"seq":2,"ts":3,"a":{"b":[1,"x",null,true]}}`, `[{"a":1},{"seq":9}]`, `{"a":"\u00e4\n<>&"}`,
		`[[`, `{"seq":1e3}`, "{\"\u2028\":\"\x7f\"}", `{"a":-1.5e-300}`, `{"a":"\ud800"}`,
	} {
		f.Add("devices/d/telemetry", []byte(seed))
	}
	f.Add("devices/d/events/e", []byte(`{}`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		limits := payloadLimits{bytes: 4096, depth: 8, objects: 50}
		a, ref := parseTopic("devices", topic)
		var objects []decoded
		if ref == nil {
			objects, ref = decode(a, payload, false, at, limits)
		}
		if ref != nil {
			letter := newDeadLetter(mqtt.Message{Topic: topic, Payload: payload, At: at}, ref)
			text, err := json.Marshal(letter)
			if err != nil {
				t.Fatalf("dead letter: %v", err)
			}
			var back DeadLetter
			if err := json.Unmarshal(text, &back); err != nil || string(back.Payload) != string(letter.Payload) {
				t.Fatalf("dead letter read back: %v", err)
			}
			return
		}
		if len(objects) == 0 || len(objects) > limits.objects {
			t.Fatalf("%d messages", len(objects))
		}
		for i, o := range objects {
			text, err := json.Marshal(o.message)
			if err != nil {
				t.Fatalf("message %+v: %v", o.message, err)
			}
			if bound := messageSize(o.message); len(text) > bound {
				t.Fatalf("%d bytes, the bound says %d: %s", len(text), bound, text)
			}
			if o.message.Seq == 0 && o.message.Digest == "" {
				t.Fatalf("neither number nor digest: %+v", o.message)
			}
			if o.at.IsZero() || o.at.After(at.Add(maxClockAhead)) {
				t.Fatalf("time %v", o.at)
			}
			p := points.Point{Measurement: "m", Tags: map[string]string{"device": a.device}, Fields: o.message.Data, Time: pointTime(o, i)}
			if line, ok := p.Line(); ok && (!utf8.ValidString(line) || !strings.HasPrefix(line, "m")) {
				t.Fatalf("line %q", line)
			}
		}
	})
}

func TestSizeIsAnUpperBound(t *testing.T) {
	for _, data := range []map[string]any{
		nil,
		{},
		{"a": 1.0, "b": -1.7976931348623157e308, "c": 5e-324, "d": 123456789012345680000.0},
		{"<>&": "\u2028\u2029\x00\x1f\x7f\"\\", "ä": "日本"},
		{"a": []any{nil, true, false, "x", map[string]any{"y": []any{}}}},
		{strings.Repeat("&", 100): strings.Repeat("\x01", 100)},
	} {
		m := device.Message{
			Channel: device.ChannelTelemetry, Name: "x", Data: data, Time: time.Now().UTC(),
			Epoch: 1<<53 - 1, Seq: 1<<53 - 1, Digest: "0123456789abcdef", Redelivered: true,
			Twin: &device.TwinRequest{
				Shadow: strings.Repeat("s", 64), Reply: "$aws/things/<&>/shadow", Payload: []byte(strings.Repeat("x", 100)), Reports: true,
			},
			LeftOut: &device.LeftOut{
				Spans:   []device.Span{{Epoch: 1<<63 - 1, From: 1<<64 - 1, To: 1<<64 - 1}, {Epoch: 1<<63 - 1, From: 1<<64 - 1, To: 1<<64 - 1}},
				Digests: []string{"0123456789abcdef", "0123456789abcdef"},
			},
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if bound := messageSize(m); len(text)+1 > bound {
			t.Errorf("%d bytes, the bound says %d: %s", len(text), bound, text)
		}
	}
}
