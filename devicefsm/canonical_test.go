package devicefsm

import "testing"

const hashed = `
model: m
events:
  a: {channel: telemetry, when: "msg.x > 1"}
  b: {channel: status}
config: {p: 1, q: [1, 2]}
context: {x: 1, y: {z: 2}}
liveness: {silent_after: 90s}
initial: s
states:
  s: {on: {a: t, b: [{guard: "event.x > 1", target: t}, {target: s}]}, after: {1m: t}}
  t: {}
`

func TestHashIgnoresWhatMeansNothing(t *testing.T) {
	want := load(t, hashed).Hash()
	if len(want) != 64 {
		t.Fatalf("hash %q", want)
	}
	for name, src := range map[string]string{
		"comments, white space, key order, quotes, other spellings of durations and numbers": `
# a comment
states:
    "s":   # another
        after: {60s: t}
        on:
            a: t
            b:
                - {target: t, guard: 'event.x > 1'}
                - target: s
    t: {description: for people}
initial: s
liveness: {silent_after: 1m30s}
context: {y: {z: 2.0}, x: 1}
config: {q: [1, 2], p: 1}
model: m
events:
  a: {when: "msg.x > 1", channel: telemetry}
  b: {channel: status}
`,
		"JSON": `{"model": "m", "events": {"a": {"channel": "telemetry", "when": "msg.x > 1"}, "b": {"channel": "status"}},
"config": {"p": 1, "q": [1, 2]}, "context": {"x": 1, "y": {"z": 2}}, "liveness": {"silent_after": "90s"}, "initial": "s",
"states": {"s": {"on": {"a": "t", "b": [{"guard": "event.x > 1", "target": "t"}, {"target": "s"}]}, "after": {"60000": "t"}}, "t": {}}}`,
	} {
		if got := load(t, src).Hash(); got != want {
			t.Errorf("%s: the hash differs", name)
		}
	}
}

func TestHashKnowsWhatMeansSomething(t *testing.T) {
	seen := map[string]string{load(t, hashed).Hash(): "the model"}
	for name, src := range map[string]string{
		"order of events": `
model: m
events:
  b: {channel: status}
  a: {channel: telemetry, when: "msg.x > 1"}
config: {p: 1, q: [1, 2]}
context: {x: 1, y: {z: 2}}
liveness: {silent_after: 90s}
initial: s
states:
  s: {on: {a: t, b: [{guard: "event.x > 1", target: t}, {target: s}]}, after: {1m: t}}
  t: {}
`,
		"order of transitions": `
model: m
events:
  a: {channel: telemetry, when: "msg.x > 1"}
  b: {channel: status}
config: {p: 1, q: [1, 2]}
context: {x: 1, y: {z: 2}}
liveness: {silent_after: 90s}
initial: s
states:
  s: {on: {b: [{guard: "event.x > 1", target: t}, {target: s}], a: t}, after: {1m: t}}
  t: {}
`,
		"order of states": `
model: m
events:
  a: {channel: telemetry, when: "msg.x > 1"}
  b: {channel: status}
config: {p: 1, q: [1, 2]}
context: {x: 1, y: {z: 2}}
liveness: {silent_after: 90s}
initial: s
states:
  t: {}
  s: {on: {a: t, b: [{guard: "event.x > 1", target: t}, {target: s}]}, after: {1m: t}}
`,
	} {
		h := load(t, src).Hash()
		if other := seen[h]; other != "" {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[h] = name
	}
}
