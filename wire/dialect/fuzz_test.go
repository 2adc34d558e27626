package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/internal/jsonobject"
	"devicetwin/wire"
)

// everything has a topic for each thing that a dialect can do.
const everything = `
dialect: everything
absent: [null, "n/a", -1]
topics:
  - {topic: 'plain/{id}', channel: telemetry, absent: []}
  - {topic: 'absent/{id}', channel: telemetry}
  - {topic: 'word/{id}', channel: telemetry, absent: ["n/a", null, true]}
  - {topic: 'state/{id}', channel: reported, absent: []}
  - {topic: 'lwt/{id}', channel: status, payload: text}
  - {topic: 'many/{a...}/{b}', channel: telemetry, id: '{a}:x_{b}', payload: {format: text, numbers: true}, data: "{topic.b: payload}"}
  - {topic: 'kv/x-{id}', channel: telemetry, payload: keyvalue, time: {at: payload.t, zone: Europe/Berlin}}
  - {topic: 'cbor/{id}', channel: events, name: 'e-{n}', vars: {n: payload.n}, payload: {format: cbor, compressed: auto}, number: {seq: payload.s, epoch: payload.e}}
  - {topic: 'bytes/{id}', channel: telemetry, payload: {format: bytes, layout: [{name: t, type: i16, scale: 0.1}, {name: ts, type: u8}]}}
  - {topic: 'csv/{id}', channel: telemetry, payload: {format: csv, numbers: true}, each: payload, data: {row: item}}
  - topic: 'all/{id}'
    messages:
      - {channel: telemetry, each: payload.l, vars: {m: item.mac}, id: '{id}:{m}', number: {seq: item.n}}
      - {channel: events, when: payload.on, name: on, data: {a: payload.a.b, b: "payload['c-d'] * 2", ts_: payload.ts}}
      - {channel: telemetry, data: payload.whole, time: {at: payload.time, unit: ms}}
      - {channel: telemetry, when: has(payload.x)}
      - {channel: reported, data: {on: payload.on, half: payload.level / 2}}
      - {channel: status, when: has(payload.status)}
      - {channel: telemetry, inside: {member: payload.b64, format: bytes, encoded: base64, layout: [{name: t, type: i16}, {name: rest, type: bytes}]}, data: {t: inside.t / 10, all: inside}}
      - {channel: telemetry, each: payload.l, inside: {member: item.json, format: json}, when: has(inside.x), data: inside}
`

// fuzzed are that dialect, and those that come with devicetwin, each alone.
func fuzzed(f testing.TB) (all []*Set) {
	c := wire.DefaultConfig()
	c.MaxPayload, c.MaxDepth, c.MaxObjects, c.Lazy = 4096, 32, 50, true
	files, err := filepath.Glob("../../dialects/*/dialect.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no dialects: ", err)
	}
	texts := []string{everything}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		with := c
		if copied := strings.Replace(text, "dialect: standard\n", "dialect: copy\n", 1); copied != text {
			text, with.Prefix = copied, "elsewhere"
		}
		all = append(all, loadWith(f, with, text))
	}
	return all
}

// seed adds the samples of the dialects, and a payload for each topic of everything.
func seed(f *testing.F) {
	for topic, payload := range map[string]string{
		"plain/d": `{"a":1,"\u0074s":2,"ts_":3,"b":{"a":[null,"<>&"]},"a":2}`, "absent/d": `{"a":null,"b":{"c":"n/a","d":-1.0}}`,
		"word/d": `{"a":"n\/a","b":"true","c":null}`, "state/d": `{"on":true,"x":null,"n":12345678901234567890}`, "lwt/d": "offline",
		"many/a/b--/c d/ä": "23.5", "kv/x-1": "t=2026-10-25T02:30:00 a=1", "cbor/d": "\xa3ana1as\x01ae\x02", "bytes/d": "\x00\x01\x02", "csv/d": "1,2\n3,\n",
		"all/d":               `{"l":[{"mac":"A","n":1},{"mac":2,"json":"{\"x\":1}"},{}],"on":true,"a":{"b":1},"c-d":1e308,"ts":5,"whole":[1],"time":1e12,"x":1,"level":3,"status":"up","b64":"AQID","z":{}}`,
		"devices/d/telemetry": `[{"seq":1}]`, "bridge/b/deadletter": "{}", "$SYS/x": "", "": "",
	} {
		f.Add(topic, []byte(payload))
	}
	files, _ := filepath.Glob("../../dialects/*/samples.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		samples, err := LoadSamples(file, text)
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range samples {
			f.Add(s.Topic, s.Payload)
		}
	}
}

// FuzzDecode looks for topics and payloads that break a dialect, or the promises about what
// it makes of them.
func FuzzDecode(f *testing.F) {
	sets := fuzzed(f)
	seed(f)
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		for _, set := range sets {
			published := bytes.Clone(payload)
			received, err := set.Decode(topic, payload, false, now)
			again, errAgain := set.Decode(topic, bytes.Clone(payload), false, now)
			if !bytes.Equal(payload, published) {
				t.Fatalf("the payload %q became %q", published, payload)
			}
			if len(set.learners) > 0 { // what it has learned is another thing
				again, errAgain = received, err
			}
			if !reflect.DeepEqual(received, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
				t.Fatalf("decoded twice:\n%+v, %v\n%+v, %v", received, err, again, errAgain)
			}
			if err != nil {
				checkRefusal(t, err)
				continue
			}
			if len(received) == 0 || len(received) > 50*6 {
				t.Fatalf("%d messages", len(received))
			}
			for i := range received {
				checkReceived(t, &received[i], set.Knows(topic))
			}
			checkHistory(t, topic, payload, received)
		}
	})
}

