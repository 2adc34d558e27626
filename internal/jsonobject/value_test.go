package jsonobject

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

var seeds = []string{
	`{}`, `[]`, ` {"a" : 1 , "b":[ true,false , null ]} `, `{"a":{"b":"x","a":2},"a":3}`, `"\u00e4\n\ud83d\ude00\ud800x"`, "\"\xff\"",
	`{"a":1e999}`, `-0`, `01`, `1.`, `.5`, `1e`, `1e+3`, `-`, `+1`, `{"a"}`, `{"a":}`, `{,}`, `[1,]`, `[,1]`, `{"a":1,}`, `nul`, `nulll`,
	`"\x"`, `"\u12g4"`, `"` + "\n" + `"`, `"\`, `"\u12`, `{"a":1}{`, `1 2`, "\ufeff1", `"\/\b\f\r\t\"\\"`, ``, ` `, `{"`, `[`, `[[`, `{"a":1e-999}`,
	`[1e308,1.8e308]`, strings.Repeat("9", 309), "0." + strings.Repeat("9", 400), strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
	strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), `"\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, `{"\u0061":1}`, "{\"\xff\":1}",
}

func TestSameAsEncodingJSON(t *testing.T) {
	for _, seed := range seeds {
		compare(t, []byte(seed))
	}
}

func TestParseWithin(t *testing.T) {
	for data, depth := range map[string]int{`1`: 0, `{}`: 1, `[]`: 1, `{"a":[1]}`: 2, `[[],{"a":{}}]`: 3, `{"a":"[["}`: 1} {
		_, fits := ParseWithin([]byte(data), depth)
		_, less := ParseWithin([]byte(data), depth-1)
		if !fits || less && depth > 0 {
			t.Errorf("%s: within %d %v, within %d %v", data, depth, fits, depth-1, less)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(compare)
}

// compare decodes bytes by walking over them, and by encoding/json.
func compare(t *testing.T, data []byte) {
	var want any
	err := json.Unmarshal(data, &want)
	v, ok := Parse(data)
	if ok != (err == nil) {
		t.Fatalf("%.200q: valid %v, encoding/json: %v", data, ok, err)
	}
	if !ok {
		return
	}
	if got := v.Decoded(); !reflect.DeepEqual(got, want) {
		t.Fatalf("%.200q decoded: %#v, want %#v", data, got, want)
	}
	if got := decoded(v); !reflect.DeepEqual(got, want) {
		t.Fatalf("%.200q: %#v, want %#v", data, got, want)
	}
}

func decoded(v Value) any {
	switch v.Kind() {
	case Null:
		return nil
	case Bool:
		return v.Bool()
	case Number:
		return v.Number()
	case String:
		if !v.Is(v.Text()) || string(v.AppendText([]byte("x"))) != "x"+v.Text() || v.Is(v.Text()+"x") {
			return math.NaN() // equal to nothing
		}
		return v.Text()
	case Array:
		elements := []any{}
		for each := v.Elements(); ; {
			e, ok := each.Next()
			if !ok {
				return elements
			}
			elements = append(elements, decoded(e))
		}
	}
	members := map[string]any{}
	for each := v.Members(); ; {
		name, value, ok := each.Next()
		if !ok {
			return members
		}
		members[name.Text()] = decoded(value)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	data := []byte(reading)
	if n := testing.AllocsPerRun(100, func() { walk(t, data) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

const reading = `{"epoch":1772366399,"seq":1017,"ts":1772366399123,"temperature":21.375,"pressure":1013.25,"vibration":{"x":0.1,"y":0.02,"z":9.81},"code":117,"mode":"auto\u00e4","on":true}`

func walk(tb testing.TB, data []byte) (sum float64) {
	v, ok := Parse(data)
	if !ok {
		tb.Fatal("not valid")
	}
	for each := v.Members(); ; {
		name, value, ok := each.Next()
		if !ok {
			return sum
		}
		if value.Kind() == Number && !name.Is("seq") {
			sum += value.Number()
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	data := []byte(reading)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		walk(b, data)
	}
}

func BenchmarkMap(b *testing.B) {
	data := []byte(reading)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func TestRawIsTheDecodedString(t *testing.T) {
	for _, encoded := range []string{`""`, `"seq"`, `"s\u0065q"`, `"a\"b"`, `"ü"`, `"\ud83d\ude00"`} {
		v, ok := Parse([]byte(encoded))
		if !ok || string(v.Raw()) != v.Text() {
			t.Errorf("%s: %q, want %q", encoded, v.Raw(), v.Text())
		}
	}
}
