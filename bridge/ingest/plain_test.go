package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// plainBench is a core in the plain way: everything of every message is decoded.
func plainBench(cfg Config, topics wire.Config, models ...Model) *bench {
	b := newBenchOf(cfg, true, topics, models[0], models[1:]...)
	topics.Lazy = false
	b.dialect, _ = wire.New(topics)
	a := b.models
	for _, set := range []*modelSet{a.fallback, a.unnamed} {
		if set != nil {
			set.members.all = true
		}
	}
	for _, set := range a.named {
		set.members.all = true
	}
	return b
}

// written is what a core did, for comparison.
func (b *bench) written(t testing.TB) string {
	var w strings.Builder
	for _, s := range b.out.signals {
		batch, err := json.Marshal(s.batch)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&w, "deliver %s %s %v %s\n", s.device, s.model, s.existing, batch)
	}
	for _, l := range b.out.letters {
		fmt.Fprintf(&w, "dead letter %s %s %s\n", l.Origin, l.Payload, l.Error())
	}
	fmt.Fprintf(&w, "points %q\nanswers %q\nacknowledged %s\n", b.out.points, b.out.answers, b.acks())
	for _, reason := range device.FaultReasons() {
		fmt.Fprintf(&w, "%s: %d\n", reason, b.counts.Faults[reason].Load())
	}
	return w.String()
}

var plainTopics = []string{"telemetry", "telemetry", "telemetry", "events/door", "events/opened", "status", "commands/x/ack", "twin/update"}

// play gives the core one message for each line: the first byte chooses its device and
// topic, and whether it may have been delivered before.
func (b *bench) play(lines [][]byte) {
	for i, line := range lines {
		if len(line) == 0 {
			b.now = b.now.Add(time.Minute)
			continue
		}
		c := int(line[0])
		topic := fmt.Sprintf("devices/d%d/%s", c%2, plainTopics[c/2%len(plainTopics)])
		b.deliver(topic, string(line[1:]), fmt.Sprint(i), c >= 128)
		for b.inFlight > 0 {
			b.accept(b.out.signals[len(b.out.signals)-b.inFlight].device)
		}
		b.now = b.now.Add(time.Second)
	}
}

// FuzzDecideAsThePlainWay compares a core that decodes what its models look at with
// one that decodes everything: deliveries, points, dead letters, faults and
// acknowledgements are the same, byte for byte.
func FuzzDecideAsThePlainWay(f *testing.F) {
	f.Add([]byte("\x00{\"level\":91,\"x\":{\"y\":[1,2]}}\n\x00{\"level\":92}\n\x00{\"level\":\"high\",\"seq\":3}\n\x00{\"level\":95,\"seq\":4,\"ts\":1767225600}"))
	f.Add([]byte("\x1a{\"status\":\"boot\",\"model\":\"door\"}\n\x06{\"open\":true,\"by\":{\"id\":1}}\n\x06{\"open\":1}\n\x08{}\n\x0c{\"id\":\"c\"}\n\x0e{\"state\":{\"reported\":{}}}"))
	f.Add([]byte("\x80{\"level\":91}\n\x80{\"level\":91}\n\n\n\x00[{\"level\":91},{\"lev\\u0065l\":5},{\"level\":91,\"level\":2}]\n\x00{\"level\":NaN}\n\x02{\"seq\":0}"))
	level, door := `
model: level
liveness: {silent_after: 5m, tolerance: 30s}
events:
  full:  {channel: telemetry, when: "has(msg.level) && msg.level > 90"}
  empty: {channel: telemetry, when: "'level' in msg && msg['level'] < 10"}
  other: {channel: telemetry}
context: {n: 0, last: null}
initial: idle
states:
  idle: {on: {full: high, empty: low, opened: {guard: "event.open == true", target: low}}}
  high: {on: {empty: {target: low, actions: {assign: {last: "event"}}}, other: {guard: "event.level < 80.0 && context.n < 3", target: idle}}}
  low:  {on: {full: high}, entry: [{assign: {n: "context.n + 1"}}]}
`, `
model: door
events: {reading: {channel: telemetry, when: "size(msg) > 2"}}
initial: shut
states:
  shut: {on: {door: {guard: "event.open == true", target: ajar}, reading: ajar}}
  ajar: {on: {door: {guard: "event.open == false", target: shut}}}
`
	one := []Model{modelOf(f, level)}
	both := []Model{one[0], modelOf(f, door)}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 4096 {
			return
		}
		lines := bytes.Split(script, []byte("\n"))
		for name, models := range map[string][]Model{"one model": one, "models from births": both} {
			for _, settled := range []time.Duration{time.Hour, 0} {
				cfg := DefaultConfig()
				cfg.ModelFromBirth, cfg.SettledFor, cfg.QuotaBurst, cfg.QuotaRate = len(models) > 1, settled, 20, 1
				topics := wire.DefaultConfig()
				topics.MaxDepth, topics.MaxObjects, topics.MaxPayload = 8, 10, 2048
				selecting, plain := newBenchOf(cfg, true, topics, models[0], models[1:]...), plainBench(cfg, topics, models...)
				selecting.play(lines)
				plain.play(lines)
				if got, want := selecting.written(t), plain.written(t); got != want {
					t.Fatalf("%s, settled for %v: did\n%s\nwant\n%s", name, settled, got, want)
				}
			}
		}
	})
}
