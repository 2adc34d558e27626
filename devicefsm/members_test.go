package devicefsm

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/device"
)

func TestReads(t *testing.T) {
	for _, test := range []struct {
		when, guard string
		want        string
	}{
		{"has(msg.a) && msg.b.c > 1", "event.x > 90", "[a b x] false"},
		{"msg['a b'] == 1 || 'd' in msg", "event.list.all(i, i > event.least)", "[a b d least list] false"},
		{"size(msg) > 1", "event.x > 90", "[x] true"},
		{"msg[msg.key] == 1", "true", "[key] true"},
		{"msg.exists(k, k == 'a')", "event == {'a': 1}", "[] true"},
		{"true", "event.x > context.limit", "[] false"}, // cannot be looked at without the context
		{"true", "event.x > 5 && event.y > context.limit", "[x] false"},
		{"true", "context.n == 1", "[] false"},
	} {
		m := load(t, fmt.Sprintf(`
model: m
events: {r: {channel: telemetry, when: %q}}
context: {n: 0, limit: 1}
initial: a
states:
  a: {on: {r: {guard: %q, target: b, actions: {assign: {n: "event.whole"}}}}}
  b: {}
`, test.when, test.guard))
		names, all := m.Reads()
		if got := fmt.Sprint(names, all); got != test.want {
			t.Errorf("when %s, guard %s: reads %s, want %s", test.when, test.guard, got, test.want)
		}
	}
}

// What Reads names is enough: with these members alone, a random model decides about
// each message as with all of them.
func TestReadsAreEnough(t *testing.T) {
	left := 0
	rapid.Check(t, func(t *rapid.T) {
		m, src := loadAnyRandom(t)
		names, all := m.Reads()
		if all {
			t.Skip("everything is looked at")
		}
		var f, g Filter
		for _, input := range repetitive(t, m) {
			if input.msg == nil || alwaysRelevant(input.msg.Channel) {
				continue
			}
			part := *input.msg
			part.Data = map[string]any{}
			for k, v := range input.msg.Data {
				if slices.Contains(names, k) {
					part.Data[k] = v
				} else {
					left++
				}
			}
			if err := differently(m, &f, &g, *input.msg, part); err != nil {
				t.Fatalf("%v\nreads %q\nmodel:\n%s", err, names, src)
			}
		}
	})
	if left == 0 {
		t.Error("no member was left out")
	}
}

func differently(m *Model, f, g *Filter, whole, part device.Message) error {
	decide := func(f *Filter, msg device.Message) string {
		name, ok := m.Classify(msg)
		event, class, settled := m.Class(msg)
		return fmt.Sprint(name, ok, m.Relevant(msg), event, class, settled, m.MayLeaveOut(msg), m.Pass(f, msg), *f)
	}
	if a, b := decide(f, whole), decide(g, part); a != b {
		return fmt.Errorf("message %+v: %s, of what is read of it: %s", whole, a, b)
	}
	return nil
}
