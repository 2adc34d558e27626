package expression

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

func newEnv(t testing.TB, o Options) *Env {
	t.Helper()
	env, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func compile(t testing.TB, env *Env, source string) *Program {
	t.Helper()
	p, faults := env.Compile(source)
	if faults != nil {
		t.Fatalf("%s: %v", source, faults)
	}
	return p
}

// TestResultsAreJSON: whatever the values of variables are, a result is plain JSON.
func TestResultsAreJSON(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v", "w"}})
	for _, c := range []struct {
		source string
		v      any
		want   any
	}{
		{"v", nil, nil},
		{"v", true, true},
		{"v", 1.5, 1.5},
		{"v", "a", "a"},
		{"v", []any{1.0, nil, "a", []any{}}, []any{1.0, nil, "a", []any{}}},
		{"v", map[string]any{"a": map[string]any{"b": nil}}, map[string]any{"a": map[string]any{"b": nil}}},
		{"v", 7, 7.0},
		{"v", int32(7), 7.0},
		{"v", int64(7), 7.0},
		{"v", uint64(7), 7.0},
		{"v + 1", 7.0, 8.0},
		{"size(v)", "äöü", 3.0},
		{"v.map(k, k)", map[string]any{"b": 1.0, "a": 2.0}, []any{"a", "b"}},
		{"{'n': v, 'list': [v, 1]}", 2.0, map[string]any{"n": 2.0, "list": []any{2.0, 1.0}}},
		{"has(v.a) ? v.a : 'none'", map[string]any{}, "none"},
		{"v == null", nil, true},
		{"double(v) * 2", "1.5", 3.0},
	} {
		got, err := compile(t, env, c.source).Eval(Values{"v": c.v})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s of %#v = %#v, %v; want %#v", c.source, c.v, got, err, c.want)
		}
	}
	for source, want := range map[string]string{
		"v":               "no such attribute(s): v",
		"b'ab'":           "the result is not a JSON value, but a bytes",
		"duration('1s')":  "the result is not a JSON value",
		"{1: 2}":          "keys must be strings",
		"{'a': {true: 1}": "",
	} {
		p, faults := env.Compile(source)
		if want == "" {
			if faults == nil {
				t.Errorf("%s has no fault", source)
			}
			continue
		}
		if _, err := p.Eval(Values{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", source, err, want)
		}
	}
}

// TestFaultsHavePlaces: lines count from 1 and columns from 0, in characters.
func TestFaultsHavePlaces(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}, Objects: []string{"o"}})
	for source, want := range map[string]struct {
		line, column, offset int
		message              string
	}{
		"":                       {1, 0, -1, "unexpected end of the expression"},
		"v +":                    {1, 3, 3, "unexpected end of the expression"},
		"'äöü€😀' + x":            {1, 10, 10, "undeclared reference to 'x'"},
		"'äöü€😀' ==\n 'ß' + (x)": {2, 8, 19, "undeclared reference to 'x'"},
		"v == 'a":                {1, 5, 5, "unterminated string: the closing quote is missing"},
		"v = 1":                  {1, 2, 2, "a single =; write == to compare"},
		"v 1":                    {1, 2, 2, "extraneous input '1'; expected the end of the expression"},
		"o + 1":                  {1, 2, 2, "found no matching overload for '_+_' applied to '(map(string, dyn), double)'"},
		"timestamp(v)\n.getHours('Europe/Berlin')": {2, 10, 23, `time zone "Europe/Berlin": expected UTC or a fixed offset such as +01:00`},
		"v.matches('(')": {1, 0, 0, ""},
	} {
		_, faults := env.Compile(source)
		if faults == nil {
			t.Errorf("%q has no fault", source)
			continue
		}
		f := faults[0]
		if want.message == "" { // an error of Go's package regexp
			want.message = f.Message
		}
		if f.Line != want.line || f.Column != want.column || f.Message != want.message || f.Offset(source) != want.offset {
			t.Errorf("%q: %+v, offset %d; want %+v", source, f, f.Offset(source), want)
		}
	}
	if _, faults := env.Compile("x + y"); len(faults) != 2 {
		t.Errorf("not every unknown name is a fault: %v", faults)
	}
	long := strings.Repeat("1 + ", 1100) + "1"
	if _, faults := env.Compile(long); len(faults) != 1 || faults[0].Line != 1 || faults[0].Column != 0 || faults[0].Offset(long) != -1 {
		t.Errorf("of a long expression: %+v", faults)
	}
}

