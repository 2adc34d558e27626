package jinja

import (
	"strings"
	"testing"
	"unicode/utf8"

	"devicetwin/internal/jsonobject"
)

// scopeOf are the names of a payload, as of a state.
func scopeOf(payload string) *Scope {
	return &Scope{Left: 4 << 20, Value: func(name string) (any, bool) {
		if name == "value" {
			return payload, true
		}
		v, ok := encodedOf(payload)
		if !ok {
			return nil, false
		}
		return Decoded(v), true
	}}
}

func encodedOf(payload string) (jsonobject.Value, bool) {
	v, ok := jsonobject.ParseWithin([]byte(payload), 32)
	return v, ok && utf8.ValidString(payload)
}

var stateNames = []string{"value", "value_json"}

// What templates make of payloads. The first are the kinds that publishers have most, in the words of
// zigbee2mqtt, ESPHome, Tasmota, and others; results of numbers and conditions are those of Jinja2 3.1 in Python.
func TestRender(t *testing.T) {
	for _, c := range []struct{ template, payload, want string }{
		{"{{ value_json.power }}", `{"power":123.4}`, "123.4"},
		{"{{value_json.Leak}}", `{"Leak":"ON"}`, "ON"},
		{`{{ value_json["a b"] }}`, `{"a b":5}`, "5"},
		{"{{ value_json['DHT22'].Temperature }}", `{"DHT22":{"Temperature":21.50}}`, "21.5"},
		{"{{ value_json.a.b }}", `{"a":{"b":"x"}}`, "x"},
		{"{{ value_json.list[0] }} {{ value_json.list.1 }} {{ value_json.list[-1] }}", `{"list":[1,2,3]}`, "1 2 3"},
		{"{{ value }}", " as it is ", "as it is"},
		{"{{ value | float }}", "21", "21.0"},
		{"{{ value|float * 0.1 }}", "215", "21.5"},
		{"{{ (value | float / 10) | round(1) }}", "215", "21.5"},
		{"{{ value_json.x / 10 }}", `{"x":200}`, "20.0"},
		{"{{ value_json.x * 10 }}", `{"x":20}`, "200"},
		{"{{ value | int }}", "21.9", "21"},
		{"{{ value | int(0) }} {{ value | float(default=1.5) }}", "none", "0 1.5"},
		{"{{ int(value) + float(value) }}", "2", "4.0"},
		{"{{ value | int(base=16) }} {{ value | int(default=0, base=2) }}", "0x1F", "31 0"},
		{"{{ value | float | round }} {{ value | float | round(0, 'ceil') }} {{ value | float | round(1, method='floor') }}", "2.55", "3 3 2.5"},
		{"{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.74 | round(1, 'half') }}", "", "2 4 2.5"},
		{"{{ value | lower }}{{ value | upper }}{{ value | trim | length }}", "On", "onON2"},
		{"{{ value_json.a | default('x') }}{{ value_json.b | default(true, true) }}", `{"b":""}`, "xTrue"},
		{"{{ value_json.a | is_defined }}", `{"a":1}`, "1"},
		{"{{ value_json.a }}", `{"b":1}`, ""},
		{"{{ value_json.a | tojson }}", `{"a":{"b":[1,2.5,null,"x"]}}`, `{"b":[1,2.5,null,"x"]}`},
		{"{{ value_json.a | string ~ '%' }}", `{"a":5}`, "5%"},
		{"{{ 'ON' if value_json.x else 'OFF' }}", `{"x":true}`, "ON"},
		{"{{ 'ON' if value_json.x else 'OFF' }}", `{"x":0}`, "OFF"},
		{"{{ 'ON' if value_json.x }}", `{"x":0}`, ""},
		{"{{ 'a' if value == '1' else 'b' if value == '2' else 'c' }}", "2", "b"},
		{"{% if value_json.on %}ON{% elif value_json.half -%} HALF {%- else %}OFF{% endif %}", `{"half":1}`, "HALF"},
		{"{% if value == 'a' %}{{ value | upper }}{% endif %}", "a", "A"},
		{"{{ value_json.state == 'x' }}", `{"state":"x"}`, "True"},
		{"{{ value_json.n > 5 and not value_json.n >= 10 or false }}", `{"n":7}`, "True"},
		{"{{ value_json.n | int > 5 }} {{ 1 == 1.0 }} {{ '1' == 1 }} {{ 'b' > 'a' }}", `{"n":"7"}`, "True True False True"},
		{"{{ value in ['a', 'b'] }} {{ 'x' not in value }} {{ 'k' in {'k': 1} }}", "a", "True True True"},
		{"{{ {'0': 'off', '1': 'heat'}[value] }}", "1", "heat"},
		{"{{ {0: 'off', 1: 'heat'}[value | int] }}", "1", "heat"},
		{"{{ {'a': 'x'}.get(value, 'unknown') }} {{ value_json.get('a') }}", `{}`, "unknown None"},
		{"{{ value_json.a is defined }} {{ value_json.b is not none }} {{ value_json.c is number }}", `{"b":null,"c":1}`, "False False True"},
		{"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 3 }} {{ 1 / 3 }} {{ -2 + 1 }}", "", "3 -4 2 8 0.3333333333333333 -1"},
		{"{{ 1e16 }} {{ 0.00001 }} {{ 123456789012.0 }} {{ 9007199254740993 }}", "", "1e+16 1e-05 123456789012.0 9007199254740993"},
		{"{{ none }} {{ true }} {{ value_json }}", "5", "None True 5"},
		{"{{ value | replace(',', '.') | float }}", "23,5", "23.5"},
		{"{{ value | from_json }}", "7", "7"},
		{"a {# a comment #} b {{- ' c ' -}} d { }", "", "a  b c d { }"},
		{`{{ "a\"b\n" ~ 'c' }}`, "", "a\"b\nc"},
		{"{{ value | multiply(0.5) | abs }}", "-3", "1.5"},
		{"plain", "", "plain"},
		{"", "x", ""},
	} {
		compiled, err := Compile(c.template, stateNames...)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		for _, scope := range []*Scope{scopeOf(c.payload), inJSON(c.payload)} {
			if got, err := compiled.Render(scope); err != nil || got != c.want {
				t.Errorf("%s of %s is %q, %v; want %q", c.template, c.payload, got, err, c.want)
			}
		}
	}
}

