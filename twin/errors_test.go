package twin

import (
	"encoding/json"
	"strings"
	"testing"
)

func jsonNumber(v any) json.Number {
	n, _ := v.(json.Number)
	return n
}

// nested is a state whose desired has so many levels, itself included.
func nested(levels int) string {
	return `{"state":{"desired":` + strings.Repeat(`{"a":`, levels-1) + `{}` + strings.Repeat(`}`, levels-1) + `},"clientToken":"t"}`
}

var token64 = strings.Repeat("ä", 32) // 64 bytes

func TestErrorsOfUpdate(t *testing.T) {
	const token = `,"clientToken":"t"}`
	for _, c := range []struct {
		name, request string
		code          int
		message       string
		noToken       bool
	}{
		{"400 Invalid JSON/empty", ``, 400, "Invalid JSON", true},
		{"400 Invalid JSON/cut", `{"state":{"desired":{"a":1}`, 400, "Invalid JSON", true},
		{"400 Invalid JSON/more after it", `{"state":{}}{}`, 400, "Invalid JSON", true},
		{"400 Invalid JSON/an array", `[]`, 400, "Invalid JSON", true},
		{"400 Invalid JSON/null", `null`, 400, "Invalid JSON", true},
		{"400 Invalid JSON/NaN", `{"state":{"desired":{"a":NaN}}}`, 400, "Invalid JSON", true},
		{"400 Missing state", `{"desired":{"a":1}` + token, 400, "Missing required node: state", false},
		{"400 Missing state/case counts", `{"State":{}` + token, 400, "Missing required node: state", false},
		{"400 State object/number", `{"state":1` + token, 400, "State node must be an object", false},
		{"400 State object/array", `{"state":[]` + token, 400, "State node must be an object", false},
		{"400 Desired object/text", `{"state":{"desired":"x"}` + token, 400, "Desired node must be an object", false},
		{"400 Desired object/array", `{"state":{"desired":[{}]}` + token, 400, "Desired node must be an object", false},
		{"400 Reported object/bool", `{"state":{"reported":false}` + token, 400, "Reported node must be an object", false},
		{"400 Reported object/next to a good desired", `{"state":{"desired":{"a":1},"reported":[]}` + token, 400, "Reported node must be an object", false},
		{"400 Invalid version/text", `{"state":{},"version":"1"` + token, 400, "Invalid version", false},
		{"400 Invalid version/null", `{"state":{},"version":null` + token, 400, "Invalid version", false},
		{"400 Invalid version/negative", `{"state":{},"version":-1` + token, 400, "Invalid version", false},
		{"400 Invalid version/fraction", `{"state":{},"version":1.5` + token, 400, "Invalid version", false},
		{"400 Invalid version/huge", `{"state":{},"version":1e300` + token, 400, "Invalid version", false},
		{"400 Invalid clientToken/number", `{"state":{},"clientToken":1}`, 400, "Invalid clientToken", true},
		{"400 Invalid clientToken/null", `{"state":{},"clientToken":null}`, 400, "Invalid clientToken", true},
		{"400 Invalid clientToken/65 bytes", `{"state":{},"clientToken":"` + token64 + `x"}`, 400, "Invalid clientToken", true},
		{"400 Invalid clientToken/before other faults", `{"state":1,"clientToken":[]}`, 400, "Invalid clientToken", true},
		{"400 Nesting", nested(7), 400, "JSON contains too many levels of nesting; maximum is 6", false},
		{"400 Nesting/arrays count", `{"state":{"reported":{"a":[[[[[[1]]]]]]}}` + token, 400, "JSON contains too many levels of nesting; maximum is 6", false},
		{"400 Nesting/very deep", nested(5000), 400, "JSON contains too many levels of nesting; maximum is 6", false},
		{"400 Invalid node/null in an array", `{"state":{"reported":{"a":[1,null]}}` + token, 400, "State contains an invalid node", false},
		{"400 Invalid node/another section", `{"state":{"desierd":{"a":1}}` + token, 400, "State contains an invalid node", false},
		{"400 Invalid node/no double", `{"state":{"desired":{"a":1e999}}` + token, 400, "State contains an invalid node", false},
		{"400 Invalid node/no double but 0", `{"state":{"desired":{"a":1e-999}}` + token, 400, "State contains an invalid node", false},
		{"409 Version conflict", `{"state":{},"version":7` + token, 409, "Version conflict", false},
		{"413/the merged document", `{"state":{"reported":{"b":"` + strings.Repeat("x", 8178) + `"}}` + token, 413,
			"The payload exceeds the maximum size allowed: the merged document would have 8193 bytes, the limit is 8192", false},
		{"413/the request", `{"state":{}` + strings.Repeat(" ", 32<<10) + token, 413,
			"The payload exceeds the maximum size allowed: the request has 32798 bytes, the limit is 32768", true},
		{"415/Latin-1", "{\"state\":{\"desired\":{\"a\":\"\xfc\"}}" + token, 415, "Unsupported documented encoding; supported encoding is UTF-8", true},
		{"415/UTF-16 with its mark", "\xff\xfe{\x00}\x00", 415, "Unsupported documented encoding; supported encoding is UTF-8", true},
		{"415/UTF-16 without", "{\x00}\x00", 415, "Unsupported documented encoding; supported encoding is UTF-8", true},
		{"415/UTF-16, big end first", "\x00{\x00}", 415, "Unsupported documented encoding; supported encoding is UTF-8", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := made(t, `{"state":{"desired":{"a":1}}}`)
			after, answers, refused := Update(before, []byte(c.request), t1, limits)
			if refused == nil {
				t.Fatal("accepted")
			}
			if stored(t, after) != stored(t, before) || len(answers.Documents)+len(answers.Accepted)+len(answers.Delta) > 0 {
				t.Error("a refused request did something")
			}
			want := `{"clientToken":"t","code":` + string(appendValue(nil, int64(c.code))) + `,"message":` + string(appendValue(nil, c.message)) + `,"timestamp":1764000060}`
			if c.noToken {
				want = strings.Replace(want, `"clientToken":"t",`, "", 1)
			}
			same(t, "rejected", refused.Payload(t1), want)
		})
	}
}

