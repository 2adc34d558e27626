package devicefsm

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/internal/expression"
)

// evaluated is the value of an expression by the rules of an edition, in the closures
// if they know it, and in cel-go, which have to agree.
func evaluated(t rapid.TB, source string, s scope, edition int) (any, error) {
	t.Helper()
	e, faults := compileExpr(placeChart, source)
	if faults != nil {
		t.Fatalf("%s: %v", source, faults)
	}
	s.edition = edition
	v, err := e.eval(&s)
	e.fast = nil
	slow, slowErr := e.eval(&s)
	if (err == nil) != (slowErr == nil) || !reflect.DeepEqual(v, slow) {
		t.Errorf("%s: closures say %v, %v; cel-go says %v, %v", source, v, err, slow, slowErr)
	}
	return v, err
}

// TestNumbersBecomeTextAsJSON: string() of a number is its JSON, wherever it stands.
func TestNumbersBecomeTextAsJSON(t *testing.T) {
	s := scope{event: obj{"n": 1e6, "id": 123456789.0, "small": 0.00001, "list": []any{1e6, 2.5}}}
	for source, want := range map[string]any{
		"string(1000000)": "1000000",
		"string(event.n)": "1000000",
		"'n = ' + string(event.id) + ' / ' + string(3)": "n = 123456789 / 3",
		"string(event.small)":                           "0.00001",
		"string(-0.5)":                                  "-0.5",
		"string(1e21)":                                  "1e+21",
		"string(1e-7)":                                  "1e-7",
		"string(9007199254740992)":                      "9007199254740992",
		"event.list.map(x, string(x))":                  []any{"1000000", "2.5"},
		"{string(event.n): string(event.n + 1)}":        obj{"1000000": "1000001"},
		"{'at': string(int('1e6'))}":                    obj{"at": "1000000"},
		"true ? string(dyn(event.n)) : ''":              "1000000",
		"string(string(event.n))":                       "1000000",
		"string(true) + string(duration('90s'))":        "true90s",
	} {
		if got, err := evaluated(t, source, s, EditionNow); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %#v, %v; want %#v", source, got, err, want)
		}
	}
	for source, want := range map[string]any{"string(event.n)": "1e+06", "string(1000000)": "1e+06", "string(event.id)": "1.23456789e+08", "string(95.5)": "95.5"} {
		if got, err := evaluated(t, source, s, EditionFirst); err != nil || got != want {
			t.Errorf("in the first edition, %s = %#v, %v; want %#v", source, got, err, want)
		}
	}
}

// TestTextOfEveryNumber: what string() writes is what encoding/json does.
func TestTextOfEveryNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		if !expression.Finite(n) {
			t.Skip()
		}
		raw, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := evaluated(t, "string(event.n)", scope{event: obj{"n": n}}, EditionNow)
		if err != nil || got != string(raw) {
			t.Fatalf("string(%v) = %q, %v; JSON has %s", n, got, err, raw)
		}
		var back float64
		if json.Unmarshal([]byte(got.(string)), &back) != nil || back != n {
			t.Fatalf("%q is not %v", got, n)
		}
	})
}

// TestNumbersInMessages: what a log, a notification and a fault say of a number.
func TestNumbersInMessages(t *testing.T) {
	m := load(t, `
initial: a
states:
  a:
    on:
      e:
        actions:
          - log: "'total ' + string(event.n)"
          - log: event.n
          - log: "{'n': event.n}"
          - notify: {to: someone, data: {text: "'n is ' + string(event.n)"}}
          - assign: {last: "string(event.n)"}
          - log: "event['list'][1000000]"
`)
	d := start(t, m)
	out := d.send("e", obj{"n": 1e6, "list": obj{"a": 1.0}}).out
	var got []string
	for _, a := range out.Actions {
		raw, _ := json.Marshal(a.Data)
		got = append(got, string(raw))
	}
	want := []string{`{"message":"total 1000000"}`, `{"message":"1000000"}`, `{"message":"{\"n\":1000000}"}`, `{"text":"n is 1000000"}`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("actions %q", got)
	}
	if last := d.s.context["last"]; last != "1000000" {
		t.Errorf("context.last = %v", last)
	}
	if strings.Contains(fmt.Sprint(out.Faults), "e+06") {
		t.Errorf("faults %v", out.Faults)
	}
}

