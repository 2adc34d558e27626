package twin

import (
	"testing"
	"time"
)

// The tests are named by the numbers of the protocol's rules, which are:
// 1 merge, 2 arrays, 3 delta, 4 publication, 5 versions, 6 deletion,
// 7 state.delta, 8 order.

func TestRule1DeepMerge(t *testing.T) {
	for _, c := range []struct{ name, start, request, want string }{
		{"a key is added", `{"state":{"desired":{"a":1}}}`, `{"state":{"desired":{"b":2}}}`, `{"desired":{"a":1,"b":2}}`},
		{"a key is replaced", `{"state":{"desired":{"a":1}}}`, `{"state":{"desired":{"a":"x"}}}`, `{"desired":{"a":"x"}}`},
		{"objects are gone into", `{"state":{"reported":{"a":{"b":{"c":1,"d":2}}}}}`, `{"state":{"reported":{"a":{"b":{"c":3}}}}}`, `{"reported":{"a":{"b":{"c":3,"d":2}}}}`},
		{"an object replaces a value", `{"state":{"reported":{"a":1}}}`, `{"state":{"reported":{"a":{"b":2,"c":null}}}}`, `{"reported":{"a":{"b":2}}}`},
		{"a value replaces an object", `{"state":{"reported":{"a":{"b":2}}}}`, `{"state":{"reported":{"a":false}}}`, `{"reported":{"a":false}}`},
		{"both sections at once", `{"state":{"desired":{"a":1}}}`, `{"state":{"desired":{"a":2},"reported":{"a":1}}}`, `{"desired":{"a":2},"reported":{"a":1}}`},
		{"an empty object is a value", `{"state":{"desired":{"a":1}}}`, `{"state":{"desired":{"b":{}}}}`, `{"desired":{"a":1,"b":{}}}`},
		{"an empty object changes no object", `{"state":{"desired":{"a":{"b":1}}}}`, `{"state":{"desired":{"a":{}}}}`, `{"desired":{"a":{"b":1}}}`},
		{"an empty state changes nothing", `{"state":{"desired":{"a":1}}}`, `{"state":{}}`, `{"desired":{"a":1}}`},
		{"keys with dots, spaces and letters of any script", `{"state":{}}`, `{"state":{"reported":{"a.b":{" ":{"ключ\n\"":"ü<&>"}}}}}`, `{"reported":{"a.b":{" ":{"ключ\n\"":"ü<&>"}}}}`},
		{"keys differ by case", `{"state":{"desired":{"a":1}}}`, `{"State":1,"state":{"desired":{"A":2}}}`, `{"desired":{"A":2,"a":1}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, _ := update(t, made(t, c.start), c.request, t1)
			same(t, "state", []byte(states(doc)), c.want)
		})
	}
}

func TestRule1NullRemoves(t *testing.T) {
	const start = `{"state":{"desired":{"a":{"b":1},"c":2},"reported":{"a":{"b":1}}}}`
	for _, c := range []struct{ name, request, want string }{
		{"a key", `{"state":{"desired":{"c":null}}}`, `{"desired":{"a":{"b":1}},"reported":{"a":{"b":1}}}`},
		{"a key within: its object stays", `{"state":{"desired":{"a":{"b":null}}}}`, `{"desired":{"a":{},"c":2},"reported":{"a":{"b":1}}}`},
		{"an object", `{"state":{"desired":{"a":null}}}`, `{"desired":{"c":2},"reported":{"a":{"b":1}}}`},
		{"what is not there: nothing", `{"state":{"desired":{"x":null}}}`, `{"desired":{"a":{"b":1},"c":2},"reported":{"a":{"b":1}}}`},
		{"the last key, and with it the section", `{"state":{"reported":{"a":null}}}`, `{"desired":{"a":{"b":1},"c":2}}`},
		{"desired", `{"state":{"desired":null}}`, `{"reported":{"a":{"b":1}}}`},
		{"reported", `{"state":{"reported":null}}`, `{"desired":{"a":{"b":1},"c":2}}`},
		{"desired, while reported changes", `{"state":{"desired":null,"reported":{"a":null,"z":0}}}`, `{"reported":{"z":0}}`},
		{"both, but not the document", `{"state":null}`, `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, _ := update(t, made(t, start), c.request, t1)
			same(t, "state", []byte(states(doc)), c.want)
			if !doc.Exists() {
				t.Error("the document is gone")
			}
		})
	}
}

