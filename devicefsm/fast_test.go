package devicefsm

import (
	"fmt"
	"reflect"
	"testing"

	"cel.dev/cel-go/common/types"
	"pgregory.net/rapid"
)

// randomExpression draws an expression over event and context, mostly of the
// kind that the closures compute.
func randomExpression(t *rapid.T, depth int) string {
	sub := func() string { return randomExpression(t, depth-1) }
	if depth == 0 {
		return rapid.SampledFrom([]string{
			"event.n", "event.s", "event.b", "event.z", "event.list", "event.deep", "event.deep.a", "event.deep.n.m", "event.missing",
			"context.n", "context['s']", "event.nan", "0", "1", "-2.5", "1u", "'abc'", "''", "true", "false", "null", "[1, 'abc', true]", "[]", "event",
		}).Draw(t, "leaf")
	}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0, 1, 2, 3:
		op := rapid.SampledFrom([]string{"&&", "||", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "in"}).Draw(t, "op")
		return fmt.Sprintf("(dyn(%s) %s dyn(%s))", sub(), op, sub())
	case 4:
		return fmt.Sprintf("(%s ? dyn(%s) : dyn(%s))", "dyn("+sub()+")", sub(), sub())
	case 5:
		form := rapid.SampledFrom([]string{"!dyn(%s)", "-dyn(%s)", "size(dyn(%s))", "dyn(%s).size()", "int(dyn(%s))", "string(dyn(%s))"}).Draw(t, "unary")
		return fmt.Sprintf(form, sub())
	case 6:
		return rapid.SampledFrom([]string{
			"has(event.n)", "has(event.missing)", "has(event.deep.a)", "has(event.n.x)", "has(event.missing.x)", "has(event.z.x)", "has(event.list.x)",
		}).Draw(t, "has")
	case 7:
		return fmt.Sprintf("dyn(%s)[dyn(%s)]", sub(), sub())
	case 8:
		if rapid.Bool().Draw(t, "macro") {
			form := rapid.SampledFrom([]string{
				"dyn(%s).map(x, dyn(x) / dyn(%s))", "dyn(%s).exists(x, dyn(x) * 1e300 > dyn(%s))", "dyn(%s).all(x, string(dyn(x)) != dyn(%s))",
				"dyn(%s).filter(x, dyn(x) %% 2 == dyn(%s))",
			}).Draw(t, "form")
			return fmt.Sprintf(form, sub(), sub())
		}
		f := rapid.SampledFrom([]string{"contains", "startsWith", "endsWith"}).Draw(t, "text")
		return fmt.Sprintf("dyn(%s).%s(dyn(%s))", sub(), f, sub())
	}
	return fmt.Sprintf("%s(dyn(%s), dyn(%s))", rapid.SampledFrom([]string{"min", "max"}).Draw(t, "function"), sub(), sub())
}

// TestFastIsCEL compares the closures with cel-go: the same value, or an error
// in both.
func TestFastIsCEL(t *testing.T) {
	nan := 0.0
	nan /= nan
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		source := randomExpression(t, rapid.IntRange(0, 3).Draw(t, "depth"))
		e, faults := compileExpr(placeChart, source)
		if faults != nil || e.fast == nil {
			t.Skip()
		}
		s := randomScope(t)
		s.event["nan"] = nan
		s.edition = rapid.IntRange(EditionFirst, EditionNow).Draw(t, "edition")
		fast, st := e.fast(s)
		if st == punt {
			t.Skip()
		}
		slow, err := e.slow(s)
		compared++
		if (st == failed || st == absent) != (err != nil) {
			t.Fatalf("%s: closures say %v %v, cel-go %v %v", source, fast, st, slow, err)
		}
		if err != nil {
			return
		}
		if fast, ok := fast.(float64); ok && fast != fast {
			return // NaN is not equal to itself
		}
		if _, ok := fast.(map[string]any); ok {
			fast = fmt.Sprint(fast) // holds a NaN, which is not equal to itself
			slow = types.DefaultTypeAdapter.NativeToValue(fmt.Sprint(slow.Value()))
		}
		want := types.DefaultTypeAdapter.NativeToValue(fast)
		if want.Equal(slow).Value() != true || want.Type().TypeName() != slow.Type().TypeName() {
			t.Fatalf("%s: closures say %#v, cel-go %#v", source, fast, slow)
		}
	})
	if compared < 50 {
		t.Errorf("only %d expressions compared", compared)
	}
}

