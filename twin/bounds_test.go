package twin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Whatever the limits say, recursion ends at 64 levels.
func TestNestingIsBoundedWhateverTheLimits(t *testing.T) {
	deep := limits
	deep.Depth = 1000
	plain := func(levels int) map[string]any {
		o := object{}
		for range levels - 1 {
			o = object{"a": o}
		}
		return o
	}
	for levels, fits := range map[int]bool{64: true, 65: false} {
		if _, _, refused := Update(Document{}, []byte(nested(levels)), t0, deep); fits != (refused == nil) {
			t.Errorf("update of %d levels: %v", levels, refused)
		}
		if _, _, refused := Desire(Document{}, plain(levels), t0, deep); fits != (refused == nil) {
			t.Errorf("desire of %d levels: %v", levels, refused)
		}
		value := strings.Repeat(`{"a":`, levels-1) + `{"b":1}` + strings.Repeat(`}`, levels-1)
		var doc Document
		if err := json.Unmarshal([]byte(`{"v":1,"version":1,"desiredAt":7,"desired":`+value+`}`), &doc); fits != (err == nil) {
			t.Errorf("stored document of %d levels: %v", levels, err)
		}
	}
}

func TestValidateReportsEveryLimit(t *testing.T) {
	if err := DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	if err := (Limits{Document: 2, Request: 2, Depth: 64, Token: 1}).Validate(); err != nil {
		t.Error(err)
	}
	for _, l := range []Limits{{Document: 1, Request: 0, Token: 0, Depth: 0, Tombstone: -time.Second}, {Document: 2, Request: 1, Token: 0, Depth: 65, Tombstone: -1}} {
		err := l.Validate()
		for _, name := range []string{"request", "depth", "token", "tombstone"} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%+v: %s is not in %v", l, name, err)
			}
		}
	}
}

// A fault names its place, but not all of a hostile one.
func TestDetailsAreBounded(t *testing.T) {
	long := strings.Repeat("k", 2000)
	for _, request := range []string{
		`{"state":{"desired":{"` + long + `":{"` + long + `":{"` + long + `":1e400}}}}}`,
		`{"state":{"` + long + `":{}}}`,
	} {
		_, _, refused := Update(Document{}, []byte(request), t0, limits)
		if refused == nil || refused.Detail == "" || len(refused.Detail) > 700 {
			t.Errorf("%.40s: a detail of %d bytes", request, len(refused.Detail))
		}
	}
}
