package format

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestKeyValue(t *testing.T) {
	checkDecoding(t, compile(t, Spec{Format: "keyvalue", Numbers: true, Limits: Limits{Values: 4}}), []decoding{
		{payload: "t=23.5 mode=slow", want: `{"t":23.5,"mode":"slow"}`},
		{payload: ",t=1,;h=2\r\n&m=x;", want: `{"t":1,"h":2,"m":"x"}`},
		{payload: `s="a b=c\n\"\u00e4" n="5" e= f=nan`, err: "more than 4 values"},
		{payload: `s="a b=c\n\"\u00e4" n="5" e=`, want: `{"s":"a b=c\n\"ä","n":"5","e":""}`},
		{payload: "a=b=c", want: `{"a":"b=c"}`},
		{payload: "\ufeffa=nan", want: `{"a":null}`},
		{payload: "", err: "keyvalue: empty: expected key=value"},
		{payload: " ,\n", err: "empty"},
		{payload: "a=1\nb 2", err: `keyvalue: line 2, column 1: expected key=value, found "b 2"`},
		{payload: "=1", err: `line 1, column 1: expected key=value, found "=1"`},
		{payload: "t=23,5", err: `column 6: expected key=value, found "5"`},
		{payload: "a=1,a=2", err: `line 1, column 5: the key "a" is there twice`},
		{payload: `a="x`, err: "line 1, column 3, a: the quotes are not closed"},
		{payload: `a="x\`, err: "the quotes are not closed"},
		{payload: `a="\x"`, err: `a: "\"\\x\"" is not a JSON string`},
		{payload: "a=\"1\n2\"", err: "is not a JSON string"},
		{payload: `a="x"y`, err: `line 1, column 6, a: expected a separator behind the quotes, found "y"`},
		{payload: "a=\xff", err: "keyvalue: byte 2: not valid UTF-8"},
	})
	checkDecoding(t, compile(t, Spec{Format: "keyvalue", Separator: "|", Assign: ":"}), []decoding{
		{payload: " my key : 1,5 | b:x y\r\n|", want: `{"my key":"1,5","b":"x y"}`},
		{payload: `a: "x|y" |b:`, want: `{"a":"x|y","b":""}`},
		{payload: "a:1\nb:2", want: `{"a":"1\nb:2"}`},
		{payload: "a|b:1", err: `column 1: expected key:value, found "a|b:1"`},
	})
	checkDecoding(t, compile(t, Spec{Format: "keyvalue", Separator: "\n", Assign: " "}), []decoding{
		{payload: "temperature 23.5\r\nmode slow start\n", want: `{"temperature":"23.5","mode":"slow start"}`},
	})
	checkEncoding(t, compile(t, Spec{Format: "keyvalue", Numbers: true}), []encoding{
		{value: `{"t":23.5,"mode":"slow","s":"a b","n":"5","on":true,"e":"","q":"\"<"}`, want: `e="",mode=slow,n="5",on=true,q="\"<",s="a b",t=23.5`},
		{value: `{}`, err: "expected an object with members"},
		{value: `[1]`, err: "found an array"},
		{value: `{"a":null}`, err: "encode keyvalue: a: expected a string, a number or a boolean, found null"},
		{value: `{"a b":1}`, err: `["a b"]: a key cannot be written`},
		{value: `{"a=b":1}`, err: "a key cannot be written"},
		{value: `{"":1}`, err: "a key cannot be written"},
	})
}

func TestKeyValueRoundTrip(t *testing.T) {
	// Few characters, so that separators come up inside keys and values, and across their ends.
	key := rapid.StringOfN(rapid.RuneFrom([]rune("ab:=|; 1ä")), 1, 3, -1)
	word := rapid.StringOfN(rapid.RuneFrom([]rune("ab:=|; \n\"\\1\ufeffä")), 0, 6, -1)
	for _, spec := range []Spec{
		{}, {Separator: "|"}, {Separator: "||", Assign: ":="}, {Separator: "aa", Assign: "=="}, {Separator: "\n", Assign: " "}, {Separator: ";:", Assign: ":="}, {Separator: " "},
	} {
		spec.Format, spec.Numbers = "keyvalue", true
		t.Run(spec.Separator+spec.Assign, func(t *testing.T) { keyValueRoundTrip(t, spec, key, word) })
	}
}

func keyValueRoundTrip(t *testing.T, spec Spec, key, word *rapid.Generator[string]) {
	f := compile(t, spec)
	written := 0
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Map(word, func(s string) any { return s }), rapid.Map(numbers(), func(f float64) any { return f }))
		v := rapid.MapOfN(key, value, 1, 4).Draw(t, "value")
		if _, err := f.Encode(v); err != nil && strings.Contains(err.Error(), "a key cannot be written") {
			return
		}
		written++
		checkRoundTrip(t, f, map[string]any(v))
	})
	if written < 10 {
		t.Errorf("only %d values were written", written)
	}
}

func FuzzDecodeKeyValue(f *testing.F) {
	fuzz(f, Spec{Format: "keyvalue", Numbers: true}, "a=1 b=2", `a="x\n",b=`, "a", "=", `a="`, "a=1&a=2", "\ufeffa=b=c;", "a=nan")
}

func FuzzDecodeKeyValueLines(f *testing.F) {
	fuzz(f, Spec{Format: "keyvalue", Separator: "\r\n", Assign: " "}, "a 1\r\nb \"2\"\r\n", "a", " a  b ", "a \"x\" y")
}

func BenchmarkDecodeKeyValue(b *testing.B) {
	bench(b, Spec{Format: "keyvalue", Numbers: true}, `seq=1017 ts=1772366399123 temperature=21.375 pressure=1013.25 mode="slow start" on=true`)
}
