package twin

import (
	"encoding/json"
	"testing"
)

// The whole conversation of a lamp, byte for byte.
func TestDocumentsOfAConversation(t *testing.T) {
	doc, a := update(t, Document{}, `{"state":{"desired":{"color":{"r":255,"g":0}}},"clientToken":"app-1"}`, t0)
	same(t, "first accepted", a.Accepted, `{"clientToken":"app-1","metadata":{"desired":{"color":{"g":{"timestamp":1764000000},"r":{"timestamp":1764000000}}}},`+
		`"state":{"desired":{"color":{"g":0,"r":255}}},"timestamp":1764000000,"version":1}`)
	same(t, "first documents", a.Documents, `{"clientToken":"app-1","current":{"metadata":{"desired":{"color":{"g":{"timestamp":1764000000},"r":{"timestamp":1764000000}}}},`+
		`"state":{"desired":{"color":{"g":0,"r":255}}},"version":1},"previous":{"metadata":{},"state":{},"version":0},"timestamp":1764000000}`)
	same(t, "first delta", a.Delta, `{"clientToken":"app-1","metadata":{"color":{"g":{"timestamp":1764000000},"r":{"timestamp":1764000000}}},`+
		`"state":{"color":{"g":0,"r":255}},"timestamp":1764000000,"version":1}`)

	doc, a = update(t, doc, `{"state":{"reported":{"color":{"r":255}}},"version":1}`, t1)
	same(t, "second accepted", a.Accepted, `{"metadata":{"reported":{"color":{"r":{"timestamp":1764000060}}}},`+
		`"state":{"reported":{"color":{"r":255}}},"timestamp":1764000060,"version":2}`)
	same(t, "second delta, with the times of desired", a.Delta, `{"metadata":{"color":{"g":{"timestamp":1764000000}}},`+
		`"state":{"color":{"g":0}},"timestamp":1764000060,"version":2}`)
	same(t, "second previous", []byte(partText(t, a.Documents, "previous", "state")), `{"desired":{"color":{"g":0,"r":255}}}`)

	got, refused := Get(doc, "lamp", []byte(`{"clientToken":"app-2"}`), t1, limits)
	if refused != nil {
		t.Fatal(refused)
	}
	same(t, "get/accepted", got, `{"clientToken":"app-2","metadata":{"desired":{"color":{"g":{"timestamp":1764000000},"r":{"timestamp":1764000000}}},`+
		`"reported":{"color":{"r":{"timestamp":1764000060}}}},"state":{"delta":{"color":{"g":0}},"desired":{"color":{"g":0,"r":255}},`+
		`"reported":{"color":{"r":255}}},"timestamp":1764000060,"version":2}`)
	same(t, "the delta again, after a reconnect", Delta(doc, t1), `{"metadata":{"color":{"g":{"timestamp":1764000000}}},`+
		`"state":{"color":{"g":0}},"timestamp":1764000060,"version":2}`)

	doc, a = update(t, doc, `{"state":{"reported":{"color":{"g":0}}},"clientToken":""}`, t1)
	if a.Delta != nil || Delta(doc, t1) != nil {
		t.Errorf("a delta without content: %s", a.Delta)
	}
	same(t, "an empty token is one", []byte(partText(t, a.Accepted, "clientToken")), `""`)

	doc, gone, refused := Delete(doc, "lamp", []byte(`{"clientToken":"app-3","version":1}`), t1, limits)
	if refused != nil {
		t.Fatal(refused)
	}
	same(t, "delete/accepted", gone, `{"clientToken":"app-3","timestamp":1764000060,"version":3}`)
	if _, a = update(t, doc, `{"state":{"reported":{"on":true}},"version":3}`, t1); part(t, a.Accepted, "version") != json.Number("4") {
		t.Errorf("made again: %s", a.Accepted)
	}
	same(t, "previous of one made again", []byte(partText(t, a.Documents, "previous")), `{"metadata":{},"state":{},"version":3}`)
}

// The payload of delete is ignored, whatever it is.
func TestDocumentsDeleteTakesAnyPayload(t *testing.T) {
	for _, payload := range []string{``, `x`, `[]`, `{"version":99}`, `{"clientToken":7}`, "\xff\xfe"} {
		_, accepted, refused := Delete(made(t, `{"state":{}}`), "lamp", []byte(payload), t0, limits)
		if refused != nil {
			t.Errorf("%q was refused: %v", payload, refused)
		}
		same(t, payload, accepted, `{"timestamp":1764000000,"version":1}`)
	}
}

func TestDocumentsAcceptedHasOnlyTheRequest(t *testing.T) {
	doc := made(t, `{"state":{"desired":{"a":1,"b":{"c":2}},"reported":{"a":1}}}`)
	for request, want := range map[string]string{
		`{"state":{"desired":{"a":null,"b":{"d":3}}},"other":5}`: `{"metadata":{"desired":{"a":{"timestamp":1764000060},"b":{"d":{"timestamp":1764000060}}}},"state":{"desired":{"a":null,"b":{"d":3}}},"timestamp":1764000060,"version":2}`,
		`{"state":{"desired":null}}`:                             `{"metadata":{"desired":{"timestamp":1764000060}},"state":{"desired":null},"timestamp":1764000060,"version":2}`,
		`{"state":null}`:                                         `{"metadata":{"timestamp":1764000060},"state":null,"timestamp":1764000060,"version":2}`,
		`{"state":{}}`:                                           `{"metadata":{},"state":{},"timestamp":1764000060,"version":2}`,
	} {
		_, a := update(t, doc, request, t1)
		same(t, request, a.Accepted, want)
	}
}

