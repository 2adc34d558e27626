package history

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/wire"
)

var received = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

func standard(t testing.TB, lazy bool) *wire.Standard {
	t.Helper()
	cfg := wire.DefaultConfig()
	cfg.Lazy = lazy
	d, err := wire.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// object is a JSON object with reserved keys or without.
func object(t *rapid.T) string {
	members := []string{fmt.Sprintf(`"t":%d`, rapid.IntRange(0, 3).Draw(t, "value"))}
	if rapid.Bool().Draw(t, "numbered") {
		members = append(members, fmt.Sprintf(`"epoch":%d,"seq":%d`, rapid.Int64Range(0, 1<<53-1).Draw(t, "epoch"), rapid.Int64Range(1, 1<<53-1).Draw(t, "seq")))
	}
	if rapid.Bool().Draw(t, "dated") {
		ts := rapid.SampledFrom([]string{`1767323000`, `1767323000123`, `1767323000123456`, `"2026-01-02T03:00:00.5Z"`, `"never"`, `-1`}).Draw(t, "ts")
		members = append(members, `"ts":`+ts)
	}
	if rapid.Bool().Draw(t, "text") {
		text, _ := json.Marshal(rapid.String().Draw(t, "string"))
		members = append(members, `"text":`+string(text))
	}
	return "{" + strings.Join(members, ", ") + "}"
}

// drawArrival is what a bridge receives and makes of it.
func drawArrival(t *rapid.T, dialect *wire.Standard) *Arrival {
	device1 := rapid.SampledFrom([]string{"d", "pump-7:x"}).Draw(t, "device")
	topic := rapid.SampledFrom([]string{"telemetry", "telemetry", "status", "events/door", "commands/reboot/ack", "twin/update", "twin/get"}).Draw(t, "topic")
	payload := object(t)
	switch topic {
	case "telemetry":
		if rapid.Bool().Draw(t, "array") {
			objects := rapid.SliceOfN(rapid.Custom(object), 1, 5).Draw(t, "objects")
			payload = "[" + strings.Join(objects, " ,") + "]"
		}
	case "status":
		payload = rapid.SampledFrom([]string{`{"status":"boot","model":"pump","firmware":1}`, `{"status":"OFFLINE"}`, `{"status":"resting","seq":4}`}).Draw(t, "status")
	case "commands/reboot/ack":
		payload = `{"id":"c","status":"succeeded"}`
	case "twin/update":
		payload = `{"state":{"reported":{"a":1}},"clientToken":"x"}`
	}
	again := rapid.Bool().Draw(t, "again")
	topic = "devices/" + device1 + "/" + topic
	messages, err := dialect.Decode(topic, []byte(payload), again, received)
	if err != nil {
		t.Fatalf("%s %s: %v", topic, payload, err)
	}
	a := &Arrival{
		Stream: "mqtt", Origin: topic, At: received, Number: rapid.Uint64().Draw(t, "number"), Again: again, Payload: []byte(payload),
	}
	for _, r := range messages {
		a.add(t, r)
	}
	for range rapid.IntRange(0, 2).Draw(t, "of the bridge") {
		a.Outgoing = append(a.Outgoing, Outgoing{ID: device.ID(device1), Passive: rapid.Bool().Draw(t, "passive"), Message: device.Message{
			Channel: device.ChannelSystem, Name: device.EventSequenceGap, Time: received, Data: map[string]any{"from": 3.0, "to": 4.0},
		}})
	}
	return a
}

// add adds a message, as a core decides about it.
func (a *Arrival) add(t *rapid.T, r wire.Received) {
	if rapid.Bool().Draw(t, "copied") { // the object is not part of the payload
		r.Object = append([]byte(" "), r.Object...)
	}
	if rapid.Bool().Draw(t, "identified") {
		r.Identify()
	}
	if rapid.IntRange(0, 3).Draw(t, "with a fault") == 0 {
		r.Message.Faults = append(r.Message.Faults, device.Fault{Reason: device.FaultUnknownModel, Detail: "x", Value: `"y"`})
	}
	r.Message.Relayed = rapid.Bool().Draw(t, "relayed")
	r.Message.SenderID = rapid.SampledFrom([]string{"", "", "00ff00ff00ff00ff"}).Draw(t, "id of its sender")
	if r.Message.Channel == device.ChannelStatus {
		r.Message.Model = rapid.SampledFrom([]string{"", "hash"}).Draw(t, "model")
	}
	m := Message{Received: r, Verdict: Verdict(rapid.IntRange(0, 5).Draw(t, "verdict"))}
	if r.Message.Channel == device.ChannelTelemetry && rapid.Bool().Draw(t, "point") {
		m.Measurement, m.Point = "pump", r.PointTime.Add(123)
	}
	a.Messages = append(a.Messages, m)
	if m.Verdict != Delivered && m.Verdict != Heard {
		return
	}
	r.Complete()
	out := r.Message
	if rapid.Bool().Draw(t, "addressed") {
		out.From = &device.Address{Dialect: "own", Vars: map[string]string{"gw": "7"}, Awake: time.Second}
	}
	if rapid.Bool().Draw(t, "left out") {
		out.LeftOut = &device.LeftOut{Spans: []device.Span{{Epoch: 1, From: 2, To: 3}}, Digests: []string{"00ff00ff00ff00ff"}, Sent: received}
	}
	a.Outgoing = append(a.Outgoing, Outgoing{ID: r.ID, Message: out, Of: len(a.Messages)})
}

// asRead is a message as a record has it: nothing decoded but what it cannot be without.
func asRead(m Message) Message {
	m.Message.Data = nil
	if len(m.Message.Faults) == 0 {
		m.Message.Faults = nil
	}
	return m
}

func TestAnArrivalIsReadAsItWasWritten(t *testing.T) {
	lazy := standard(t, true)
	rapid.Check(t, func(t *rapid.T) {
		a := drawArrival(t, lazy)
		data := a.Append([]byte("before"))[len("before"):]
		got, err := ReadArrival(data, received)
		if err != nil {
			t.Fatal(err)
		}
		want := *a
		want.Messages = nil
		for _, m := range a.Messages {
			want.Messages = append(want.Messages, asRead(m))
		}
		if !reflect.DeepEqual(*got, want) {
			t.Fatalf("read\n%+v\nwant\n%+v", *got, want)
		}
		var readings, of []Reading
		if err := EachReading(data, func(r Reading) { readings = append(readings, r) }); err != nil {
			t.Fatal(err)
		}
		for _, m := range a.Messages {
			if m.Measurement != "" {
				of = append(of, Reading{m.Measurement, m.ID, m.Object, m.Point})
			}
		}
		if !reflect.DeepEqual(readings, of) {
			t.Fatalf("readings\n%+v\nwant\n%+v", readings, of)
		}
		if again := got.Append(nil); string(again) != string(data) {
			t.Errorf("what was read is written as\n%q\nwant\n%q", again, data)
		}
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		if _, err := ReadArrival(data[:cut], received); err == nil {
			t.Errorf("%d bytes of %d are an arrival", cut, len(data))
		}
		if _, err := ReadArrival(append(data, 0), received); err == nil {
			t.Error("with a byte more it is an arrival")
		}
	})
}

// What came from a log of its source keeps its place there, and that of each message.
func TestARecordOfASourcesLog(t *testing.T) {
	a := &Arrival{
		Stream: "kafka/t", Origin: "t/3@70000", At: received, Payload: []byte(`{"a":1}`), Log: "topic:3", Offset: 70000,
		Outgoing: []Outgoing{{ID: "d", Message: device.Message{Channel: device.ChannelSystem, Name: "sequence.gap", Time: received, Pos: 1146880001}}},
	}
	got, err := ReadArrival(a.Append(nil), received)
	if err != nil {
		t.Fatal(err)
	}
	if got.Log != a.Log || got.Offset != a.Offset || len(got.Outgoing) != 1 || got.Outgoing[0].Message.Pos != a.Outgoing[0].Message.Pos {
		t.Errorf("read as %+v", got)
	}
	a.Log, a.Offset = "", 0
	if got, err = ReadArrival(a.Append(nil), received); err != nil || got.Log != "" || got.Outgoing[0].Message.Pos != 0 {
		t.Errorf("without a log of the source: %+v, %v; want no position, which follows from the place of the record", got, err)
	}
	if b := a.Append(nil); b[0] != version {
		t.Errorf("version %d; releases before this one read %d", b[0], version)
	}
}

// A message that goes out is the same whether it was decoded when it was received or is
// read from the log.
func TestWhatGoesOutIsTheSameFromTheLog(t *testing.T) {
	eager, lazy := standard(t, false), standard(t, true)
	topic, payload := "devices/d/telemetry", []byte(`[{"t":1.5e300,"x":{"y":[null,"\u00e9"]}}, {"t":1.5e300,"x":{"y":[null,"\u00e9"]}},{"seq":3,"ts":1767323000123,"a":true}]`)
	want, err := eager.Decode(topic, payload, true, received)
	if err != nil {
		t.Fatal(err)
	}
	messages, _ := lazy.Decode(topic, payload, true, received)
	a := &Arrival{Stream: "mqtt", Origin: topic, At: received, Payload: payload}
	for i, r := range messages {
		a.Messages = append(a.Messages, Message{Received: r, Verdict: Delivered})
		r.Complete()
		a.Outgoing = append(a.Outgoing, Outgoing{ID: r.ID, Message: r.Message, Of: i + 1})
	}
	got, err := ReadArrival(a.Append(nil), received)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range got.Outgoing {
		if !reflect.DeepEqual(o.Message, want[i].Message) {
			t.Errorf("message %d is\n%+v\nwant\n%+v", i, o.Message, want[i].Message)
		}
	}
	if n := strings.Count(string(a.Append(nil)), "1.5e300"); n != 2 {
		t.Errorf("the payload is written %v times", float64(n)/2)
	}
}

func TestOutcomesAndBeginnings(t *testing.T) {
	for _, want := range []Outcome{{ID: "d", UpTo: 1 << 40, Run: "run"}, {ID: "site/north", UpTo: 1}, {ID: "d", Ended: true}} {
		if got, err := ReadOutcome(want.Append(nil)); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	for _, want := range []Begin{{Instance: "i", Bridge: "b", Scope: "1/4 devices/#"}, {Instance: "i", Bridge: "b", Accepted: true, Elsewhere: true, Lost: "mqtt"}} {
		if got, err := ReadBegin(want.Append(nil)); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	if _, err := ReadOutcome([]byte("{")); err == nil {
		t.Error("half an outcome is one")
	}
	if _, err := ReadBegin(nil); err == nil {
		t.Error("nothing is a beginning")
	}
}

func TestVerdictsHaveNames(t *testing.T) {
	want := "irrelevant repeated too_late delivered refused heard verdict 6"
	var got []string
	for v := Irrelevant; v <= Heard+1; v++ {
		got = append(got, v.String())
	}
	if strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// FuzzReadArrival: whatever is in a record, reading it ends with an arrival or an error, in
// memory that is a small multiple of the record's. What can be read can be written, and is
// read again as the same.
func FuzzReadArrival(f *testing.F) {
	lazy := standard(f, true)
	for _, s := range []string{`{"t":1,"seq":2}`, `[{"t":1},{"t":1}]`} {
		messages, _ := lazy.Decode("devices/d/telemetry", []byte(s), true, received)
		a := &Arrival{Stream: "mqtt", Origin: "devices/d/telemetry", At: received, Number: 7, Payload: []byte(s)}
		for i, r := range messages {
			a.Messages = append(a.Messages, Message{Received: r, Verdict: Delivered, Measurement: "pump", Point: received})
			r.Complete()
			a.Outgoing = append(a.Outgoing, Outgoing{ID: r.ID, Message: r.Message, Of: i + 1})
		}
		f.Add(a.Append(nil))
	}
	f.Add([]byte{version, 0, 0, 0, 0, 0, 0xff, 0xff, 0x03})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ReadArrival(data, received)
		readings := 0
		readingsErr := EachReading(data, func(Reading) { readings++ })
		if err != nil {
			return
		}
		if readingsErr != nil {
			t.Fatalf("an arrival whose readings cannot be read: %v", readingsErr)
		}
		if len(a.Messages) > len(data) || len(a.Outgoing) > len(data) {
			t.Fatalf("%d messages and %d that go out in %d bytes", len(a.Messages), len(a.Outgoing), len(data))
		}
		again, err := ReadArrival(a.Append(nil), received)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if len(again.Messages) != len(a.Messages) || len(again.Outgoing) != len(a.Outgoing) {
			t.Fatalf("%+v\nbecame\n%+v", a, again)
		}
	})
}

// A record that claims to have many messages costs no more memory than it has bytes for.
func TestALieAboutTheNumberOfMessagesCostsNothing(t *testing.T) {
	data := append([]byte{version, 0, 0, 0, 0, 0, 0x80, 0x80, 0x40}, make([]byte, 1<<20)...) // a million
	data[9+17] = 0xff                                                                        // the second one is cut
	n := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, _ = ReadArrival(data, received)
			_ = EachReading(data, func(Reading) {})
		}
	}).AllocedBytesPerOp()
	if n > 100<<20 {
		t.Errorf("%d bytes for a record of %d", n, len(data))
	}
}