// TestResultsAreFinite: what is not a finite number is an error, in every place, and
// && and || absorb it as any other.
func TestResultsAreFinite(t *testing.T) {
	s := scope{event: obj{"total": 10.0, "count": 0.0, "big": 1e308, "list": []any{0.0, 2.0}, "huge": []any{1e308, 1e308}, "text": "Infinity"}}
	for source, want := range map[string]string{
		"event.total / event.count":                                   "division by zero: event.count is 0",
		"event.total / event.count > 5":                               "division by zero: event.count is 0",
		"event.count / event.count == 1":                              "division by zero",
		"event.total % event.count":                                   "division by zero",
		"event.total % 0":                                             "division by zero",
		"1 / 0":                                                       "division by zero",
		"-(1 / 0) < 5":                                                "division by zero",
		"event.big * 10":                                              "the result of * is not a finite number",
		"event.big + event.big":                                       "the result of + is not a finite number",
		"-event.big - event.big":                                      "the result of - is not a finite number",
		"event.big * 10 - event.big * 10":                             "not a finite number",
		"event.total / 1e-308":                                        "the result of / is not a finite number",
		"max(event.total / event.count, 3)":                           "division by zero",
		"[1 / event.count, 2]":                                        "division by zero",
		"{'a': {'b': [event.total / event.count]}}":                   "division by zero",
		"[event.total / event.count][0] > 5":                          "division by zero",
		"event.list.map(x, 1 / x)":                                    "division by zero",
		"event.list.exists(x, event.total / x > 50)":                  "division by zero",
		"event.list.all(x, event.total / x > 1)":                      "division by zero",
		"event.list.filter(x, event.total % x == 0)":                  "division by zero",
		"event.list.map(x, event.list.map(y, x / y))":                 "division by zero",
		"event.huge.map(x, x * 2)[0]":                                 "not a finite number",
		"event.count == 1 || event.total / event.count > 5":           "division by zero",
		"event.total / event.count > 5 && event.total == 10":          "division by zero",
		"event.count == 0 ? event.total / event.count : 1":            "division by zero",
		"double(event.text)":                                          "not a finite number",
		"double('NaN') == 1":                                          "not a finite number",
		"int(event.text) > 3":                                         "not a finite number",
		"string(event.total / event.count)":                           "division by zero",
		"event.total / event.count == event.total / event.count":      "division by zero",
		"'a' in event.list ? 1 : event.total / event.count":           "division by zero",
		"min(event.big * 10, 1)":                                      "not a finite number",
		"event.list[event.total / event.count]":                       "division by zero",
		"size(event.list) / event.count > 1":                          "division by zero",
		"dyn(event.total) / dyn(event.count)":                         "division by zero",
		"has(event.total) && event.total / event.count > 5":           "division by zero",
		"round(event.big * event.big) == 0":                           "not a finite number",
		"event.list.exists_one(x, event.total / x > 1 && x / 0 == x)": "division by zero",
	} {
		got, err := evaluated(t, source, s, EditionNow)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v, %v; want an error with %q", source, got, err, want)
		}
	}
	for source, want := range map[string]any{
		"event.count == 0 ? 0 : event.total / event.count":     0.0,
		"event.count != 0 && event.total / event.count > 5":    false,
		"event.total / event.count > 5 && event.count != 0":    false,
		"event.count == 0 || event.total / event.count > 5":    true,
		"event.total / event.count > 5 || event.count == 0":    true,
		"event.list.exists(x, event.total / x == 5)":           true,
		"event.list.all(x, event.total / x > 50)":              false,
		"event.list.filter(x, x != 0).map(x, event.total / x)": []any{5.0},
		"event.list.exists(x, x != 0 && event.total / x > 4)":  true,
		"true || double('Infinity') > 1":                       true,
		"false && string(1 / 0) == ''":                         false,
		"event.list.map(x, x == 0 ? 0 : event.total / x)":      []any{0.0, 5.0},
		"event.count / event.total":                            0.0,
		"event.big / 10 * 10 == event.big || event.big > 0":    true,
		"-event.count":                                             math.Copysign(0, -1),
		"event.count % event.total":                                0.0,
		"event.list.map(x, x * 1e300).size()":                      2.0,
		"event.list.all(x, x == 0 || event.total % x == 0)":        true,
		"[event.count, event.total / (event.count + 1)] == [0,10]": true,
	} {
		if got, err := evaluated(t, source, s, EditionNow); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %v, %v; want %v", source, got, err, want)
		}
	}
}

// TestTheFirstEditionKeepsInfinity: what began under it goes on as it was.
func TestTheFirstEditionKeepsInfinity(t *testing.T) {
	s := scope{event: obj{"total": 10.0, "count": 0.0, "list": []any{0.0, 2.0}}}
	for source, want := range map[string]any{
		"event.total / event.count > 5":                    true,
		"event.total % event.count == 1":                   false,
		"event.list.exists(x, event.total / x > 50)":       true,
		"max(event.total / event.count, 3) > 1e300":        true,
		"string(event.total / event.count)":                "+Inf",
		"-(1 / 0) < 5":                                     true,
		"event.list.map(x, 1 / x > 1)":                     []any{true, false},
		"double('Infinity') > 1":                           true,
		"event.count == 0 ? 0 : event.total / event.count": 0.0,
	} {
		if got, err := evaluated(t, source, s, EditionFirst); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %v, %v; want %v", source, got, err, want)
		}
	}
	if got, err := evaluated(t, "event.total / event.count", s, EditionFirst); err == nil {
		t.Errorf("a value that JSON cannot hold: %v", got)
	}
}