// What a template cannot say of a payload is an error, and not another value.
func TestRenderRefuses(t *testing.T) {
	for _, c := range []struct{ template, payload string }{
		{"{{ value_json.a.b }}", `{}`},
		{"{{ value_json.a }}", "not JSON"},
		{"{{ value_json.a | is_defined }}", `{}`},
		{"{{ value_json.a / 10 }}", `{}`},
		{"{{ value | float }}", "unavailable"},
		{"{{ value | float }}", "nan"},
		{"{{ value | int }}", ""},
		{"{{ value + 1 }}", "1"},
		{"{{ value < 5 }}", "1"},
		{"{{ 1 / value_json }}", "0"},
		{"{{ value_json.a }}", `{"a":{"b":1}}`},
		{"{{ value_json.a | round(1) }}", `{"a":"x"}`},
		{"{{ 5 in value_json }}", `5`},
		{"{{ value | from_json }}", `{`},
	} {
		compiled, err := Compile(c.template, stateNames...)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		for _, scope := range []*Scope{scopeOf(c.payload), inJSON(c.payload)} {
			if got, err := compiled.Render(scope); err == nil {
				t.Errorf("%s of %s is %q", c.template, c.payload, got)
			}
		}
	}
}

// What is not understood is not compiled.
func TestCompileRefuses(t *testing.T) {
	for _, template := range []string{
		"{{ states('sensor.x') }}", "{{ now() }}", "{{ this.state }}", "{{ value | timestamp_local }}", "{{ value | regex_findall('x') }}",
		"{% set x = 1 %}{{ x }}", "{% for x in value_json %}{{ x }}{% endfor %}", "{{ value.split(',') }}", "{{ value[1:] }}", "{{ value is sameas true }}",
		"{{ value", "{{ }}", "{% if value %}", "{% endif %}", "{% else %}", "{{ value }} {% endif %}", "{# ", "{{ 'a }}", "{{ value | }}", "{{ (value }}",
		"{{ value_json. }}", "{{ value_json[] }}", "{{ 1x }}", "{{ 0x1f }}", "{{ value ? 1 }}", "{{ value | round(1, 2, 3) }}", "{{ value | round(digits=1) }}",
		"{{ value | replace('a') }}", "{{ float() }}", `{{ "\x41" }}`, "{{ a b }}", "{% if value %}a{% else %}b{% else %}c{% endif %}",
		strings.Repeat("(", 100) + "{{ " + strings.Repeat("(", 100) + "value" + strings.Repeat(")", 100) + " }}",
		"{{ " + strings.Repeat("1+", 1000) + "1 }}", "{{ " + strings.Repeat("-", 3000) + "1 }}", strings.Repeat("x", maxSource+1),
	} {
		if _, err := Compile(template, stateNames...); err == nil {
			t.Errorf("%.60s: it is compiled", template)
		}
	}
}

// No payload makes a long string of a short template.
func TestStringsAreBounded(t *testing.T) {
	source := "{{ value" + strings.Repeat(" ~ value", 90) + " }}"
	for _, each := range []string{source, strings.Repeat("{{ value }}", 90), "{{ value | replace('x', '" + strings.Repeat("y", 1000) + "') }}"} {
		compiled, err := Compile(each, stateNames...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := compiled.Render(scopeOf(strings.Repeat("x", 100_000))); err == nil {
			t.Errorf("%.40s: %d bytes", each, len(got))
		}
	}
}

// Nor do many templates of one payload.
func TestWorkIsBounded(t *testing.T) {
	compiled, err := Compile("{{ (value | upper | lower) == '' }}", stateNames...)
	if err != nil {
		t.Fatal(err)
	}
	scope := scopeOf(strings.Repeat("x", 100_000))
	for range 5 {
		if _, err := compiled.Render(scope); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		_, err = compiled.Render(scope)
	}
	if err == nil {
		t.Error("more was made than is left")
	}
}

// inJSON is a scope in which members are looked up in encoded JSON.
func inJSON(payload string) *Scope {
	s := scopeOf(payload)
	s.JSON = func(name string) (jsonobject.Value, bool) {
		if name == "value" { // a string has no members
			return jsonobject.Value(`""`), true
		}
		return encodedOf(payload)
	}
	return s
}

func FuzzRender(f *testing.F) {
	for _, template := range []string{"{{ value_json.a['b'] | float / 10 | round(1) }}", "{% if value in ['a'] %}x{% else %}{{ {1: 2}.get(value) }}{% endif %}", "{{- -1 ** 2 is not none -}}"} {
		f.Add(template, `{"a":{"b":1}}`)
	}
	f.Fuzz(func(t *testing.T, template, payload string) {
		compiled, err := Compile(template, stateNames...)
		if err != nil {
			return
		}
		got, err := compiled.Render(scopeOf(payload))
		again, errAgain := compiled.Render(inJSON(payload))
		if got != again || (err == nil) != (errAgain == nil) || len(got) > 2*maxString+maxSource {
			t.Fatalf("%q, %v and %q, %v", got, err, again, errAgain)
		}
	})
}