// Times belong to the values that a request named, also where they are the same.
func TestMetadataFollowsRequests(t *testing.T) {
	doc := made(t, `{"state":{"reported":{"a":{"b":1,"c":2},"d":[1,2],"e":{}}}}`)
	same(t, "one time, one number", []byte(stored(t, doc)), `{"reported":{"a":{"b":1,"c":2},"d":[1,2],"e":{}},"reportedAt":1764000000,"v":1,"version":1}`)
	doc, _ = update(t, doc, `{"state":{"reported":{"a":{"b":1}}}}`, t1)
	same(t, "two times", []byte(stored(t, doc)), `{"reported":{"a":{"b":1,"c":2},"d":[1,2],"e":{}},`+
		`"reportedAt":{"a":{"b":1764000060,"c":1764000000},"d":1764000000,"e":1764000000},"v":1,"version":2}`)
	got, _ := Get(doc, "x", nil, t1, limits)
	same(t, "metadata", []byte(partText(t, got, "metadata", "reported")),
		`{"a":{"b":{"timestamp":1764000060},"c":{"timestamp":1764000000}},"d":[{"timestamp":1764000000},{"timestamp":1764000000}],"e":{}}`)
	doc, _ = update(t, doc, `{"state":{"reported":{"a":{"c":null},"d":null,"e":null}}}`, t1)
	same(t, "one again", []byte(stored(t, doc)), `{"reported":{"a":{"b":1}},"reportedAt":1764000060,"v":1,"version":3}`)
	doc, _ = update(t, doc, `{"state":{"reported":{"a":[{"timestamp":5}]}}}`, t0)
	got, _ = Get(doc, "x", nil, t1, limits)
	same(t, "a key named timestamp", []byte(partText(t, got, "metadata", "reported")), `{"a":[{"timestamp":{"timestamp":1764000000}}]}`)
}

func TestStoredDocument(t *testing.T) {
	type state struct {
		Classic Document            `json:"classic,omitzero"`
		Named   map[string]Document `json:"named,omitempty"`
	}
	gone, _, _ := Delete(made(t, `{"state":{}}`), "old", nil, t0, limits)
	big := made(t, `{"state":{"desired":{"id":12345678901234567890,"x":1.50,"<":"&"}}}`)
	for _, s := range []state{{}, {Classic: big}, {Named: map[string]Document{"a": big, "old": gone, "none": {}}}} {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again state
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if c, _ := json.Marshal(again); string(c) != string(b) {
			t.Errorf("read and written again:\n%s\n%s", b, c)
		}
	}
	if b, _ := json.Marshal(state{}); string(b) != `{}` {
		t.Errorf("nothing is stored as %s", b)
	}
	for _, broken := range []string{
		`5`, `{}`, `{"v":2,"version":1}`, `{"v":1,"version":0}`, `{"v":1,"version":1.5}`, `{"v":1,"version":1,"desired":{}}`,
		`{"v":1,"version":1,"desired":{"a":1}}`, `{"v":1,"version":1,"desired":{"a":null},"desiredAt":5}`,
		`{"v":1,"version":1,"desired":[],"desiredAt":5}`, `{"v":1,"version":1,"desired":{"a":1},"desiredAt":{"b":5}}`,
		`{"v":1,"version":1,"desired":{"a":1},"desiredAt":{"a":5,"b":5}}`, `{"v":1,"version":1,"desired":{"a":1},"desiredAt":1.5}`,
		`{"v":1,"version":1,"desired":{"a":1},"desiredAt":"x"}`, `{"v":1,"version":1,"desired":{"a":{}},"desiredAt":{"a":{}}}`,
		`{"v":1,"version":1,"deletedAt":null}`, `{"v":1,"version":1,"deletedAt":5,"desired":{"a":1},"desiredAt":5}`,
		`{"v":1,"version":1,"reported":{"a":1e999},"reportedAt":5}`,
	} {
		var d Document
		if err := json.Unmarshal([]byte(broken), &d); err == nil {
			t.Errorf("read %s as %s", broken, stored(t, d))
		}
	}
}

func TestValuesAreForExpressions(t *testing.T) {
	doc := made(t, `{"state":{"desired":{"a":{"b":1},"l":[2]},"reported":{"a":{"b":1.0}}}}`)
	v := doc.Values()
	want := `{"delta":{"l":[2]},"desired":{"a":{"b":1},"l":[2]},"reported":{"a":{"b":1}},"version":1}`
	if b, _ := json.Marshal(v); string(b) != want {
		t.Errorf("values %s", b)
	}
	if _, ok := v["desired"].(object)["a"].(object)["b"].(float64); !ok {
		t.Error("numbers are not doubles")
	}
	v["desired"].(object)["l"].([]any)[0] = "changed"
	v["delta"].(object)["l"].([]any)[0] = "changed"
	if b, _ := json.Marshal(doc.Values()); string(b) != want {
		t.Errorf("a change of the copy changed the document: %s", b)
	}
	if b, _ := json.Marshal(Document{}.Values()); string(b) != `{"delta":{},"desired":{},"reported":{},"version":0}` {
		t.Errorf("values of none: %s", b)
	}
}
