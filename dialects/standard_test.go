package dialects

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// The built-in topics, once as they are and once as the file standard/dialect.yaml says them: the file is
// true as far as the words of dialects go.

var arrival = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// builtIn and written are those two. Written is a copy of the file with a name of its own, next
// to topics of the service that begin with something else.
func builtIn(t testing.TB) *dialect.Set { t.Helper(); return setOf(t, "devices") }

func written(t testing.TB) *dialect.Set {
	t.Helper()
	file, src, err := Source(dialect.StandardName)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(src), "dialect: standard\n", "dialect: copy\n", 1)
	d, err := dialect.Load(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return setOf(t, "elsewhere", d)
}

func setOf(t testing.TB, prefix string, dialects ...*dialect.Dialect) *dialect.Set {
	t.Helper()
	c := wire.DefaultConfig()
	c.Prefix, c.MaxPayload, c.MaxDepth, c.MaxObjects = prefix, 4096, 32, 50
	s, err := dialect.NewSet(c, dialects...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The samples hold for both.
func TestStandardSamples(t *testing.T) {
	d, err := Load(dialect.StandardName)
	if err != nil {
		t.Fatal(err)
	}
	samples := samplesOf(t, dialect.StandardName)
	for _, s := range samples {
		for name, set := range map[string]*dialect.Set{"built in": builtIn(t), "the file": written(t)} {
			if name == "built in" && s.Topic == "" { // what is sent: see TestStandardIsWrittenAsBuiltIn
				continue
			}
			if err := s.Check(set); err != nil {
				t.Errorf("%s, %s: %v", name, s.Origin, err)
			}
		}
	}
	for _, topic := range append(d.Unused(samples), d.Unsent(samples)...) {
		t.Errorf("no sample has the topic or entry %s", topic)
	}
}

// Nobody can have it in addition to the built-in topics, which would be read twice.
func TestStandardIsNotToBeNamed(t *testing.T) {
	var all []*dialect.Dialect
	for _, name := range []string{dialect.StandardName, "tasmota"} {
		d, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	const want = "dialect standard: it is built in and always on: leave it out; a copy needs a name and topics of its own"
	if _, err := dialect.NewSet(wire.DefaultConfig(), all...); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// outcome is how a payload was read, as far as it is the same by both.
type outcome struct {
	refused string // the reason, or which error; "": it was read
	got     []message
}

type message struct {
	id                 device.ID
	channel            device.Channel
	name, connection   string
	data               map[string]any
	at, sent, point    time.Time
	dated, redelivered bool
	epoch              int64
	seq                uint64
	place              int
	faults             []string // reasons: the values and details are in other words
}

func outcomeOf(received []wire.Received, err error) (o outcome) {
	refused := (*wire.Refused)(nil)
	switch {
	case errors.As(err, &refused):
		return outcome{refused: string(refused.Reason)}
	case err != nil:
		return outcome{refused: err.Error()}
	}
	for _, r := range received {
		r.Complete()
		m := r.Message
		each := message{
			id: r.ID, channel: m.Channel, name: m.Name, connection: m.Connection, data: m.Data, at: m.Time, sent: m.Sent, point: r.PointTime,
			dated: r.Dated, redelivered: m.Redelivered, epoch: m.Epoch, seq: m.Seq, place: r.Place,
		}
		for _, f := range m.Faults {
			each.faults = append(each.faults, string(f.Reason))
		}
		o.got = append(o.got, each)
	}
	return o
}

// compare reads a payload in both ways, and reports a difference that the head of the file does not list.
// Compared is false where it lists one.
func compare(t *testing.T, own, file *dialect.Set, topic, payload string) (compared bool) {
	t.Helper()
	if listed(topic, payload) {
		return false
	}
	dup := len(payload)%2 == 0
	want, got := outcomeOf(own.Decode(topic, []byte(payload), dup, arrival)), outcomeOf(file.Decode(topic, []byte(payload), dup, arrival))
	if want.refused != "" && got.refused != "" && topic != clean(topic) {
		return true // of a topic and a payload that are both wrong, either may be named
	}
	if len(want.got) == len(got.got) {
		for i := range want.got {
			nearly(&want.got[i], &got.got[i])
		}
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s %s\nis, built in,  %+v\nby the file    %+v", topic, payload, want, got)
	}
	return true
}

// nearly makes times equal that differ by what a float64 leaves of the digits of a number.
func nearly(want, got *message) {
	if d := want.point.Sub(got.point).Abs(); want.dated && got.dated && d < 256*time.Nanosecond {
		got.point = want.point
		if want.sent.Sub(got.sent).Abs() <= time.Millisecond {
			got.sent = want.sent
		}
	}
}

// clean is a topic with an id and a name that nobody refuses.
func clean(topic string) string {
	levels := strings.Split(topic, "/")
	if len(levels) > 1 && device.ID(levels[1]).Valid() && (len(levels) < 4 || device.ValidName(levels[3]) && !device.ReservedName(levels[3])) {
		return topic
	}
	return ""
}

// listed reports whether the head of the file lists a difference for a message.
func listed(topic, payload string) bool {
	levels := strings.Split(topic, "/")
	known := len(levels) == 3 && (levels[2] == "telemetry" || levels[2] == "status") || len(levels) == 4 && (levels[2] == "events" || levels[2] == "commands") ||
		len(levels) == 5 && levels[2] == "commands" && levels[4] == "ack"
	if !known || levels[0] != "devices" || strings.Trim(levels[1], idCharacters) != "" || strings.Contains(levels[1], "--") {
		return true
	}
	if levels[2] == "commands" && len(levels) == 4 {
		return false
	}
	text := strings.TrimSpace(strings.TrimPrefix(payload, "\ufeff"))
	if text == "" {
		return levels[2] != "status" || payload != ""
	}
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return false
	}
	objects, list := v.([]any)
	if !list && v != nil {
		objects = []any{v}
	}
	if levels[2] == "commands" && slices.ContainsFunc(objects, noStatus) {
		return true
	}
	return len(objects) == 0 || list && slices.ContainsFunc(objects, notObject) || slices.ContainsFunc(objects, numberedOtherwise) || sameNumber(objects)
}

func noStatus(v any) bool {
	object, _ := v.(map[string]any)
	_, there := object["status"]
	return !there
}

func notObject(v any) bool { _, object := v.(map[string]any); return !object }

const idCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-"

// numberedOtherwise reports whether an object has null for a number or time, or an epoch alone.
func numberedOtherwise(v any) bool {
	object, _ := v.(map[string]any)
	for _, key := range wire.ReservedKeys() {
		if member, there := object[key]; there && member == nil {
			return true
		}
	}
	_, epoch := object["epoch"]
	_, seq := object["seq"]
	return epoch && !seq
}

func sameNumber(objects []any) bool {
	seen := map[string]bool{}
	for _, v := range objects {
		object, _ := v.(map[string]any)
		if object["seq"] == nil {
			continue
		}
		epoch := object["epoch"]
		if epoch == nil {
			epoch = 0.0
		}
		number := fmt.Sprint(epoch, "/", object["seq"])
		if seen[number] {
			return true
		}
		seen[number] = true
	}
	return false
}

// Each listed difference is one: where this fails, the head of the file has a line too many.
func TestStandardListsWhatDiffers(t *testing.T) {
	own, file := builtIn(t), written(t)
	for _, c := range []struct{ topic, payload, builtIn, written string }{
		{"$aws/things/d/shadow/get", "", "1 twin", "1 twin"}, // built in, next to any dialect
		{"devices/d/other", "{}", "bad_topic", "unmapped"},
		{"devices/a b/telemetry", "{}", "bad_device_id", "1 telemetry"},
		{"devices/a--b/telemetry", "{}", "1 telemetry", "1 telemetry"},
		{"devices/d/events/e", "", "1 events", "ignored"},
		{"devices/d/telemetry", "", "bad_payload", "ignored"},
		{"devices/d/telemetry", "[]", "bad_payload", "unmapped"},
		{"devices/d/telemetry", "null", "bad_payload", "unmapped"},
		{"devices/d/status", `[{},"up"]`, "bad_payload", "2 status"},
		{"devices/d/telemetry", `{"seq":null}`, "bad_payload", "1 telemetry"},
		{"devices/d/telemetry", `{"epoch":1}`, "bad_payload", "1 telemetry"},
		{"devices/d/telemetry", `{"ts":null}`, "1 telemetry, 1 fault", "1 telemetry"},
		{"devices/d/telemetry", `[{"seq":1},{"seq":1}]`, "2 telemetry", "bad_payload"},
		{"devices/d/commands/reboot/ack", `{"id":"c1"}`, "1 ack", "unmapped"},
	} {
		if !listed(c.topic, c.payload) {
			t.Errorf("%s %s is not among those that differ", c.topic, c.payload)
		}
		for _, by := range []struct {
			set  *dialect.Set
			want string
		}{{own, c.builtIn}, {file, c.written}} {
			if got := inShort(by.set.Decode(c.topic, []byte(c.payload), false, arrival)); got != by.want {
				t.Errorf("%s %s: %s, want %s", c.topic, c.payload, got, by.want)
			}
		}
	}
}

func inShort(received []wire.Received, err error) string {
	refused := (*wire.Refused)(nil)
	switch {
	case errors.As(err, &refused):
		return string(refused.Reason)
	case errors.Is(err, wire.ErrUnmapped):
		return "unmapped"
	case err != nil:
		return "ignored"
	}
	short := fmt.Sprint(len(received), " ", received[0].Message.Channel)
	if n := len(received[0].Message.Faults); n > 0 {
		short += fmt.Sprintf(", %d fault", n)
	}
	return short
}

// awkward are values for every key and place.
var awkward = []string{
	"null", "true", "0", "1", "-1", "1.0", "1e3", "1.5", "9007199254740991", "9007199254740992", "1e400", "12345678901234567890", "-0", "01", "1767268799", "1795953599.25",
	"1795953599500", "1795953599500000", "1795953599500000123", "1795953600000.5", "9e99", `""`, `"1"`, `"1795953599"`, `"2026-11-29T11:59:59Z"`, `"2026-11-29t12:59:59.123456789+01:00"`,
	`"2026-11-29 11:59:59"`, `"2030-01-01T00:00:00Z"`, `"1970-01-01T00:00:00Z"`, `"online"`, `"OFFLINE"`, `"Lost"`, `" up"`, `"\u006fnline"`, `"ready\u0000"`, `"\ud800"`, `"ä<&>"`, `"\u2028"`,
	"[]", "{}", "[1,[2,{}]]", `{"ts":1,"seq":2}`, `{"a":{"b":null}}`, "tru", `"open`, "\"\xff\"", "[" + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "]",
	strings.Repeat("[", 29) + strings.Repeat("]", 29), strings.Repeat(`{"a":`, 31) + "1" + strings.Repeat("}", 31), `"` + strings.Repeat("x", 4000) + `"`,
}

var awkwardKeys = []string{"epoch", "seq", "ts", "status", "value", "a", "seq_", "Seq", "", `s\u0065q`, `\u0074s`, "id", "payload", "ä"}

var awkwardTopics = []string{
	"devices/d/telemetry", "devices/d/status", "devices/d/events/door", "devices/d/events/e.x_1-2", "devices/d/events/device.silent", "devices/d/events/twin", "devices/d/events/x y",
	"devices/d/events/", "devices/d/events/" + strings.Repeat("e", 65), "devices/a:b_c-1/telemetry", "devices//telemetry", "devices/" + strings.Repeat("d", 200) + "/status",
	"devices/d/commands/reboot", "devices/-/telemetry", "devices/d/commands/reboot/ack", "devices/d/commands/x y/ack", "devices/d/commands/device.silent/ack",
}

type generator struct{ *rand.Rand }

func (g generator) of(list []string) string { return list[g.IntN(len(list))] }

func (g generator) object() string {
	var members []string
	for range g.IntN(5) {
		value := g.of(awkward)
		if g.IntN(2) == 0 {
			value = fmt.Sprint(1 + g.IntN(9)) // good ones, so that not everything is refused
		}
		members = append(members, fmt.Sprintf("%s%q:%s", g.of([]string{"", " ", "\n"}), "K", value))
		members[len(members)-1] = strings.Replace(members[len(members)-1], `"K"`, `"`+g.of(awkwardKeys)+`"`, 1)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (g generator) payload() string {
	switch g.IntN(10) {
	case 0:
		return g.of(awkward)
	case 1:
		return g.of([]string{"", " ", "\ufeff", "\ufeff{\"a\":1}", "\xff\xfe{\x00}\x00", "\t{}\n", "{}{}", "{},", "online", "{\"a\":1}\x00"})
	case 2, 3, 4:
		var objects []string
		for range g.IntN(4) {
			objects = append(objects, g.object())
		}
		if g.IntN(20) == 0 {
			objects = slices.Repeat([]string{"{}"}, 49+g.IntN(3))
		}
		if g.IntN(10) == 0 {
			objects = append(objects, g.of(awkward))
		}
		return "[" + strings.Join(objects, ", ") + "]"
	}
	return g.object()
}

func TestStandardIsReadAsBuiltIn(t *testing.T) {
	own, file := builtIn(t), written(t)
	g := generator{rand.New(rand.NewPCG(16, 1))}
	compared, read := 0, 0
	for range 20_000 {
		topic, payload := g.of(awkwardTopics), g.payload()
		if g.IntN(2) == 0 {
			topic = g.of(awkwardTopics[:4])
		}
		if !compare(t, own, file, topic, payload) {
			continue
		}
		compared++
		if received, err := own.Decode(topic, []byte(payload), false, arrival); err == nil && len(received) > 0 {
			read++
		}
		if t.Failed() {
			return
		}
	}
	if compared < 12_000 || read < 4_000 {
		t.Errorf("%d messages were compared, of which %d were read", compared, read)
	}
}

func FuzzStandardIsReadAsBuiltIn(f *testing.F) {
	own, file := builtIn(f), written(f)
	g := generator{rand.New(rand.NewPCG(16, 2))}
	for range 300 {
		f.Add(g.of(awkwardTopics), g.payload())
	}
	f.Fuzz(func(t *testing.T, topic, payload string) { compare(t, own, file, topic, payload) })
}

// Commands are the same on the wire: to a device that the file reads, as to one of the service's own.
func TestStandardIsWrittenAsBuiltIn(t *testing.T) {
	own, file := builtIn(t), written(t)
	g := generator{rand.New(rand.NewPCG(16, 3))}
	encoded := 0
	for range 5_000 {
		id := device.ID(g.of([]string{"d", "pump-1", "a:b_c-1", "-", strings.Repeat("d", 64)}))
		received, err := file.Decode("devices/"+id.Name()+"/status", []byte(`{"status":"online"}`), false, arrival)
		if err != nil || received[0].Message.From == nil {
			t.Fatalf("device %s: %+v, %v", id, received, err)
		}
		c := wire.Command{
			ID: g.of([]string{"", "c-1", `"\<`, strings.Repeat("i", 100)}), Name: g.of([]string{"reboot", "set.x_1-2", "device.silent", strings.Repeat("n", 64)}),
			At: arrival.Add(time.Duration(g.Int64N(int64(300 * 24 * time.Hour)))), TTL: time.Duration(g.IntN(3)*g.IntN(1e6)) * time.Millisecond,
		}
		if data := g.of(awkward); g.IntN(4) > 0 && data != "1e400" && strings.Count(data, "[") < 32 {
			c.Data = json.RawMessage(data)
		}
		want, err := own.Encode(id, nil, c)
		got, failed := file.Encode(id, received[0].Message.From, c)
		if (err == nil) != (failed == nil) {
			t.Fatalf("%+v: %v, by the file %v", c, err, failed)
		}
		if err != nil {
			continue
		}
		encoded++
		if a, b := plain(t, want), plain(t, got); !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v\nis, built in, %v\nby the file   %v", c, a, b)
		}
	}
	if encoded < 3_000 {
		t.Errorf("%d commands were encoded", encoded)
	}
}

// plain is what is sent, with payloads decoded: the order of members does not count.
func plain(t *testing.T, s wire.Sending) (all []any) {
	t.Helper()
	for _, p := range s.Publications {
		var payload any
		if err := json.Unmarshal(p.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Topic, p.QoS, p.Retained, payload)
	}
	return append(all, s.Done, string(s.Shows))
}
