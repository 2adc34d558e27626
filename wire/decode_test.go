package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"devicetwin/device"
)

func standard(t testing.TB, change func(*Config)) *Standard {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// small has limits that a test can reach.
func small(c *Config) { c.MaxPayload, c.MaxDepth, c.MaxObjects = 1000, 4, 3 }

func TestParseTopic(t *testing.T) {
	d := standard(t, nil)
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
		a, ref := d.parse(topic)
		got := fmt.Sprintf("%s %s %s", a.id, a.channel, a.name)
		if a.command {
			got = fmt.Sprintf("%s command %s", a.id, a.name)
		}
		if ref != nil {
			got = string(ref.Reason)
			if ref.Detail == "" || !utf8.ValidString(ref.Detail) {
				t.Errorf("%q: detail %q", topic, ref.Detail)
			}
		}
		if got != want {
			t.Errorf("%q: got %q, expected %q", topic, got, want)
		}
	}
	if a, ref := standard(t, func(c *Config) { c.Prefix = "plant/7" }).parse("plant/7/d1/status"); ref != nil || a.id != "d1" {
		t.Errorf("prefix of two levels: %+v, %v", a, ref)
	}
}

func TestDecode(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := address{id: "d", channel: device.ChannelTelemetry}
	d := standard(t, small)
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
			objects, ref := d.decodePayload(a, []byte(test.payload), true, at)
			if ref != nil {
				if got := string(ref.Reason) + ": " + ref.Detail; !strings.HasPrefix(got, test.want) {
					t.Fatalf("refused: %s", got)
				}
				return
			}
			var got []string
			for _, o := range objects {
				m := o.Message
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
		"0":                       at,
		"-1":                      at,
		"1e300":                   at,
		`"x"`:                     at,
		"null":                    at,
		fmt.Sprint(at.Unix() - 3): at.Add(-3 * time.Second),
	} {
		objects, ref := standard(t, small).decodePayload(address{}, []byte(`{"ts":`+ts+`}`), false, at)
		if ref != nil || !objects[0].PointTime.Equal(want) || objects[0].Dated == want.Equal(at) {
			t.Errorf("ts %s: %v, %v", ts, objects, ref)
		}
	}
}

func TestDigest(t *testing.T) {
	at := time.Now()
	a := address{id: "d", channel: device.ChannelEvents, name: "e"}
	digests := func(a address, payload string) (ds []string) {
		objects, ref := standard(t, small).decodePayload(a, []byte(payload), false, at)
		if ref != nil {
			t.Fatal(ref)
		}
		for _, o := range objects {
			ds = append(ds, o.Message.Digest)
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