// TestHints name what was meant, or what there is.
func TestHints(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"payload", "topic"}})
	for source, want := range map[string]string{
		"paylaod.x": `did you mean "payload"?`, "lowerascii()": `did you mean "lowerAscii"?`, "qqqqqqqqqqq": "available here: payload, topic", "1 +": "", "'a' + 1": "",
	} {
		_, faults := env.Compile(source)
		if len(faults) != 1 {
			t.Errorf("%s: %v", source, faults)
			continue
		}
		if faults[0].Hint != want {
			t.Errorf("%s: %q, want %q", source, faults[0].Hint, want)
		}
	}
}

// TestHintsWithoutVariables: there is nothing to name.
func TestHintsWithoutVariables(t *testing.T) {
	if _, faults := newEnv(t, Options{}).Compile("x"); len(faults) != 1 || faults[0].Hint != "" {
		t.Errorf("%+v", faults)
	}
}

// TestNamesOfVariables: each name that no expression could use is in the error.
func TestNamesOfVariables(t *testing.T) {
	bad := []string{"", "a b", "a.b", "1a", "true", "null", "in", "for", "int", "string", "@a", "a-b", "size()", "x'"}
	_, err := New(Options{Values: append([]string{"fine", "_a1", "size"}, bad...)})
	if err == nil || strings.Count(err.Error(), "\n") != len(bad)-1 {
		t.Fatalf("%v", err)
	}
	for _, name := range bad {
		if !strings.Contains(err.Error(), fmt.Sprintf("variable %q", name)) {
			t.Errorf("%q is not refused: %v", name, err)
		}
	}
	for _, o := range []Options{
		{Values: []string{"a"}, Objects: []string{"a"}}, {Predicates: []Predicate{{Name: "size"}}}, {Predicates: []Predicate{{Name: "a b"}}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

// TestReads: of an expression and of its parts.
func TestReads(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"a", "b"}, Objects: []string{"o"}, Predicates: []Predicate{{Name: "on"}}})
	for source, want := range map[string][]string{
		"1 + 2": nil, "a": {"a"}, "a.b.c + o.x": {"a", "o"}, "[1].exists(x, x == b)": {"b"}, "has(o.a)": {"o"}, "on('x') || a": {"a", "on"}, "'a' == 'b'": nil, "o.a == 1": {"o"},
	} {
		c, faults := env.Check(source)
		if faults != nil {
			t.Errorf("%s: %v", source, faults)
			continue
		}
		if got := slices.Sorted(maps.Keys(c.Reads)); !slices.Equal(got, want) {
			t.Errorf("%s reads %v, want %v", source, got, want)
		}
	}
	p := compile(t, env, "a.x")
	if got := p.Reads(); !reflect.DeepEqual(got, map[string]bool{"a": true}) || p.Checked().Source != "a.x" {
		t.Errorf("%v", got)
	}
}

// TestConditions are what is true or false, or may be.
func TestConditions(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}})
	for source, want := range map[string]bool{"true": true, "v": true, "v > 1": true, "v.a.b": true, "1": false, "'true'": false, "[true]": false, "string(v)": false} {
		if c, faults := env.Check(source); faults != nil || c.Condition != want {
			t.Errorf("%s: %+v, %v", source, c, faults)
		}
	}
}

// TestLists are what is a list, or may be.
func TestLists(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}})
	for source, want := range map[string]bool{"[1]": true, "v": true, "v.a": true, "v.map(x, x)": true, "{}": false, "v > 1": false, "'a'": false} {
		if c, faults := env.Check(source); faults != nil || c.List != want {
			t.Errorf("%s: %+v, %v", source, c, faults)
		}
	}
}

// TestFalse is what is written as false, and nothing that only comes to it.
func TestFalse(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}})
	for source, want := range map[string]bool{"false": true, "true": false, "v": false, "1 == 2": false} {
		if c, faults := env.Check(source); faults != nil || c.False() != want {
			t.Errorf("%s: %+v, %v", source, c, faults)
		}
	}
}