func TestRule1VersionRisesEitherWay(t *testing.T) {
	var doc Document
	for i, request := range []string{
		`{"state":{"desired":{"a":1}}}`, `{"state":{"desired":{"a":1}}}`, `{"state":{}}`,
		`{"state":{"desired":null}}`, `{"state":null}`, `{"state":{"reported":{"x":null}}}`,
	} {
		if doc, _ = update(t, doc, request, t0); doc.Version() != int64(i+1) {
			t.Fatalf("after %s: version %d, want %d", request, doc.Version(), i+1)
		}
	}
}

func TestRule2ArraysAreValues(t *testing.T) {
	doc := made(t, `{"state":{"desired":{"a":[1,2,{"b":[3]}]}}}`)
	next, answers := update(t, doc, `{"state":{"desired":{"a":[2,{"b":[4,5]}]}}}`, t1)
	same(t, "replaced whole", []byte(states(next)), `{"desired":{"a":[2,{"b":[4,5]}]}}`)
	same(t, "metadata", []byte(partText(t, answers.Accepted, "metadata")),
		`{"desired":{"a":[{"timestamp":1764000060},{"b":[{"timestamp":1764000060},{"timestamp":1764000060}]}]}}`)

	next, answers = update(t, next, `{"state":{"reported":{"a":[2,{"b":[4.0,5]}]}}}`, t1)
	if answers.Delta != nil {
		t.Errorf("equal arrays have a delta: %s", answers.Delta)
	}
	for _, reported := range []string{`[2,{"b":[4]}]`, `[2,{"b":[4,5],"c":1}]`, `[2,{"c":[4,5]}]`, `[2]`, `[{"b":[4,5]},2]`, `[]`, `{}`, `"x"`} {
		_, answers = update(t, next, `{"state":{"reported":{"a":`+reported+`}}}`, t1)
		same(t, "the whole array against "+reported, []byte(partText(t, answers.Delta, "state")), `{"a":[2,{"b":[4,5]}]}`)
	}
}

func TestRule2NullInArrayIsRefused(t *testing.T) {
	doc := made(t, `{"state":{"desired":{"a":[1]}}}`)
	for _, array := range []string{`[null]`, `[1,[null]]`, `[{"b":null}]`} {
		next, _, refused := Update(doc, []byte(`{"state":{"desired":{"a":`+array+`}}}`), t1, limits)
		if refused == nil || refused.Code != 400 || refused.Message != "State contains an invalid node" {
			t.Errorf("%s: %v", array, refused)
		}
		if next.Version() != 1 {
			t.Errorf("%s changed the document", array)
		}
	}
}

func TestRule3Delta(t *testing.T) {
	for _, c := range []struct{ name, desired, reported, want string }{
		{"missing", `{"a":1}`, `{"b":1}`, `{"a":1}`},
		{"no reported at all", `{"a":{"b":1}}`, `null`, `{"a":{"b":1}}`},
		{"different", `{"a":1}`, `{"a":2}`, `{"a":1}`},
		{"nested up to the root", `{"a":{"b":{"c":1,"d":2}},"e":3}`, `{"a":{"b":{"c":1,"d":0}},"e":3}`, `{"a":{"b":{"d":2}}}`},
		{"only in reported: never", `{"a":{"b":1}}`, `{"a":{"b":1,"c":2},"d":3}`, ``},
		{"1 equals 1.0", `{"a":1}`, `{"a":1.0}`, ``},
		{"1200 equals 1.2e3", `{"a":1200}`, `{"a":1.2e3}`, ``},
		{"0.5 equals 5E-1", `{"a":0.5}`, `{"a":5E-1}`, ``},
		{"0 equals -0.0", `{"a":0}`, `{"a":-0.0}`, ``},
		{"1 differs from -1", `{"a":1}`, `{"a":-1}`, `{"a":1}`},
		{"beyond what doubles distinguish", `{"a":9007199254740993}`, `{"a":9007199254740992}`, `{"a":9007199254740993}`},
		{"a number is not a string", `{"a":1}`, `{"a":"1"}`, `{"a":1}`},
		{"false is not nothing", `{"a":false}`, `{"b":0}`, `{"a":false}`},
		{"an object against a value", `{"a":{"b":1}}`, `{"a":5}`, `{"a":{"b":1}}`},
		{"a value against an object", `{"a":5}`, `{"a":{"b":1}}`, `{"a":5}`},
		{"an empty object is there or not", `{"a":{}}`, `{"b":1}`, `{"a":{}}`},
		{"an empty object asks for no keys", `{"a":{}}`, `{"a":{"b":1}}`, ``},
		{"nothing desired", `null`, `{"a":1}`, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, answers := update(t, Document{}, `{"state":{"desired":`+c.desired+`,"reported":`+c.reported+`}}`, t0)
			got, err := Get(doc, "pump", nil, t0, limits)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if answers.Delta != nil || part(t, got, "state", "delta") != nil || len(DeltaPaths(doc)) > 0 {
					t.Errorf("there is a delta: %s, %s", answers.Delta, got)
				}
				return
			}
			same(t, "update/delta", []byte(partText(t, answers.Delta, "state")), c.want)
			same(t, "get/accepted", []byte(partText(t, got, "state", "delta")), c.want)
		})
	}
}

