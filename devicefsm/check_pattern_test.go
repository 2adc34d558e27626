package devicefsm

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"devicetwin/devicefsm/pattern"
)

// TestWhatIsSaidOfPatternsHolds: what check reports of sequences is what they do.
func TestWhatIsSaidOfPatternsHolds(t *testing.T) {
	for _, c := range []struct{ sequence, events, matched string }{
		// With the absence at the end, nothing matches before the time is up.
		{"[a, {notFollowedBy: b}]", "a c", ""},
		{"[a, {notFollowedBy: b}, {event: c, optional: true}]", "a b", "0"},
		{"[a, {notNext: b}, {event: c, times: {max: 3}}]", "a b", "0"},
		{"[a, {notFollowedBy: b}, {event: c, optional: true}, d]", "a c d", "2"},
		{"[a, {notFollowedBy: b}, {event: c, optional: true}, d]", "a b d", ""},
		{"[a, {event: b, times: {min: 1, max: 2}, name: first}, {event: b, name: last}]", "a b b b b", "2"},
		{"[a, {event: b, times: {min: 1, max: 2}, greedy: true, name: first}, {event: b, name: last}]", "a b b b b", ""},
		{"[a, {event: b, optional: true, greedy: true, name: first}, {event: c, optional: true}, {event: b, name: last}]", "a b c b b", "3"},
		{"[a, {event: b, optional: true, greedy: true, name: first}, {event: b, name: last}]", "a b c b b", ""},
		{"[a, {event: b, oneOrMore: true, greedy: true, name: first}, {notFollowedBy: d}, {event: b, name: last}]", "a b c b b", ""},
		{"[{event: b, oneOrMore: true, greedy: true, name: first}, c, {event: b, name: last}]", "b b c b", "3"},
	} {
		d := start(t, load(t, "patterns: {p: {sequence: "+c.sequence+", within: 1h}}\ninitial: s\nstates: {s: {}}"))
		var matched []string
		for i, event := range strings.Fields(c.events) {
			d.now = d.now.Add(1e9)
			if d.send(event, nil); len(d.out.Matched) > 0 {
				matched = append(matched, fmt.Sprint(i))
			}
		}
		if got := strings.Join(matched, " "); got != c.matched {
			t.Errorf("%s on %q matches at %q, want %q", c.sequence, c.events, got, c.matched)
		}
	}
}

// TestOneBoundOfEachPatternKey: the loader, the compiler of patterns, the schema and the
// reference say the same.
func TestOneBoundOfEachPatternKey(t *testing.T) {
	docs, err := os.ReadFile("../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	for key, most := range map[string]int{"max_partials": pattern.MaxPartialsLimit, "max_kept": maxKeptEvents} {
		with := func(n int) error {
			_, err := Load("m.yaml", fmt.Appendf(nil, "patterns: {p: {sequence: ['*'], %s: %d}}\ninitial: a\nstates: {a: {}}", key, n))
			return err
		}
		for _, n := range []int{1, most} {
			if err := with(n); err != nil {
				t.Errorf("%s: %d: %v", key, n, err)
			}
		}
		for _, n := range []int{-1, 0, most + 1, 1 << 40} {
			if err := with(n); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("from 1 to %d, found %d", most, n)) {
				t.Errorf("%s: %d: %v", key, n, err)
			}
		}
		if word := patternWords[key]; word["minimum"] != 1 || word["maximum"] != most {
			t.Errorf("%s: schema %v", key, word)
		}
		if want := fmt.Sprintf("at most %d |", most); !strings.Contains(lineWith(string(docs), "| `"+key+"` |"), want) {
			t.Errorf("docs/models.md does not say %q of %s", want, key)
		}
	}
	_, err = pattern.Compile(pattern.Spec{Steps: []pattern.Step{{Name: "a", Match: func(pattern.Event, pattern.Bindings) bool { return true }}}, MaxPartials: 257})
	if want := fmt.Sprintf("pattern \"\": max partials must be between 1 and %d, not 257", pattern.MaxPartialsLimit); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func lineWith(text, begin string) string {
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, begin) {
			return line
		}
	}
	return ""
}

// A bound of 0 does not bound, which is hardly what was meant: an event exactly at the end of
// `within` is too late.
func TestABoundOfZeroIsWarnedOf(t *testing.T) {
	for _, key := range []string{"within", "max_idle"} {
		src := "patterns: {p: {sequence: [a, b], " + key + ": 0s}}\ninitial: s\nstates: {s: {}}"
		load(t, src)
		if _, err := Check("m.yaml", []byte(src)); err == nil || !strings.Contains(err.Error(), key+" of 0 sets no bound") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