// TestBinds: a macro may call its variable as the environment does.
func TestBinds(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}})
	for source, want := range map[string]bool{"v": false, "v.map(x, x + v)": false, "[1].map(v, v)": true, "[[1]].map(x, x.filter(v, v > 1))": true, "v.exists(v, v.a)": true} {
		if c, faults := env.Check(source); faults != nil || c.Binds("v") != want {
			t.Errorf("%s: %+v, %v", source, c, faults)
		}
	}
}

// TestPredicates are true by what the resolver says.
func TestPredicates(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}, Predicates: []Predicate{{Name: "on", Usage: "on takes a name"}}})
	c, faults := env.Check("on('b') && !on('a') || on('b') && v")
	if want := []Ask{{"on", "b"}, {"on", "a"}}; faults != nil || !slices.Equal(c.Asks, want) {
		t.Fatalf("%+v, %v", c, faults)
	}
	p, err := c.Plan(EditionNow, func(a Ask) func(Activation) bool {
		return func(vars Activation) bool { v, _ := vars.ResolveName("@on"); return v == a.Argument }
	})
	if err != nil {
		t.Fatal(err)
	}
	for on, want := range map[string]bool{"a": false, "b": true} {
		if got, err := p.Eval(Values{"@on": on, "v": true}); err != nil || got != want {
			t.Errorf("%s: %v, %v", on, got, err)
		}
	}
	if _, faults := env.Compile("on('a')"); len(faults) != 1 || faults[0].Message != "on needs a meaning" {
		t.Errorf("%v", faults)
	}
	for _, source := range []string{"true && on(v)", "true && on('a' + 'b')", "true && on(1)"} {
		if _, faults := env.Check(source); !slices.Equal(faults, []Fault{{Line: 1, Column: 10, Message: "on takes a name"}}) {
			t.Errorf("%s: %v", source, faults)
		}
	}
	if _, faults := newEnv(t, Options{}).Check("on('a')"); faults == nil {
		t.Error("a predicate of another environment")
	}
}

// TestMappingsAreInOrder: Go's order of a map differs from run to run.
func TestMappingsAreInOrder(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}})
	many := map[string]any{}
	var want []any
	for i := range 50 {
		key := fmt.Sprintf("k%02d", i)
		many[key] = float64(i)
		want = append(want, key)
	}
	p := compile(t, env, "v.map(k, k)")
	literal := compile(t, env, "{'z': 1, 'b': 2, 'm': 3, 'a': 4}.filter(k, true).join()")
	for range 20 {
		if got, err := p.Eval(Values{"v": many}); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, %v", got, err)
		}
		if got, err := literal.Eval(Values{}); err != nil || got != "abmz" {
			t.Fatalf("%v, %v", got, err)
		}
	}
}

// TestBounds: of work, of depth and of size.
func TestBounds(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}})
	deep := func(n int) any {
		v := any(1.0)
		for range n {
			v = []any{v}
		}
		return v
	}
	if got, err := compile(t, env, "v").Eval(Values{"v": deep(MaxDepth)}); err != nil || !reflect.DeepEqual(got, deep(MaxDepth)) {
		t.Errorf("%v", err)
	}
	if _, err := compile(t, env, "v").Eval(Values{"v": deep(MaxDepth + 1)}); err == nil || err.Error() != "the value is nested deeper than 32" {
		t.Errorf("%v", err)
	}
	if got, err := compile(t, env, "v").Eval(Values{"v": strings.Repeat("a", MaxSize-8)}); err != nil || len(got.(string)) != MaxSize-8 {
		t.Errorf("%v", err)
	}
	if _, err := compile(t, env, "v").Eval(Values{"v": strings.Repeat("a", MaxSize-7)}); err != ErrTooLarge {
		t.Errorf("%v", err)
	}
	list := make([]any, 200)
	for i := range list {
		list[i] = float64(i)
	}
	_, err := compile(t, env, "v.all(a, v.all(b, v.all(c, a + b + c >= 0)))").Eval(Values{"v": list})
	if err == nil || !TooCostly(err) || Absent(err) {
		t.Errorf("%v", err)
	}
	if _, err := compile(t, env, "v.missing").Eval(Values{"v": map[string]any{}}); err == nil || !Absent(err) || TooCostly(err) {
		t.Errorf("%v", err)
	}
}

type noting struct {
	Values
	differs bool
}

func (n *noting) ResolveName(name string) (any, bool) {
	if name == NoteTo {
		return n, true
	}
	return n.Values.ResolveName(name)
}

func (n *noting) NoteDifference() { n.differs = true }

