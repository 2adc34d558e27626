package dialect

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/wire"
)

// ways are topics of devices, the template of their ids, and topics to which something is sent.
var ways = []struct{ in, id, out string }{
	{"in/{a}/{b}/s", "{a}:{b}", "out/{b}/{a}"},
	{"in/{a}/x-{b}.y/s", "p_{a}_{b}", "out/{a}/{b}-z/{command}"},
	{"in/{a...}/s", "m:{a}", "out/{a...}/set"},
	{"in/{a...}/{b}", "{b}:{a}", "out/{b}/{a...}"},
	{"in/{r}/{a}/s", "{a}", "out/{r}/{a}/{command}"},
	{"in/{a}/{r...}/s", "{a}", "out/{a}/{r...}"},
	{"{a}/s", "{a}", "{a}/set"},
	{"{a...}/s", "{a}", "{a...}/set"},
}

// Whatever the variables of a topic are from which Decode makes a device, Encode writes a topic of
// which the same variables are read.
func TestEncodeFindsTheTopicOfEachDevice(t *testing.T) {
	var sets []*Set
	for _, w := range ways {
		sets = append(sets, load(t, "dialect: plugs\ntopics: [{topic: '"+w.in+"', channel: telemetry, id: '"+w.id+"'}, {topic: '{a...}/set', channel: ignored}]\n"+
			"commands: [{id: '"+w.id+"', topic: '"+w.out+"'}]\nask: [{at: birth, id: '"+w.id+"', topic: '"+strings.ReplaceAll(w.out, "{command}", "x")+"'}]"))
	}
	level := rapid.StringOfN(rapid.SampledFrom([]rune("a9f-:_. @é${}\"\\")), 1, 5, -1)
	levels := rapid.StringOfN(rapid.SampledFrom([]rune("a-:/_$é")), 1, 8, -1)
	written := 0
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(ways)-1).Draw(t, "way")
		w, s := ways[i], sets[i]
		in, out := mustTemplate(t, w.in), mustTemplate(t, w.out)
		values := map[string]string{"command": "go"}
		for n, name := range in.names {
			values[name] = level.Draw(t, name)
			if in.several(n) {
				values[name] = levels.Draw(t, name)
			}
		}
		value := func(name string) string { return values[name] }
		topic, err := in.fill(value)
		if err != nil {
			t.Fatal(err)
		}
		received, err := s.Decode(topic, []byte("{}"), false, now)
		if err != nil { // such as one of $SYS
			return
		}
		read := make([]string, len(in.names))
		if !in.match(topic, read) {
			t.Fatalf("%s is not of %s", topic, w.in)
		}
		for n, name := range in.names { // of two variables, both may have a - that is a fixed part
			values[name] = read[n]
		}
		want, err := out.fill(value)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Encode(received[0].ID, received[0].Message.From, wire.Command{ID: "1", Name: "go"})
		if err != nil {
			t.Fatalf("device %s of %q: %v", received[0].ID, topic, err)
		}
		if is := got.Publications[0].Topic; is != want {
			t.Fatalf("device %s of %q: sent to %q, want %q", received[0].ID, topic, is, want)
		}
		if asked := s.Questions(received[0].ID, received[0].Message.From); len(asked) != 1 {
			t.Fatalf("device %s of %q is not asked", received[0].ID, topic)
		}
		written++
	})
	if written < 50 {
		t.Errorf("%d topics", written)
	}
}
