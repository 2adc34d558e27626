package twin

import (
	"testing"
	"time"
)

func updated(t *testing.T, state string) Document {
	t.Helper()
	doc, _, refused := Update(Document{}, []byte(`{"state":`+state+`}`), time.Unix(1, 0), DefaultLimits())
	if refused != nil {
		t.Fatal(refused)
	}
	return doc
}

func TestWhatTheReportedStateShows(t *testing.T) {
	doc := updated(t, `{"desired":{"fan":"high"},"reported":{"power":"ON","level":1,"exact":9007199254740993,"list":[1,{"a":2}],"color":{"x":0.30,"y":{"z":true}},"none":{}}}`)
	for want, shown := range map[string]bool{
		`{}`:                                   true,
		`{"power":"ON"}`:                       true,
		`{"power":"on"}`:                       false,
		`{"level":1.0}`:                        true,
		`{"level":10e-1}`:                      true,
		`{"level":"1"}`:                        false,
		`{"level":true}`:                       false,
		`{"exact":9007199254740993}`:           true,
		`{"exact":9007199254740992}`:           false,
		`{"list":[1.0,{"a":2}]}`:               true,
		`{"list":[1]}`:                         false,
		`{"list":[{"a":2},1]}`:                 false,
		`{"list":[1,{"a":2,"b":3}]}`:           false,
		`{"color":{"x":0.3}}`:                  true,
		`{"color":{"y":{"z":true}},"level":1}`: true,
		`{"color":{"y":{}}}`:                   true,
		`{"color":{"y":{"z":false}}}`:          false,
		`{"color":{"y":true}}`:                 false,
		`{"power":{"x":1}}`:                    false,
		`{"none":{}}`:                          true,
		`{"missing":{}}`:                       false,
		`{"missing":1}`:                        false,
		`{"missing":null}`:                     true,
		`{"power":null}`:                       false,
		`{"color":{"q":null}}`:                 true,
		`{"fan":"high"}`:                       false, // desired only
		`[]`:                                   false,
		`null`:                                 false,
		``:                                     false,
		`{"power":"ON"} x`:                     false,
	} {
		if got := doc.Shows([]byte(want)); got != shown {
			t.Errorf("%s: %t, want %t", want, got, shown)
		}
	}
	if !(Document{}).Shows([]byte(`{}`)) || !(Document{}).Shows([]byte(`{"a":null}`)) || (Document{}).Shows([]byte(`{"a":{}}`)) {
		t.Error("a shadow that was never created")
	}
}