// TestEditions: each has its numbers, and what differs is noted.
func TestEditions(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}})
	for _, c := range []struct {
		source     string
		first, now any // nil: an error
		differs    bool
	}{
		{"string(v)", "1e+06", "1000000", true},
		{"string(1 / v)", "1e-06", "0.000001", true},
		{"v / 0 > 1", true, nil, true},
		{"[v].map(x, x / 0 > 1)[0]", true, nil, true},
		{"v * 1e308", nil, nil, true},
		{"v + 1", 1000001.0, 1000001.0, false},
		{"string(v / 1e6)", "1", "1", false},
	} {
		checked, faults := env.Check(c.source)
		if faults != nil {
			t.Fatal(faults)
		}
		for edition, want := range map[Edition]any{EditionFirst: c.first, EditionNow: c.now} {
			p, err := checked.Plan(edition, nil)
			if err != nil {
				t.Fatal(err)
			}
			vars := &noting{Values: Values{"v": 1e6}}
			got, err := p.Eval(vars)
			if got != want || (err != nil) != (want == nil) {
				t.Errorf("%s in edition %d: %v, %v; want %v", c.source, edition, got, err, want)
			}
			if edition == EditionNow && vars.differs != c.differs {
				t.Errorf("%s: noted %v", c.source, vars.differs)
			}
		}
	}
}

// TestProgramsAreShared by goroutines, as the race detector can see.
func TestProgramsAreShared(t *testing.T) {
	env := newEnv(t, Options{Values: []string{"v"}})
	p := compile(t, env, "v.list.map(x, x * v.n).sort()")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			n := float64(i)
			for range 50 {
				got, err := p.Eval(Values{"v": map[string]any{"n": n, "list": []any{2.0, 1.0}}})
				if err != nil || !reflect.DeepEqual(got, []any{n, 2 * n}) {
					t.Errorf("%v, %v", got, err)
				}
				if _, faults := env.Compile("v.x + " + fmt.Sprint(i)); faults != nil {
					t.Error(faults)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzEval: whatever is written and received, there are faults inside of the expression, or
// the same JSON value or error each time.
func FuzzEval(f *testing.F) {
	for _, source := range []string{"v", "v.a[0]", "v.map(k, v[k])", "{'a': v}", "string(v)", "timestamp(v).getHours('+01:00')", "v = 1", "'ä' + \"", "\n\n x", "1e999", "{v: v}", "v.b / v.b", "[v, v].sort()"} {
		f.Add(source, []byte(`{"a": [1, "x", null], "b": 0}`))
		f.Add(source, []byte(`1e308`))
	}
	env := newEnv(f, Options{Values: []string{"v"}})
	f.Fuzz(func(t *testing.T, source string, data []byte) {
		var v any
		if json.Unmarshal(data, &v) != nil {
			t.Skip()
		}
		p, faults := env.Compile(source)
		for _, fault := range faults {
			if at := fault.Offset(source); at < -1 || at > len(source) || fault.Line < 1 || fault.Message == "" {
				t.Fatalf("%q: %+v", source, fault)
			}
		}
		if faults != nil {
			return
		}
		got, err := p.Eval(Values{"v": v})
		again, err2 := p.Eval(Values{"v": v})
		if fmt.Sprint(err) != fmt.Sprint(err2) || err == nil && !reflect.DeepEqual(got, again) {
			t.Fatalf("%q of %s: %v, %v and then %v, %v", source, data, got, err, again, err2)
		}
		if err != nil {
			if strings.Contains(err.Error(), "internal error") {
				t.Fatalf("%q of %s: %v", source, data, err)
			}
			return
		}
		if _, err := json.Marshal(got); err != nil {
			t.Fatalf("%q of %s: %v", source, data, err)
		}
	})
}

// BenchmarkNewEnv is an environment after the first one.
func BenchmarkNewEnv(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newEnv(b, Options{Values: []string{"topic", "payload"}})
	}
}

// BenchmarkEval is a condition on two members of a payload.
func BenchmarkEval(b *testing.B) {
	env := newEnv(b, Options{Values: []string{"v"}})
	p := compile(b, env, "v.temperature > 90 && v.code != 5")
	vars := Values{"v": map[string]any{"temperature": 95.5, "code": 117.0}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Eval(vars); err != nil {
			b.Fatal(err)
		}
	}
}
