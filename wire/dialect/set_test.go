package dialect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/mqtt"
	"devicetwin/wire"
)

// drawDialects are one or two dialects of a few templates between which something decides; each
// message says in its data which template it is of.
func drawDialects(t *rapid.T) (all []*Dialect, templates []*template) {
	for i := range rapid.IntRange(1, 2).Draw(t, "dialects") {
		text := fmt.Sprintf("dialect: d%d\ntopics:\n", i)
		for range rapid.IntRange(1, 4).Draw(t, "topics") {
			a := drawTemplate(t, "topic")
			if rapid.IntRange(0, 5).Draw(t, "$") == 0 {
				a = mustTemplate(t, "$x/"+a.text)
			}
			tie := func(b *template) bool { return moreExact(a, b) == 0 && share(a, b) }
			if len(a.names) == 0 || slices.ContainsFunc(templates, tie) || a.fixed() && share(a, filterTemplate("devices/#")) {
				continue
			}
			templates = append(templates, a)
			text += fmt.Sprintf("  - {topic: %q, channel: telemetry, id: 'd{%s}', data: {of: '\"%s\"'}}\n", a.text, a.names[0], a.text)
		}
		if !strings.HasSuffix(text, "}\n") {
			continue
		}
		d, err := Load("d.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		all = append(all, d)
	}
	return all, templates
}

// of is which template a message was read by: "none" for no message.
func of(t *rapid.T, received []wire.Received, err error) string {
	refused := (*wire.Refused)(nil)
	switch {
	case errors.Is(err, wire.ErrUnmapped):
		return "none"
	case errors.As(err, &refused) && refused.Reason == wire.ReasonBadDeviceID:
		return "bad id" // an empty level
	case err != nil || len(received) != 1:
		t.Fatalf("%d messages, %v", len(received), err)
	}
	received[0].Complete()
	return received[0].Message.Data["of"].(string)
}

// The rule of a topic is the most exact one that matches, whatever the order of rules and dialects;
// a set reads as each dialect alone where no other has the topic; and the filters of a set bring
// in what a rule matches, once.
func TestSetsProperty(t *testing.T) {
	read, contested := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		dialects, templates := drawDialects(t)
		set, err := NewSet(wire.DefaultConfig(), dialects...)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(dialects)
		other, err := NewSet(wire.DefaultConfig(), dialects...)
		if err != nil {
			t.Fatal(err)
		}
		var alone []*Set
		for _, d := range dialects {
			s, err := NewSet(wire.DefaultConfig(), d)
			if err != nil {
				t.Fatal(err)
			}
			alone = append(alone, s)
		}
		for range 20 {
			topic := topics.Draw(t, "topic")
			if rapid.IntRange(0, 5).Draw(t, "$") == 0 {
				topic = "$x/" + topic
			}
			if topic == "" || len(dialects) == 0 {
				continue
			}
			var matching []*template
			for _, a := range templates {
				if a.match(topic, make([]string, len(a.names))) {
					matching = append(matching, a)
				}
			}
			received, err := set.Decode(topic, []byte("{}"), false, now)
			got := of(t, received, err)
			received, err = other.Decode(topic, []byte("{}"), false, now)
			if again := of(t, received, err); again != got {
				t.Fatalf("topic %s: %s, and in another order %s", topic, got, again)
			}
			checkMostExact(t, topic, got, matching)
			brought := 0
			for _, f := range set.Filters() {
				if mqtt.Matches(f, topic) {
					brought++
				}
			}
			if len(matching) > 0 && brought != 1 || brought > 1 {
				t.Fatalf("%d filters of %q bring in %s", brought, set.Filters(), topic)
			}
			var readers []string
			for _, s := range alone {
				received, err := s.Decode(topic, []byte("{}"), false, now)
				if by := of(t, received, err); by != "none" {
					readers = append(readers, by)
				}
			}
			switch len(readers) {
			case 0:
				if got != "none" {
					t.Fatalf("topic %s: nobody reads it alone, and together %s", topic, got)
				}
			case 1:
				read++
				if readers[0] != got {
					t.Fatalf("topic %s: alone %s, together %s", topic, readers[0], got)
				}
			default:
				contested++
				if !slices.Contains(readers, got) {
					t.Fatalf("topic %s: alone %q, together %s", topic, readers, got)
				}
			}
		}
	})
	if read == 0 || contested == 0 {
		t.Errorf("%d topics had a reader, %d several", read, contested)
	}
}

// checkMostExact holds a reading to the definition: level by level, the more exact one wins.
func checkMostExact(t *rapid.T, topic, got string, matching []*template) {
	if len(matching) == 0 {
		if got != "none" {
			t.Fatalf("topic %s: %s reads it, and does not match", topic, got)
		}
		return
	}
	best := slices.MinFunc(matching, moreExact)
	if got != best.text && got != "bad id" {
		t.Fatalf("topic %s: %s reads it, and %s is more exact", topic, got, best.text)
	}
	for _, m := range matching {
		if m != best && moreExact(best, m) >= 0 {
			t.Fatalf("topic %s: nothing decides between %s and %s", topic, best.text, m.text)
		}
	}
}

// No two filters that are put together match one topic, and each topic of those given is
// matched: also with $, and with wildcards in the first level.
func TestFiltersTogetherProperty(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "+", "", "$x", "$y", "#"})
	filter := rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(level, 1, 3).Draw(t, "levels")
		for i, l := range levels {
			if l == "#" {
				levels = levels[:i+1]
				break
			}
		}
		if f := strings.Join(levels, "/"); f != "" {
			return f
		}
		return "a"
	})
	topic := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "$x", "$y"}), 1, 4), func(l []string) string { return strings.Join(l, "/") })
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.SliceOfN(filter, 1, 5).Draw(t, "filters")
		all := together(slices.Clone(given))
		for _, f := range all {
			if err := mqtt.CheckFilter(f); err != nil {
				t.Fatalf("%q together: %v", given, err)
			}
		}
		for range 20 {
			topic := topic.Draw(t, "topic")
			if topic == "" {
				continue
			}
			matches := func(filters []string) (n int) {
				for _, f := range filters {
					if mqtt.Matches(f, topic) {
						n++
					}
				}
				return n
			}
			if n := matches(all); n > 1 || n == 0 && matches(given) > 0 {
				t.Fatalf("%q together are %q, of which %d match %s", given, all, n, topic)
			}
			if got, want := filterTemplate(given[0]).match(topic, nil), mqtt.Matches(given[0], topic); got != want {
				t.Fatalf("the template of %s matches %s: %v", given[0], topic, got)
			}
		}
	})
}