func checkRefusal(t *testing.T, err error) {
	refused := (*wire.Refused)(nil)
	switch {
	case errors.As(err, &refused):
		if refused.Reason == "" || refused.Detail == "" || !utf8.ValidString(refused.Detail) || refused.ID != "" && !refused.ID.Valid() {
			t.Fatalf("refused: %+v", refused)
		}
	case !errors.Is(err, wire.ErrNotInput) && !errors.Is(err, wire.ErrUnmapped):
		t.Fatal(err)
	}
}

// checkReceived holds a message to what the bridge relies on.
func checkReceived(t *testing.T, r *wire.Received, standard bool) {
	m := &r.Message
	if !r.ID.Valid() || r.ID.Kind() != device.KindDevice {
		t.Fatalf("id %q", r.ID)
	}
	if m.Channel == device.ChannelEvents && (!device.ValidName(m.Name) || device.ReservedName(m.Name)) {
		t.Fatalf("event %q", m.Name)
	}
	if r.PointTime.After(now.Add(5*time.Minute)) || r.PointTime.Before(now.AddDate(-1, 0, 0)) {
		t.Fatalf("time %v", r.PointTime)
	}
	if m.Channel == device.ChannelTwin {
		if m.Twin == nil || !json.Valid(m.Twin.Payload) || r.Object != nil || m.Digest == "" {
			t.Fatalf("report: %+v", m)
		}
		return
	}
	v, ok := jsonobject.ParseWithin(r.Object, 33)
	if !ok || v.Kind() != jsonobject.Object || len(v) != len(r.Object) || !utf8.Valid(r.Object) {
		t.Fatalf("object %q", r.Object)
	}
	data := m.Data
	completed := *r
	completed.Message.Data = nil
	completed.Complete()
	if data != nil && !reflect.DeepEqual(data, completed.Message.Data) {
		t.Fatalf("data %v of %s", data, r.Object)
	}
	for members := v.Members(); ; {
		name, _, ok := members.Next()
		if !ok {
			break
		}
		if !standard && wire.Reserved(name.Text()) {
			t.Fatalf("member %s in %s", name, r.Object)
		}
	}
	if m.Seq == 0 && completed.Message.Digest == "" {
		t.Fatalf("neither number nor digest: %+v", m)
	}
}

// checkHistory writes the messages as a bridge's log does, and reads them again.
func checkHistory(t *testing.T, topic string, payload []byte, received []wire.Received) {
	a := &history.Arrival{Stream: "mqtt", Origin: topic, At: now, Payload: payload}
	for _, r := range received {
		r.Complete()
		a.Messages = append(a.Messages, history.Message{Received: r})
	}
	read, err := history.ReadArrival(a.Append(nil), now)
	if err != nil || len(read.Messages) != len(received) {
		t.Fatalf("%d of %d messages, %v", len(read.Messages), len(received), err)
	}
	for i := range read.Messages {
		got, want := read.Messages[i].Received, a.Messages[i].Received
		got.Complete()
		if !bytes.Equal(got.Object, want.Object) || !got.PointTime.Equal(want.PointTime) {
			t.Fatalf("message %d: %s at %v, want %s at %v", i, got.Object, got.PointTime, want.Object, want.PointTime)
		}
		got.Object, want.Object, got.PointTime, want.PointTime = nil, nil, time.Time{}, time.Time{}
		want.Message.From = nil // it is kept with what is delivered
		if g, w := asJSON(t, got), asJSON(t, want); g != w {
			t.Fatalf("message %d: %s\nwant %s", i, g, w)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// FuzzPaths compares what is looked up in a payload with what the language makes of it. Times without
// a unit are other ones: they are looked up with all their digits. That a list was taken for an object is
// said of what is written as a member of payload only.
func FuzzPaths(f *testing.F) {
	const text = "dialect: d\ntopics: [{topic: 's/{id}', channel: telemetry, absent: [null, x], when: '%s', number: {seq: '%s'}, time: {at: '%s', unit: s}, data: {a: '%s', b: '%s', c: '%s'}}]"
	paths := []any{"payload.w", "payload.n", "payload.t", "payload.a", "payload.a.b", `payload["a"]["c-d"]`}
	members, evaluated := make([]any, len(paths)), make([]any, len(paths))
	for i, path := range paths {
		members[i] = fmt.Sprintf("[%s][0]", path)                                                  // of members alone
		evaluated[i] = strings.Replace(fmt.Sprintf("[%s][0]", path), "payload", "[payload][0]", 1) // of all
	}
	lookedUp, computed, inFull := load(f, fmt.Sprintf(text, paths...)), load(f, fmt.Sprintf(text, members...)), load(f, fmt.Sprintf(text, evaluated...))
	for _, payload := range []string{
		`{"w":true,"n":1,"t":1795953599,"a":{"b":[1,null,"x"],"c-d":{"x":null}}}`, `{"w":true,"a":{"b":null},"a":2}`, `{"w":true,"a":{"b":"x","c-d":"\u0078"}}`,
		`{"w":true,"a":{"b":{}}}`, `{"w":1}`, `{"w":true,"n":"1"}`, `{"w":true,"\u0061":{"\u0062":-0.0}}`, `[1]`, `5`, `{"w":true,"t":"x","a":null}`, `{"w":null}`, `{"w":true,"n":1.5}`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := lookedUp.Decode("s/d", payload, false, now)
		want, errWant := computed.Decode("s/d", payload, false, now)
		full, errFull := inFull.Decode("s/d", payload, false, now)
		if g, w, f := said(got, err), said(want, errWant), said(full, errFull); g != w || strings.Replace(w, " (payload is a list)", "", 1) != f {
			t.Fatalf("%q: %s\nof members: %s\nof all: %s", payload, g, w, f)
		}
	})
}