func TestRule4DeltaIsPublishedWhileItIsNotEmpty(t *testing.T) {
	doc, answers := update(t, Document{}, `{"state":{"desired":{"a":1,"b":2}}}`, t0)
	topics := func(a Answers) (s string) {
		for _, m := range a.Messages() {
			s += m.Topic + " "
			if v := part(t, m.Payload, "version"); m.Topic != "update/documents" && v != part(t, a.Documents, "current", "version") {
				t.Errorf("%s has version %v", m.Topic, v)
			}
		}
		return s
	}
	const all = "update/delta update/documents update/accepted "
	if got := topics(answers); got != all {
		t.Errorf("published: %s", got)
	}
	// A change of another key: the delta has all differing keys again.
	doc, answers = update(t, doc, `{"state":{"reported":{"c":3}}}`, t0)
	same(t, "delta", []byte(partText(t, answers.Delta, "state")), `{"a":1,"b":2}`)
	doc, answers = update(t, doc, `{"state":{"reported":{"a":1}}}`, t0)
	same(t, "delta", []byte(partText(t, answers.Delta, "state")), `{"b":2}`)
	_, answers = update(t, doc, `{"state":{"reported":{"b":2}}}`, t0)
	if got := topics(answers); got != "update/documents update/accepted " {
		t.Errorf("published: %s", got)
	}
}

func TestRule5Version(t *testing.T) {
	three := made(t, `{"state":{"desired":{"a":1}}}`, `{"state":{}}`, `{"state":{}}`)
	gone, _, _ := Delete(three, "pump", nil, t0, limits)
	for _, c := range []struct {
		name, version string
		doc           Document
		now           time.Time
		code          int
		then          int64
	}{
		{"not given", ``, three, t0, 0, 4},
		{"the current", `3`, three, t0, 0, 4},
		{"the current, written otherwise", `3.0`, three, t0, 0, 4},
		{"an older", `2`, three, t0, 409, 3},
		{"a newer", `4`, three, t0, 409, 3},
		{"0", `0`, three, t0, 409, 3},
		{"new: not given", ``, Document{}, t0, 0, 1},
		{"new: 1", `1`, Document{}, t0, 0, 1},
		{"new: 0", `0`, Document{}, t0, 400, 0},
		{"new: another", `2`, Document{}, t0, 400, 0},
		{"deleted: not given", ``, gone, t0, 0, 4},
		{"deleted: what it had", `3`, gone, t0, 0, 4},
		{"deleted: another", `1`, gone, t0, 409, 3},
		{"deleted long ago: 1", `1`, gone, t0.Add(49 * time.Hour), 0, 1},
		{"deleted long ago: what it had", `3`, gone, t0.Add(49 * time.Hour), 400, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := `{"state":{"desired":{"b":1}},"clientToken":"x"}`
			if c.version != "" {
				request = `{"state":{"desired":{"b":1}},"clientToken":"x","version":` + c.version + `}`
			}
			doc, _, refused := Update(c.doc, []byte(request), c.now, limits)
			if doc.Version() != c.then {
				t.Errorf("version %d, want %d", doc.Version(), c.then)
			}
			switch {
			case refused == nil && c.code != 0:
				t.Errorf("accepted, want %d", c.code)
			case refused != nil && (refused.Code != c.code || refused.ClientToken == nil || *refused.ClientToken != "x"):
				t.Errorf("refused: %v, want code %d", refused, c.code)
			}
		})
	}
}

