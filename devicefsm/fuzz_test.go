package devicefsm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"devicetwin/device"
)

// FuzzLoad: whatever a model file holds, loading it ends, and a model that
// loads can start and run.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/broken/*.yaml", "../models/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	for _, c := range chartCases {
		f.Add([]byte(c.model))
	}
	f.Add([]byte(benchModel))
	f.Add([]byte(faultsModel))
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := Load("fuzz.yaml", src)
		if err != nil {
			return
		}
		again, err := Load("fuzz.yaml", src)
		if err != nil || again.Hash() != m.Hash() {
			t.Fatalf("the second load differs: %v", err)
		}
		s, _ := m.Start(t0)
		for i, name := range []string{"a", "go", "fault.x", "crash_loop", device.EventSilent, ""} {
			s, _ = m.Step(s, Event{Name: name, Data: obj{"x": 1.0}, Time: t0.Add(time.Duration(i) * time.Hour), Alive: i%2 == 0})
			if !s.done {
				if err := wellFormed(m, s); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

const fuzzStepModel = `
liveness: {silent_after: 1m, tolerance: 1s}
patterns:
  p: {sequence: [{event: a, where: "event.x > 1", times: 2}, {event: b, where: "matched.a[0].x == event.x"}], within: 10m, skip: none, timeout: true}
  q: {sequence: [{event: "*", oneOrMore: true}, {event: end}], contiguity: any}
windows:
  names: {event: "*", value: event, aggregate: distinct, over: 1h, slide: 5m}
  sum: {event: a, where: has(event.x), value: event.x, aggregate: sum, over: 10m, slide: 1m, grace: 90s}
  days: {event: b, aggregate: count, over: day, zone: "+05:45"}
context: {seen: [], last: null, n: 0}
initial: idle
states:
  idle:
    on:
      a: {actions: [{assign: {seen: "context.seen + [event]", n: "context.n + event.x"}}, {raise: {event: later, delay: 1h, data: {e: event}}}]}
      b: {target: busy, actions: [{assign: {last: event}}]}
      p: {target: busy, actions: [{command: {name: open, data: {m: event.matched}}}]}
      sum.closed: {guard: windows.names.value > 3, actions: [{assign: {last: event.value}}]}
      "*": {guard: "event.x == 1", target: busy, reenter: true}
  busy:
    invoke: {src: work, input: {e: event}, onDone: idle, onError: idle}
    after: {"event.delay": idle, 10s: idle}
    always: {guard: "event.stop", target: idle}
`

// FuzzStep: hostile events (huge numbers, deep JSON, unknown keys, invalid
// UTF-8, times that run backwards) neither panic nor grow the snapshot.
func FuzzStep(f *testing.F) {
	f.Add("a", []byte(`{"x":2}`), "b", []byte(`{"x":2,"stop":true}`), int64(5000), int64(-1000))
	f.Add("a", []byte(`{"x":1e308,"y":[[[[[[[[]]]]]]]]}`), "done.invoke.work-1", []byte(`null`), int64(1<<62), int64(-1<<62))
	f.Add("\xff\xfe", []byte(`{"\ud800":"\ud800","delay":"30d"}`), "end", []byte(`{"delay":-1}`), int64(0), int64(0))
	f.Add("b", []byte(`{"delay":"duration"}`), "error.invoke.work-1", []byte(`{"message":{}}`), int64(1), int64(1))
	m, err := Load("fuzz.yaml", []byte(fuzzStepModel))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name1 string, data1 []byte, name2 string, data2 []byte, ms1, ms2 int64) {
		if len(data1)+len(data2) > 1<<17 {
			return
		}
		var d1, d2 map[string]any
		_ = json.Unmarshal(data1, &d1)
		_ = json.Unmarshal(data2, &d2)
		s, _ := m.Start(t0)
		for i := range 100 {
			ev := Event{Name: name1, Data: d1, Time: time.UnixMilli(t0.UnixMilli() + ms1*int64(i))}
			if i%3 == 1 {
				ev = Event{Name: name2, Data: d2, Time: time.UnixMilli(t0.UnixMilli() + ms2*int64(i)), Alive: true}
			}
			switch i % 5 {
			case 1:
				ev.Arrived = time.UnixMilli(t0.UnixMilli() + ms2*int64(i))
			case 2:
				ev = ev.OfService()
			}
			next, out := m.Step(s, ev)
			s = next
			if len(out.Faults) > maxFaults+1 || len(out.Actions) > 3*maxFirings*maxMicrosteps {
				t.Fatalf("%d faults, %d actions", len(out.Faults), len(out.Actions))
			}
			m.Relevant(device.Message{Channel: device.ChannelEvents, Name: name1, Data: d1})
		}
		if !utf8.ValidString(name1 + name2) {
			return // JSON would replace what is not UTF-8
		}
		if err := wellFormed(m, s); err != nil {
			t.Fatal(err)
		}
		if text, _ := json.Marshal(s); len(text) > 512<<10 {
			t.Fatalf("the snapshot has %d bytes", len(text))
		}
	})
}
