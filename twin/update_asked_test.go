package twin

import (
	"slices"
	"testing"
	"time"
)

func TestAskedPaths(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	doc, _, refused := Update(Document{}, []byte(`{"state": {"desired": {"a": 1, "b": {"c": 2}}}}`), now, DefaultLimits())
	if refused != nil {
		t.Fatal(refused)
	}
	for payload, want := range map[string][]string{
		`{"state": {"desired": {"a": 1}}}`:                             {"a"}, // though it changes nothing
		`{"state": {"desired": {"b": {"c": 3, "d": [1]}, "a": null}}}`: {"b.c", "b.d"},
		`{"state": {"desired": null}}`:                                 nil,
		`{"state": {"reported": {"a": 1}}}`:                            nil,
	} {
		_, answers, refused := Update(doc, []byte(payload), now, DefaultLimits())
		if refused != nil {
			t.Fatal(refused)
		}
		if got := answers.Asked(); !slices.Equal(got, want) {
			t.Errorf("%s asks for %v, want %v", payload, got, want)
		}
	}
}