func TestRule6DeletedWithin48Hours(t *testing.T) {
	doc := made(t, `{"state":{"desired":{"a":1}}}`, `{"state":{"reported":{"a":1}}}`)
	gone, accepted, refused := Delete(doc, "pump", nil, t0, limits)
	if refused != nil {
		t.Fatal(refused)
	}
	same(t, "delete/accepted", accepted, `{"timestamp":1764000000,"version":2}`)
	same(t, "what is kept", []byte(stored(t, gone)), `{"deletedAt":1764000000000,"v":1,"version":2}`)
	if gone.Exists() || gone.IsZero() || gone.Version() != 2 {
		t.Errorf("exists %t, zero %t, version %d", gone.Exists(), gone.IsZero(), gone.Version())
	}
	for after, want := range map[time.Duration]int64{0: 3, time.Hour: 3, 48 * time.Hour: 3, 48*time.Hour + time.Millisecond: 1, 1000 * time.Hour: 1} {
		again, _ := update(t, gone, `{"state":{"desired":{"b":1}}}`, t0.Add(after))
		if again.Version() != want || states(again) != `{"desired":{"b":1}}` {
			t.Errorf("made again after %s: version %d %s, want %d", after, again.Version(), states(again), want)
		}
		if pruned := Prune(gone, t0.Add(after), limits); pruned.IsZero() != (want == 1) {
			t.Errorf("after %s, pruned is %s", after, stored(t, pruned))
		}
	}
	if kept := Prune(doc, t0.Add(1000*time.Hour), limits); stored(t, kept) != stored(t, doc) {
		t.Error("a shadow that exists was pruned")
	}
}

func TestRule7DeltaInARequestIsDropped(t *testing.T) {
	for _, delta := range []string{`{"a":5}`, `null`, `7`, `[null]`} {
		doc, answers := update(t, made(t, `{"state":{"desired":{"a":1}}}`), `{"state":{"reported":{"a":2},"delta":`+delta+`}}`, t1)
		same(t, "state", []byte(states(doc)), `{"desired":{"a":1},"reported":{"a":2}}`)
		same(t, "accepted", []byte(partText(t, answers.Accepted, "state")), `{"reported":{"a":2}}`)
		same(t, "delta", []byte(partText(t, answers.Delta, "state")), `{"a":1}`)
	}
}

// Clients discard what carries a lower version than they have seen: so that they
// lose nothing, whatever reports a later state must carry a higher or an equal
// one.
func TestRule8NoAnswerCarriesALowerVersion(t *testing.T) {
	var doc Document
	last := int64(0)
	seen := func(payload []byte, keys ...string) {
		t.Helper()
		v, ok := wholeNumber(jsonNumber(part(t, payload, keys...)))
		if !ok || v < last {
			t.Errorf("version %v after %d in %s", v, last, payload)
		}
		last = v
	}
	for i, request := range []string{`{"state":{"desired":{"a":1}}}`, `{"state":{"reported":{"a":2}}}`, `{"state":null}`, `{"state":{"desired":{"a":1}}}`} {
		var answers Answers
		doc, answers = update(t, doc, request, t0)
		if answers.Delta != nil {
			seen(answers.Delta, "version")
			seen(Delta(doc, t1), "version")
		}
		seen(answers.Documents, "current", "version")
		seen(answers.Accepted, "version")
		got, _ := Get(doc, "pump", nil, t0, limits)
		seen(got, "version")
		if i == 2 {
			var accepted []byte
			doc, accepted, _ = Delete(doc, "pump", nil, t0, limits)
			seen(accepted, "version")
		}
	}
}
