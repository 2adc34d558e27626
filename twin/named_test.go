package twin

import (
	"testing"
)

// The message of a rejection names the node that was refused, behind the protocol's words.
func TestRejectionsNameTheNode(t *testing.T) {
	for request, want := range map[string]string{
		`{"state":{"desired":{"a":{"b.c":[1,{"d":null}]}}}}`:           `State contains an invalid node: null at desired.a.b\\.c[1].d`,
		`{"state":{"reported":{"a":[1e400]}}}`:                         "State contains an invalid node: a number that a double cannot hold at reported.a[0]",
		`{"state":{"report":{}}}`:                                      "State contains an invalid node: state has a section 'report'",
		`{"state":{"desired":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}`: "JSON contains too many levels of nesting; maximum is 6: nested deeper than the limit at desired.a.a.a.a.a.a",
		`{"desired":{}}`:                 "Missing required node: state",
		`{"state":{"desired":1}}`:        "Desired node must be an object",
		`{"state":{},"version":"first"}`: "Invalid version",
	} {
		_, _, refused := Update(Document{}, []byte(request), t0, limits)
		if refused == nil {
			t.Fatalf("%s: accepted", request)
		}
		same(t, request, refused.Named().Payload(t0), `{"code":400,"message":"`+want+`","timestamp":1764000000}`)
	}
	if (*Rejection)(nil).Named() != nil {
		t.Error("no rejection has a name")
	}
}
