package expression

import (
	"fmt"
	"slices"
	"testing"
)

func TestPath(t *testing.T) {
	env, err := NewEnv("payload", "topic")
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		"payload":                             "payload []",
		"payload.a.b":                         "payload [a b]",
		`payload["a-b"].c`:                    "payload [a-b c]",
		"(payload).a":                         "payload [a]",
		"payload[0]":                          "none",
		"payload[topic.x]":                    "none",
		"payload.a + 1":                       "none",
		"has(payload.a)":                      "none",
		"has(payload.a.b)":                    "none",
		"payload.map(x, x)":                   "none",
		"payload.a.size()":                    "none",
		"'x'":                                 "none",
		"int":                                 "none",
		"payload.a ? payload.b : payload.c":   "none",
		"{'a': payload}.a":                    "none",
		"payload.?a":                          "",
		"payload.filter(payload, payload.a)":  "none",
		"payload.exists(x, x.a == payload.b)": "none",
	} {
		c, faults := env.Check(source)
		if faults != nil {
			if want != "" && source != "int" {
				t.Errorf("%s: %v", source, faults)
			}
			continue
		}
		got := "none"
		if variable, names, ok := c.Path(); ok {
			got = fmt.Sprint(variable, " ", names)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
}

func TestMembers(t *testing.T) {
	env, err := NewEnv("payload", "topic")
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		"topic.b + topic.a + topic.b":     "[a b] true",
		"has(topic.a) ? payload.x : 1":    "[a] true",
		"payload.topic.x":                 "[] true",
		"topic[payload.x]":                "[] false",
		"payload.map(k, topic.a + k.b)":   "[a] true",
		"{topic.what: payload, 'x': 'y'}": "[what] true",
		"topic['a-b'].c + topic.d":        "[a-b d] true",
		"topic.a + size(topic)":           "[a] false",
		"topic.map(k, topic[k])":          "[] false",
		"topic == payload":                "[] false",
	} {
		c, faults := env.Check(source)
		if faults != nil {
			t.Fatalf("%s: %v", source, faults)
		}
		names, all := c.Members("topic")
		if got := fmt.Sprint(names, all); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
}

// A larger result may be asked for.
func TestEvalWithin(t *testing.T) {
	env, err := NewEnv("payload")
	if err != nil {
		t.Fatal(err)
	}
	p, faults := env.Compile("payload.map(x, x)")
	if faults != nil {
		t.Fatal(faults)
	}
	list := slices.Repeat([]any{"a string of 25 characters"}, 1000)
	if _, err := p.Eval(Values{"payload": list}); err == nil || err.Error() != "the value is larger than 16384 bytes" {
		t.Errorf("%v", err)
	}
	v, err := p.EvalWithin(Values{"payload": list}, 40_000)
	if got, ok := v.([]any); err != nil || !ok || len(got) != len(list) {
		t.Errorf("%d, %v", len(got), err)
	}
	if _, err := p.EvalWithin(Values{"payload": list}, 30_000); err == nil || err.Error() != "the value is larger than 30000 bytes" {
		t.Errorf("%v", err)
	}
}
