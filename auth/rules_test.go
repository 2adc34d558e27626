package auth

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/mqtt"
)

// What a filter covers, it matches: every topic that the other one can match.
func TestCoversMeansMatches(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "$a", "", "+"})
	filters := rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(level, 0, 4).Draw(t, "levels")
		if len(levels) == 0 || rapid.Bool().Draw(t, "open") {
			levels = append(levels, "#")
		}
		return strings.Join(levels, "/")
	})
	topics := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "$a", ""}), 1, 5).Draw(t, "topic"), "/")
	}), 20, 20)
	rapid.Check(t, func(t *rapid.T) {
		wide, narrow := filters.Draw(t, "wide"), filters.Draw(t, "narrow")
		if !Covers(narrow, narrow) {
			t.Fatalf("%q does not cover itself", narrow)
		}
		for _, topic := range topics.Draw(t, "topics") {
			if Covers(wide, narrow) && mqtt.Matches(narrow, topic) && !mqtt.Matches(wide, topic) {
				t.Fatalf("%q covers %q, and does not match its %q", wide, narrow, topic)
			}
			if Covers(wide, topic) != mqtt.Matches(wide, topic) {
				t.Fatalf("%q covers topic %q: %v, and matches it: %v", wide, topic, Covers(wide, topic), mqtt.Matches(wide, topic))
			}
		}
	})
}
