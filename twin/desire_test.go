package twin

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestDesire(t *testing.T) {
	doc := made(t, `{"state":{"desired":{"mode":"eco","limit":{"max":1}}}}`)
	patch := object{
		"mode": nil, "limit": object{"max": 2.0, "min": 1e-7}, "n": 3, "m": int64(4), "id": json.Number("12345678901234567890"),
		"big": 1e21, "list": []any{1.5, "x", true}, "bad\xff": "\xff", "none": object{},
	}
	next, answers, refused := Desire(doc, patch, t1, limits)
	if refused != nil {
		t.Fatal(refused)
	}
	const want = `{"bad�":"�","big":1e+21,"id":12345678901234567890,"limit":{"max":2,"min":1e-7},"list":[1.5,"x",true],"m":4,"n":3,"none":{}}`
	same(t, "desired", []byte(states(next)), `{"desired":`+want+`}`)
	same(t, "delta", []byte(partText(t, answers.Delta, "state")), want)
	if part(t, answers.Accepted, "version") != json.Number("2") || part(t, answers.Accepted, "clientToken") != nil {
		t.Errorf("accepted %s", answers.Accepted)
	}
	patch["list"].([]any)[0] = "changed later"
	patch["limit"].(object)["max"] = 99.0
	same(t, "desired, after the patch was changed", []byte(states(next)), `{"desired":`+want+`}`)

	same(t, "nothing desired", []byte(states(mustDesire(t, next, nil))), `{"desired":`+want+`}`)
}

func mustDesire(t *testing.T, doc Document, patch object) Document {
	t.Helper()
	next, _, refused := Desire(doc, patch, t1, limits)
	if refused != nil {
		t.Fatal(refused)
	}
	return next
}

func TestDesireRefuses(t *testing.T) {
	doc := made(t, `{"state":{"desired":{"a":1}}}`)
	deep := object{}
	for range 100 {
		deep = object{"a": deep}
	}
	for name, c := range map[string]struct {
		patch object
		code  int
	}{
		"NaN":                {object{"a": math.NaN()}, 400},
		"infinity":           {object{"a": object{"b": math.Inf(1)}}, 400},
		"NaN in a list":      {object{"a": []any{1.0, math.NaN()}}, 400},
		"no JSON":            {object{"a": struct{}{}}, 400},
		"no number":          {object{"a": json.Number("1x")}, 400},
		"null in a list":     {object{"a": []any{nil}}, 400},
		"7 levels":           {object{"a": object{"a": object{"a": object{"a": object{"a": object{"a": object{}}}}}}}, 400},
		"101 levels":         {deep, 400},
		"too large":          {object{"a": strings.Repeat("x", 8192)}, 413},
		"too large and gone": {object{strings.Repeat("x", 32<<10): nil}, 413},
	} {
		next, _, refused := Desire(doc, c.patch, t1, limits)
		if refused == nil || refused.Code != c.code || stored(t, next) != stored(t, doc) {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

func TestChangedPaths(t *testing.T) {
	for _, c := range []struct{ name, before, after, want string }{
		{"nothing", `{"a":{"b":1}}`, `{"a":{"b":1}}`, ``},
		{"another spelling of a number", `{"a":1}`, `{"a":1.0}`, ``},
		{"a value", `{"a":{"b":1,"c":2}}`, `{"a":{"b":3,"c":2}}`, `a.b`},
		{"added and removed", `{"a":1,"b":2}`, `{"b":2,"c":3}`, `a c`},
		{"an object that came", `{"x":0}`, `{"x":0,"a":{"b":{"c":1},"d":[1,2]}}`, `a.b.c a.d`},
		{"an object that went", `{"x":0,"a":{"b":1,"c":{}}}`, `{"x":0}`, `a.b a.c`},
		{"an object for a value", `{"a":1}`, `{"a":{"b":2}}`, `a a.b`},
		{"an empty object for a value", `{"a":1}`, `{"a":{}}`, `a`},
		{"an array", `{"a":[1,{"b":2}]}`, `{"a":[1,{"b":3}]}`, `a`},
		{"dots in keys", `{"x":0}`, `{"x":0,"a.b":{"c\\d":1}}`, `a\.b.c\\d`},
		{"the section", `{"a":{"b":1}}`, `null`, `a.b`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, section := range []string{"desired", "reported"} {
				before := made(t, `{"state":{"`+section+`":`+c.before+`}}`)
				after := made(t, `{"state":{"`+section+`":`+c.after+`}}`)
				changes := ChangedPaths(before, after)
				got, other := changes.Desired, changes.Reported
				if section == "reported" {
					got, other = other, got
				}
				if strings.Join(got, " ") != c.want || len(other) > 0 {
					t.Errorf("%s: %q and %q, want %q", section, got, other, c.want)
				}
				if back := ChangedPaths(after, before); !reflect.DeepEqual(back, changes) {
					t.Errorf("the other way round: %q, %q", back, changes)
				}
			}
		})
	}
	doc := made(t, `{"state":{"desired":{"a":1},"reported":{"b":{"c":2}}}}`)
	gone, _, _ := Delete(doc, "x", nil, t0, limits)
	if got := ChangedPaths(doc, gone); !reflect.DeepEqual(got, Changes{Desired: []string{"a"}, Reported: []string{"b.c"}}) {
		t.Errorf("deleted: %q", got)
	}
}

// 500 values under one long key would be 500 long paths.
func TestChangedPathsAreBounded(t *testing.T) {
	long := strings.Repeat("k", 1000)
	var inner []string
	for i := range 500 {
		inner = append(inner, `"`+string(rune('a'+i/26))+string(rune('a'+i%26))+`":0`)
	}
	doc := made(t, `{"state":{"reported":{"`+long+`":{`+strings.Join(inner, ",")+`},"z":{"y":1},"same":{"x":1}}}}`)
	before := made(t, `{"state":{"reported":{"same":{"x":1}}}}`)
	if got := ChangedPaths(before, doc).Reported; !reflect.DeepEqual(got, []string{long, "z"}) {
		t.Errorf("%d paths", len(got))
	}
}

func TestDivergedUntilReported(t *testing.T) {
	doc := made(t, `{"state":{"desired":{"a":{"b":1,"c":2},"ab":3,"l":[1]}}}`)
	paths := []string{"a", "a.b", "a.c", "l", "gone"}
	for _, step := range []struct{ reported, want, delta string }{
		{`{}`, "a a.b a.c l", "a.b a.c ab l"},
		{`{"a":{"b":1},"l":[2]}`, "a a.c l", "a.c ab l"},
		{`{"l":[1.0]}`, "a a.c", "a.c ab"},
		{`{"a":{"c":2}}`, "", "ab"},
		{`{"ab":3}`, "", ""},
		{`{"a":7}`, "a a.b a.c", "a.b a.c"},
	} {
		doc, _ = update(t, doc, `{"state":{"reported":`+step.reported+`}}`, t1)
		if got := strings.Join(Diverged(doc, paths), " "); got != step.want {
			t.Errorf("after %s: diverged %q, want %q", step.reported, got, step.want)
		}
		if got := strings.Join(DeltaPaths(doc), " "); got != step.delta {
			t.Errorf("after %s: delta %q, want %q", step.reported, got, step.delta)
		}
	}
}
