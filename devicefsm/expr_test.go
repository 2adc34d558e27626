package devicefsm

import (
	"reflect"
	"testing"
)

func testScope() *scope {
	return &scope{
		event:   map[string]any{"code": 117.0, "temperature": 95.5, "name": "pump", "ok": true, "none": nil, "list": []any{1.0, 2.0, "x"}, "deep": map[string]any{"a": 1.0, "b": 2.0}},
		context: map[string]any{"attempts": 2.0},
	}
}

func TestExpressions(t *testing.T) {
	for _, c := range []struct {
		source string
		want   any
	}{
		{"event.code == 117", true},
		{"event.code == 117.0", true},
		{"event.code + 1", 118.0},
		{"context.attempts * 2 + 1", 5.0},
		{"2 * 1.5", 3.0},
		{"7 / 2", 3.5},
		{"7 % 4", 3.0},
		{"-context.attempts", -2.0},
		{"size(event.name) + 1", 5.0},
		{"event.list.size() - 1", 2.0},
		{"event.list[1]", 2.0},
		{"event.list[context.attempts]", "x"},
		{"[1, 2, 3][0]", 1.0},
		{"event['code']", 117.0},
		{"event.code in [116, 117]", true},
		{"'a' in event.deep", true},
		{"has(event.missing) && event.missing > 1", false},
		{"event.missing > 1 && false", false},
		{"event.ok || event.missing", true},
		{"event.ok ? 'yes' : 'no'", "yes"},
		{"event.none == null", true},
		{"event.deep == {'a': 1, 'b': 2}", true},
		{"event.deep.map(k, k)", []any{"a", "b"}},
		{"{'b': 1, 'a': 2, 'c': 3}.map(k, k)", []any{"a", "b", "c"}},
		{"event.list.filter(x, x == 1).size() == 1", true},
		{"[1, 2, 3].exists_one(x, x == 2)", true},
		{"event.name.startsWith('pu')", true},
		{"event.name.matches('^p.*p$')", true},
		{"string(event.code)", "117"},
		{"int(event.temperature)", 95.0},
		{"double('1.5')", 1.5},
		{"int('12.9')", 12.0},
		{"round(2.5) + abs(-1) + min(1, 2) + max(1, 2)", 7.0},
		{"{'a': event.code, 'b': [event.name]}", map[string]any{"a": 117.0, "b": []any{"pump"}}},
		{"duration('90s') > duration('1m')", true},
		{"1u + 1", 2.0},
	} {
		e, faults := compileExpr(placeChart, c.source)
		if faults != nil {
			t.Errorf("%s: %v", c.source, faults)
			continue
		}
		got, err := e.eval(testScope())
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s = %#v, %v; want %#v (fast: %v)", c.source, got, err, c.want, e.fast != nil)
		}
	}
}

func TestExpressionErrors(t *testing.T) {
	for _, source := range []string{
		"event.missing", "event.name + 1", "event.name > 1", "event.missing > 1", "1.0 / 0.0", "event.list[7]",
		"event.list[0.5]", "b'bytes'", "duration('1s')", "event.code.x", "!event.code", "{1: 2}",
		"[1,2,3,4,5,6,7,8].map(a, [1,2,3,4,5,6,7,8].map(b, [1,2,3,4,5,6,7,8].map(c, [1,2,3,4,5,6,7,8].map(d, [1,2,3,4,5,6,7,8].map(e, e)))))",
	} {
		e, faults := compileExpr(placeChart, source)
		if faults != nil {
			t.Errorf("%s: %v", source, faults)
			continue
		}
		v, err := e.eval(testScope())
		if err == nil {
			t.Errorf("%s = %#v, want an error", source, v)
		}
		t.Log(source, "->", err)
	}
}

func TestExpressionFaults(t *testing.T) {
	for _, source := range []string{"event.code ==", "foo > 1", "'a' + 1", "1 == '1'", "stateIn(event.name)", "now()", "event.code = 1", "msg.x"} {
		_, faults := compileExpr(placeChart, source)
		if faults == nil {
			t.Errorf("%s: no fault", source)
		}
		t.Log(source, "->", faults)
	}
}

func BenchmarkGuardFast(b *testing.B) {
	e, _ := compileExpr(placeChart, "event.temperature > 90 && event.code != 5")
	s := testScope()
	b.ReportAllocs()
	for b.Loop() {
		e.test(s)
	}
}

func BenchmarkGuardCEL(b *testing.B) {
	e, _ := compileExpr(placeChart, "event.temperature > 90 && event.code != 5")
	e.fast = nil
	s := testScope()
	b.ReportAllocs()
	for b.Loop() {
		e.test(s)
	}
}

func BenchmarkCompileExpr(b *testing.B) {
	for b.Loop() {
		compileExpr(placeChart, "event.temperature > 90 && event.code != 5")
	}
}
