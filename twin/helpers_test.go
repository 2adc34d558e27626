package twin

import (
	"encoding/json"
	"testing"
	"time"
)

var (
	t0     = time.Unix(1764000000, 0).UTC()
	t1     = t0.Add(time.Minute)
	limits = DefaultLimits()
)

// update applies a request that must be accepted.
func update(t testing.TB, doc Document, request string, now time.Time) (Document, Answers) {
	t.Helper()
	next, answers, refused := Update(doc, []byte(request), now, limits)
	if refused != nil {
		t.Fatalf("%s was refused: %v", request, refused)
	}
	return next, answers
}

// made is the document after requests, all at t0.
func made(t testing.TB, requests ...string) Document {
	t.Helper()
	var doc Document
	for _, r := range requests {
		doc, _ = update(t, doc, r, t0)
	}
	return doc
}

// states is desired and reported, as one JSON text.
func states(d Document) string {
	state, _ := d.parts()
	return string(appendValue(nil, state))
}

func same(t testing.TB, what string, got []byte, want string) {
	t.Helper()
	if string(got) != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func stored(t testing.TB, d Document) string {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// part is the value at keys of a JSON text.
func part(t testing.TB, text []byte, keys ...string) any {
	t.Helper()
	v, err := decode(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, k := range keys {
		o, ok := v.(object)
		if !ok {
			return nil
		}
		v = o[k]
	}
	return v
}

func partText(t testing.TB, text []byte, keys ...string) string {
	t.Helper()
	return string(appendValue(nil, part(t, text, keys...)))
}