// TestTheEditionOfARunDecides steps one model by the rules of both.
func TestTheEditionOfARunDecides(t *testing.T) {
	m := load(t, `
context: {text: null}
initial: a
states:
  a: {on: {e: {guard: "event.total / event.count > 5", target: b, actions: [{assign: {text: "string(event.total)"}}]}}}
  b: {}
`)
	for edition, want := range map[int]string{EditionFirst: "b 1e+06 []", EditionNow: `a <nil> [guard "event.total / event.count > 5" of state "a": division by zero: event.count is 0]`} {
		d := start(t, m.Edition(edition))
		out := d.send("e", obj{"total": 1e6, "count": 0.0}).out
		if got := fmt.Sprint(d.m.StateName(d.s), " ", d.s.context["text"], " ", out.Faults); got != want {
			t.Errorf("edition %d: %s, want %s", edition, got, want)
		}
	}
}

// TestFiltersHoldInEveryEdition: a message is left out only if it does nothing by the
// rules of any edition that a run may go by.
func TestFiltersHoldInEveryEdition(t *testing.T) {
	for name, tc := range map[string]struct {
		model      string
		left, pass []map[string]any // may be left out, and may not
	}{
		"a guard": {`
initial: a
states: {a: {on: {data: {guard: "event.total / event.count > 5", target: b}}}, b: {on: {data: {guard: "event.total / event.count < 1", target: a}}}}
`,
			[]map[string]any{{"total": 3.0, "count": 1.0}, {"total": 0.0, "count": 0.0}},
			[]map[string]any{{"total": 3.0, "count": 0.0}, {"total": -3.0, "count": 0.0}},
		},
		"a string": {`
initial: a
states: {a: {on: {data: {guard: "string(event.n) == '1e+06'", target: b}}}, b: {}}
`, []map[string]any{{"n": 1e5}, {"n": 2e6}}, []map[string]any{{"n": 1e6}}},
		"a rule": {`
events: {none: {channel: events, when: "msg.total / msg.count > 5"}}
initial: a
states: {a: {on: {data: b}}, b: {}}
`, []map[string]any{{"total": 9.0, "count": 1.0}}, []map[string]any{{"total": 3.0, "count": 0.0}}},
		"a guard that reads nothing": {`
initial: a
states: {a: {on: {data: {guard: "1 / 0 > 5 && event.n > 1", target: b}}}, b: {}}
`, []map[string]any{{"n": 0.0}}, []map[string]any{{"n": 2.0}}},
		"a macro": {`
initial: a
states: {a: {on: {data: {guard: "event.list.exists(x, 1 / x > 5)", target: b}}}, b: {on: {data: {guard: "event.list == []", target: a}}}}
`, []map[string]any{{"list": []any{1.0}}}, []map[string]any{{"list": []any{0.0}}}},
	} {
		m := load(t, tc.model)
		message := func(data map[string]any) device.Message {
			return device.Message{Channel: device.ChannelEvents, Name: "data", Data: data}
		}
		for _, data := range tc.left {
			if !m.MayLeaveOut(message(data)) {
				t.Errorf("%s: %v is never left out", name, data)
			}
		}
		for _, data := range tc.pass {
			var f Filter
			for range 3 {
				if msg := message(data); m.MayLeaveOut(msg) || !m.Relevant(msg) || !m.Pass(&f, msg) {
					t.Errorf("%s: %v is left out", name, data)
				}
			}
		}
	}
}

// TestCheckWarnsOfRoundedIntegers: each with its place, in expressions and in values.
func TestCheckWarnsOfRoundedIntegers(t *testing.T) {
	src := `context: {id: 9007199254740993, hex: 0x20000000000001, fine: 9007199254740992}
initial: a
states:
  a:
    meta: {id: 9007199254740993}
    on:
      e:
        guard: "event.id == 9007199254740993 && event.n < 9007199254740992"
        target: b
        actions:
          - assign: {id: -9007199254740995, n: "event.id + 18446744073709551615u + context.fine + context.hex"}
          - command: {name: c, data: {id: 36028797018963968}}
  b: {on: {e: a}}
`
	if _, err := Load("m.yaml", []byte(src)); err != nil {
		t.Fatal(err)
	}
	_, err := Check("m.yaml", []byte(src))
	got := ""
	if err != nil {
		got = err.Error()
	}
	for _, want := range []string{
		"m.yaml:1:15: 9007199254740993 is beyond 2^53 and counts as 9007199254740992",
		"m.yaml:1:38: 9007199254740993 is beyond 2^53",
		"m.yaml:8:29: 9007199254740993 is beyond 2^53 and counts as 9007199254740992 (" + roundedHint,
		"m.yaml:11:26: -9007199254740995 is beyond 2^53 and counts as -9007199254740996",
		"m.yaml:11:60: 18446744073709551615 is beyond 2^53 and counts as 18446744073709551616",
		"m.yaml:12:43: 36028797018963968 is beyond 2^53, where several integers count as the same number",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if n := strings.Count(got, "beyond 2^53"); n != 6 {
		t.Errorf("%d warnings:\n%s", n, got)
	}
}