// What comes just short of each limit is accepted.
func TestLimitsAreInclusive(t *testing.T) {
	for name, request := range map[string]string{
		"nesting":  nested(6),
		"arrays":   `{"state":{"reported":{"a":[[[[[1]]]]]}}}`,
		"token":    `{"state":{},"clientToken":"` + token64 + `"}`,
		"no token": `{"state":{},"clientToken":""}`,
		"document": `{"state":{"desired":null,"reported":{"b":"` + strings.Repeat("x", 8184) + `"}}}`,
		"request":  `{"state":{}` + strings.Repeat(" ", 32<<10-12) + `}`,
		"numbers":  `{"state":{"desired":{"a":1.7976931348623157e308,"b":-5e-324,"c":0e99999999999999999999,"d":-0}}}`,
	} {
		if _, _, refused := Update(made(t, `{"state":{"desired":{"a":1}}}`), []byte(request), t0, limits); refused != nil {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

func TestLimitsAreConfigurable(t *testing.T) {
	l := limits
	l.Depth, l.Document, l.Token = 8, 30<<10, 3
	if _, _, refused := Update(Document{}, []byte(strings.Replace(nested(8), "}", "},\"x\":\""+strings.Repeat("y", 20<<10)+"\"", 1)), t0, l); refused != nil {
		t.Error(refused)
	}
	if _, _, refused := Update(Document{}, []byte(nested(9)), t0, l); refused == nil || refused.Message != "JSON contains too many levels of nesting; maximum is 8" {
		t.Errorf("9 levels: %v", refused)
	}
	if _, _, refused := Update(Document{}, []byte(`{"state":{},"clientToken":"abcd"}`), t0, l); refused == nil || refused.Message != textToken {
		t.Errorf("4 bytes: %v", refused)
	}
	if err := limits.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	err := Limits{Document: 100, Request: 99, Depth: 65, Token: 0, Tombstone: -1}.Validate()
	for _, word := range []string{"request is 99", "depth is 65", "token is 0", "tombstone is -1ns"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("no %q in: %v", word, err)
		}
	}
}

// A small request can be too much for a document that is nearly full, and one
// that makes room is not.
func TestError413CountsTheMergedDocument(t *testing.T) {
	doc := made(t, `{"state":{"desired":{"a":"`+strings.Repeat("x", 4000)+`"},"reported":{"a":"`+strings.Repeat("y", 4170)+`"}}}`)
	_, _, refused := Update(doc, []byte(`{"state":{"reported":{"small":1}}}`), t1, limits)
	if refused == nil || refused.Code != 413 || !strings.HasSuffix(refused.Message, ": the merged document would have 8196 bytes, the limit is 8192") {
		t.Fatalf("refused: %v", refused)
	}
	doc, _ = update(t, doc, `{"state":{"desired":null,"reported":{"small":1,"`+strings.Repeat("no such key", 1000)+`":null}}}`, t1)
	if doc.Version() != 2 {
		t.Error("a large request that makes the document smaller")
	}
}

func TestError404NoShadow(t *testing.T) {
	gone, _, _ := Delete(made(t, `{"state":{}}`), "config", nil, t0, limits)
	const want = `{"clientToken":"t","code":404,"message":"No shadow exists with name: 'config'","timestamp":1764000000}`
	for name, doc := range map[string]Document{"never made": {}, "deleted": gone} {
		_, refused := Get(doc, "config", []byte(`{"clientToken":"t"}`), t0, limits)
		if refused == nil {
			t.Fatalf("get of one %s was accepted", name)
		}
		same(t, "get of one "+name, refused.Payload(t0), want)
		after, accepted, refused := Delete(doc, "config", []byte(`{"clientToken":"t"}`), t1, limits)
		if refused == nil || accepted != nil || stored(t, after) != stored(t, doc) {
			t.Fatalf("delete of one %s was accepted", name)
		}
		same(t, "delete of one "+name, refused.Payload(t0), want)
	}
	same(t, "a name that is not UTF-8", NoShadow("\xff", nil).Payload(t0), `{"code":404,"message":"No shadow exists with name: '�'","timestamp":1764000000}`)
}

func TestErrorsOfGet(t *testing.T) {
	doc := made(t, `{"state":{}}`)
	for request, want := range map[string]string{
		`x`:                    "400 Invalid JSON",
		`[]`:                   "400 Invalid JSON",
		`{"clientToken":1}`:    "400 Invalid clientToken",
		"{\"a\":\"\xff\"}":     "415 Unsupported documented encoding; supported encoding is UTF-8",
		`{"clientToken":"t"} `: "",
		`{"version":9}`:        "",
		``:                     "",
	} {
		_, refused := Get(doc, "pump", []byte(request), t0, limits)
		if (refused == nil) != (want == "") || refused != nil && !strings.HasPrefix(refused.Error(), want) {
			t.Errorf("%q: %v, want %q", request, refused, want)
		}
	}
}

// These are decided outside of documents: access, unknown devices, requests in
// flight, faults of the service.
func TestErrorsDecidedElsewhere(t *testing.T) {
	for code, message := range map[int]string{
		401: "Unauthorized", 403: "Forbidden", 404: "Thing not found", 429: "Too many requests", 500: "Internal service failure",
	} {
		token := ClientToken([]byte(`{"clientToken":"t"}`), limits)
		want := `{"clientToken":"t","code":` + string(appendValue(nil, int64(code))) + `,"message":"` + message + `","timestamp":1764000000}`
		same(t, message, Reject(code, token).Payload(t0), want)
	}
	if r := Reject(418, nil); r.Code != 500 {
		t.Errorf("an unknown code became %d", r.Code)
	}
	for _, payload := range []string{``, `x`, `[]`, `{}`, `{"clientToken":5}`, `{"clientToken":"` + token64 + `x"}`, "\xff"} {
		if token := ClientToken([]byte(payload), limits); token != nil {
			t.Errorf("%q has token %q", payload, *token)
		}
	}
}

func TestDetailsNameThePlace(t *testing.T) {
	for request, want := range map[string]string{
		`{"state":{"desired":{"a":{"b.c":[1,{"d":null}]}}}}`: `null at desired.a.b\.c[1].d`,
		`{"state":{"reported":{"a":[1e400]}}}`:               "a number that a double cannot hold at reported.a[0]",
		`{"state":{"report":{}}}`:                            "state has a section 'report'",
		nested(7):                                            "nested deeper than the limit at desired.a.a.a.a.a.a",
	} {
		if _, _, refused := Update(Document{}, []byte(request), t0, limits); refused == nil || refused.Detail != want {
			t.Errorf("%s: %v, want %q", request, refused, want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"pump-7": true, "A:b_c-9": true, "": false, "a/b": false, "a b": false, "ä": false, "a.b": false, "$aws": false,
		strings.Repeat("x", 128): true, strings.Repeat("x", 129): false,
	} {
		if ValidThingName(name) != want {
			t.Errorf("thing %q: %t", name, !want)
		}
		if shadow := want && len(name) <= 64; ValidShadowName(name) != shadow {
			t.Errorf("shadow %q: %t", name, !shadow)
		}
	}
	if !ValidShadowName(strings.Repeat("x", 64)) || ValidShadowName(strings.Repeat("x", 65)) {
		t.Error("shadow names have at most 64 characters")
	}
}
