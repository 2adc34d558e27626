package twin

import (
	"encoding/json"
	"math/big"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func fraction(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is not a number", s)
	}
	return r
}

// FuzzRequests: whatever two clients send, there are answers, all of them JSON
// and bounded, and the document stays one that can be stored.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"state":{"desired":{"a":{"b":[1,{"c":2}]}},"reported":{"a":1}},"clientToken":"t","version":1}`,
		`{"state":{"desired":null}}`, `{"state":null}`, `{"state":{"delta":{}}}`, `{"state":{"desired":{"a":1e-5,"b":-0.10}}}`,
		`{"state":{"reported":{"\u0000\ud800":"\u2028<"}}}`, `[]`, ``, "\xff", nested(9),
	} {
		f.Add([]byte(seed), []byte(`{"state":{"desired":{"a":{"b":null}},"reported":{"a":{"b":1}}}}`))
	}
	limits := limits
	limits.Document, limits.Request = 512, 4096
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var doc Document
		for _, request := range [][]byte{first, second, first} {
			next, answers, refused := Update(doc, request, t0, limits)
			checkPayload(t, answers.Delta, 32<<10)
			checkPayload(t, answers.Documents, 64<<10)
			checkPayload(t, answers.Accepted, 256<<10)
			if refused != nil {
				checkPayload(t, refused.Payload(t0), 2048)
				if next.Version() != doc.Version() {
					t.Fatal("a refused request changed the document")
				}
				continue
			}
			changes := ChangedPaths(doc, next)
			if next.Version() != doc.Version()+1 || len(changes.Desired)+len(changes.Reported) > 2*maxPathText {
				t.Fatalf("version %d after %d, changes %v", next.Version(), doc.Version(), changes)
			}
			if size := next.desired.size() + next.reported.size(); size > limits.Document {
				t.Fatalf("the document has %d bytes", size)
			}
			checkStorage(t, next)
			doc = next
		}
		got, refused := Get(doc, "x", second, t1, limits)
		checkPayload(t, got, 64<<10)
		gone, accepted, notThere := Delete(doc, "x", first, t1, limits)
		checkPayload(t, accepted, 1024)
		if doc.Exists() != (notThere == nil) || gone.Exists() || refused == nil && !doc.Exists() {
			t.Fatalf("exists %t, get %v, delete %v", doc.Exists(), refused, notThere)
		}
		checkStorage(t, gone)
	})
}

func checkPayload(t *testing.T, b []byte, most int) {
	t.Helper()
	if b != nil && (!json.Valid(b) || !utf8.Valid(b) || len(b) > most) {
		t.Fatalf("%d bytes: %q", len(b), b)
	}
}

func checkStorage(t *testing.T, d Document) {
	t.Helper()
	b, err := d.MarshalJSON()
	if err != nil || len(b) > 4*512+128 {
		t.Fatalf("stored in %d bytes: %v", len(b), err)
	}
	var again Document
	if err := again.UnmarshalJSON(b); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if c, _ := again.MarshalJSON(); string(c) != string(b) {
		t.Fatalf("stored %s, then %s", b, c)
	}
}

// FuzzDocument: what is read back from storage can be worked with.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"v":1,"version":3,"desired":{"a":{"b":1}},"desiredAt":{"a":{"b":5}},"reported":{"a":[1]},"reportedAt":7}`))
	f.Add([]byte(`{"v":1,"version":3,"deletedAt":1764000000000}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Document
		if d.UnmarshalJSON(b) != nil {
			return
		}
		first, _ := d.MarshalJSON()
		var again Document
		if err := again.UnmarshalJSON(first); err != nil {
			t.Fatalf("%s became %s: %v", b, first, err)
		}
		checkPayload(t, Delta(d, t0), 64*len(b)+1024)
		if _, err := json.Marshal(d.Values()); err != nil {
			t.Fatal(err)
		}
		Update(d, []byte(`{"state":{"desired":{"a":{"b":{"c":1}}},"reported":null}}`), t0, limits)
	})
}
