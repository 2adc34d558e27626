package dialect

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"devicetwin/internal/expression"
	"devicetwin/source"
	"devicetwin/wire/format"
)

// operands are what random expressions are made of.
var operands = []string{
	"payload.a", "payload.b", "payload.o.x", "payload['a-b']", "item.a", "item.l", "topic.id", "payload", "payload.none", "item.none.x",
	"1.5", "0", "-3", "7", "1e300", "'on'", "''", "'" + strings.Repeat("x", 200) + "'", "true", "false", "null",
}

// randomExpression is one of what is evaluated directly, and of a little that is not.
func randomExpression(r *rand.Rand, depth int) string {
	of := func() string { return randomExpression(r, depth-1) }
	if depth == 0 || r.IntN(5) == 0 {
		return operands[r.IntN(len(operands))]
	}
	switch r.IntN(9) {
	case 0:
		return fmt.Sprintf("(%s ? %s : %s)", of(), of(), of())
	case 1:
		return fmt.Sprintf("has(%s)", []string{"payload.a", "payload.o.x", "payload.none.x", "item.a", "item.a.b", "payload.o", "topic.id"}[r.IntN(7)])
	case 2:
		return fmt.Sprintf("%s(%s)", []string{"-", "!", "int", "double", "abs", "floor", "ceil", "round", "string"}[r.IntN(9)], of())
	case 3:
		return fmt.Sprintf("%s(%s, %s)", []string{"min", "max"}[r.IntN(2)], of(), of())
	case 4:
		return fmt.Sprintf("(%s %s %s)", of(), []string{"&&", "||"}[r.IntN(2)], of())
	}
	return fmt.Sprintf("(%s %s %s)", of(), []string{"+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">="}[r.IntN(11)], of())
}

// randomValues are members of payloads and items.
var randomValues = []string{
	"1", "-2.5", "0", "-0", "1e308", "21.50", `"on"`, `""`, `"1.5"`, `"\u00e4"`, `"` + strings.Repeat("x", 200) + `"`, "true", "false", "null", `{"x":2,"x":3}`, `{"x":{}}`, `[1]`,
}

func randomPayload(r *rand.Rand) string {
	if r.IntN(10) == 0 {
		return randomValues[r.IntN(len(randomValues))]
	}
	var members []string
	for _, name := range []string{"a", "b", "o", "a-b", "a"} {
		if r.IntN(4) > 0 {
			members = append(members, fmt.Sprintf("%q:%s", name, randomValues[r.IntN(len(randomValues))]))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// What is evaluated without cel-go and without decoding the payload has the same result, or
// is refused in the same words.
func TestDirectIsTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	json, err := format.Compile(format.Spec{Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	topic, err := parseTemplate("s/{id}")
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]int{}
	for range 5_000 {
		text := randomExpression(r, 3)
		l := &loader{file: source.Parse("x.yaml", fmt.Appendf(nil, "when: %q", text)), language: language}
		f := l.formula(l.file.Root().Fields("when")["when"], "it")
		if f == nil || f.direct == nil { // it is not valid, or not of this kind
			results["not direct"]++
			continue
		}
		slow := *f
		slow.direct, slow.variable = nil, ""
		payload, item := randomPayload(r), randomPayload(r)
		decoded, _ := json.Decode([]byte(item))
		evaluate := func(f *formula) (any, bool, error) {
			rule := &rule{topic: topic, payload: json, messages: []*message{{when: f, id: &idTemplate{}}}}
			rule.prepare()
			s := &scope{rule: rule, raw: []byte(payload), values: []string{"d1"}, item: decoded}
			if r.IntN(2) == 0 {
				s.json = plainJSON(s.raw, 32)
			} else if err := s.read(); err != nil {
				t.Fatal(err)
			}
			return s.eval(f)
		}
		v, there, err := evaluate(f)
		want, wantThere, wantErr := evaluate(&slow)
		if !reflect.DeepEqual(v, want) || there != wantThere || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%s of %s, item %s: %#v %v %v, want %#v %v %v", text, payload, item, v, there, err, want, wantThere, wantErr)
		}
		results[map[bool]string{true: "there", false: "absent"}[there && err == nil]]++
		if err != nil {
			results["refused"]++
		}
	}
	t.Log(results)
	for _, kind := range []string{"there", "absent", "refused", "not direct"} {
		if results[kind] < 80 {
			t.Errorf("%d are %s: the test says little", results[kind], kind)
		}
	}
}

// A member of what is not an object is not there, also after members of the payload were decoded for another formula.
func TestLookAfterMembers(t *testing.T) {
	set := load(t, one("s/{id}", "data: {m: 'string(payload.a)', n: payload.b.x > 1, o: 'payload.c.size()'}"))
	received, err := set.Decode("s/d1", []byte(`{"a":1,"b":"text","c":"cc"}`), false, now)
	if err != nil || string(received[0].Object) != `{"m":"1","o":2}` {
		t.Errorf("%v %v", received, err)
	}
}

func TestDirectDoesNotAllocate(t *testing.T) {
	c, faults := language.Check("has(payload.a) && payload.a / 10 > 2 && payload.mode == 'auto' ? -round(payload.a) : 0")
	if faults != nil {
		t.Fatal(faults)
	}
	direct := c.Direct()
	rule := &rule{read: map[string]int{"a": 0, "mode": 1}}
	s := &scope{rule: rule, json: []byte(`{"a":71.5,"mode":"auto"}`)}
	if v, outcome := direct(s); outcome != expression.Known || v.Number != -72 {
		t.Fatalf("%v %v", v, outcome)
	}
	if n := testing.AllocsPerRun(100, func() { direct(s) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