// randomNumbers draws an expression of a kind, most of which compute with numbers.
func randomNumbers(t *rapid.T, kind string, depth int) string {
	sub := func(kind string) string { return randomNumbers(t, kind, depth-1) }
	form := func(forms ...string) string { return rapid.SampledFrom(forms).Draw(t, kind) }
	if depth == 0 {
		return map[string]string{"number": form("event.n", "0", "context.n", "1e300", "1000000"), "text": form("event.s", "'1e+06'"), "truth": form("event.b", "true")}[kind]
	}
	switch kind {
	case "text":
		return form("string("+sub("number")+")", "("+sub("text")+" + "+sub("text")+")", "string("+sub("truth")+")", "["+sub("number")+"].map(x, string(x))[0]")
	case "truth":
		return form(
			"("+sub("number")+form(" < ", " >= ", " == ")+sub("number")+")", "("+sub("text")+form(" < ", " != ")+sub("text")+")",
			"("+sub("truth")+form(" && ", " || ")+sub("truth")+")", "[0, 1, "+sub("number")+"].exists(x, x / "+sub("number")+" > x)", "!"+sub("truth"),
		)
	}
	return form(
		"("+sub("number")+form(" + ", " - ", " * ", " / ", " / ", " % ")+sub("number")+")", "-"+sub("number"),
		"max("+sub("number")+", "+sub("number")+")", "("+sub("truth")+" ? "+sub("number")+" : "+sub("number")+")", "size("+sub("text")+")",
	)
}

func randomScope(t *rapid.T) *scope {
	return &scope{
		event: obj{
			"n": rapid.SampledFrom([]float64{0, 1, 2, -1, 0.5, 1e6, 1e300}).Draw(t, "n"), "s": rapid.SampledFrom([]string{"abc", "b", "", "ä", "1e6"}).Draw(t, "s"),
			"b": rapid.Bool().Draw(t, "b"), "z": nil, "list": []any{1.0, "abc", nil}, "deep": obj{"a": "abc", "n": obj{"m": 2.0}}, "nan": 0.0,
		},
		context: obj{"n": 1.0, "s": "abc"},
	}
}

// TestDifferencesAreNoted: where the editions do not agree on an expression, its
// evaluation says so. What is left out before a run goes by it.
func TestDifferencesAreNoted(t *testing.T) {
	different := 0
	rapid.Check(t, func(t *rapid.T) {
		source := randomNumbers(t, rapid.SampledFrom([]string{"number", "text", "truth"}).Draw(t, "kind"), rapid.IntRange(1, 3).Draw(t, "depth"))
		e, faults := compileExpr(placeChart, source)
		if faults != nil {
			t.Fatal(source, faults)
		}
		fast := e.fast
		for range 4 { // of 100 expressions alone, sometimes fewer than 5 differ
			now := randomScope(t)
			first := *now
			first.edition = EditionFirst
			for _, fast := range []node{fast, nil} {
				e.fast = fast
				now.differs = false
				v, err := e.eval(now)
				w, err2 := e.eval(&first)
				if (err == nil) == (err2 == nil) && reflect.DeepEqual(v, w) {
					continue
				}
				different++
				if !now.differs {
					t.Fatalf("%s: %v %v, and in the first edition %v %v", source, v, err, w, err2)
				}
			}
		}
	})
	if different < 5 {
		t.Errorf("the editions differed only %d times", different)
	}
}
