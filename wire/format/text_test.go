package format

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestText(t *testing.T) {
	checkDecoding(t, compile(t, Spec{Format: "text"}), []decoding{
		{payload: "ON", want: `"ON"`},
		{payload: "\ufeff two words\r\n\x00", want: `"two words"`},
		{payload: "23.5", want: `"23.5"`},
		{payload: "", want: `""`},
		{payload: "ab\xffc", err: "text: byte 2: not valid UTF-8"},
		{payload: "\xfe\xff\x00O", err: "BOM"},
	})
	checkDecoding(t, compile(t, Spec{Format: "text", Numbers: true}), []decoding{
		{payload: "23.5\n", want: `23.5`},
		{payload: "nan", want: `null`},
		{payload: "ON", want: `"ON"`},
		{payload: "007", want: `"007"`},
	})
	checkEncoding(t, compile(t, Spec{Format: "text"}), []encoding{
		{value: `"ON"`, want: "ON"},
		{value: `true`, want: "true"},
		{value: `23.50`, want: "23.5"},
		{value: `1e21`, want: "1e+21"},
		{value: `null`, err: "encode text: expected a string, a number or a boolean, found null"},
		{value: `{}`, err: "found an object"},
		{value: `[]`, err: "found an array"},
	})
}

func TestNumber(t *testing.T) {
	checkDecoding(t, compile(t, Spec{Format: "number"}), []decoding{
		{payload: "23.5", want: `23.5`},
		{payload: " +007.\n", want: `7`},
		{payload: "-.5e1\x00", want: `-5`},
		{payload: "1e-999", want: `0`},
		{payload: "NaN", want: `null`},
		{payload: "-inf", want: `null`},
		{payload: "", err: "number: empty: expected a number"},
		{payload: "ON", err: `number: "ON": not a number`},
		{payload: "23,5", err: "not a number"},
		{payload: "0x10", err: "not a number"},
		{payload: "1_000", err: "not a number"},
		{payload: "1.2.3", err: "not a number"},
		{payload: "e5", err: "not a number"},
		{payload: "1e999", err: "beyond the largest number"},
		{payload: strings.Repeat("9", 1000), err: "…\": beyond the largest number"},
		{payload: "5\xff", err: "byte 1: not valid UTF-8"},
	})
	checkEncoding(t, compile(t, Spec{Format: "number"}), []encoding{
		{value: `23.50`, want: "23.5"},
		{value: `1e6`, want: "1000000"},
		{value: `"5"`, err: "encode number: expected a number, found a string"},
		{value: `null`, err: "found null"},
	})
}

func TestTextRoundTrip(t *testing.T) {
	strings_, scalars := compile(t, Spec{Format: "text"}), compile(t, Spec{Format: "text", Numbers: true})
	number := compile(t, Spec{Format: "number"})
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Trim(strings.ToValidUTF8(rapid.String().Draw(t, "string"), "?"), " \t\r\n\x00\ufeff")
		checkRoundTrip(t, strings_, s)
		f := numbers().Draw(t, "number")
		checkRoundTrip(t, scalars, f)
		checkRoundTrip(t, number, f)
	})
}

func FuzzDecodeText(f *testing.F) {
	fuzz(f, Spec{Format: "text", Numbers: true}, "ON", " 23.5 ", "nan", "\ufeffx", "\xff", "\x00\x00")
}

func FuzzDecodeNumber(f *testing.F) {
	fuzz(f, Spec{Format: "number"}, "23.5", "+1", "nan", "-inf", "1e999", ".", "\x00")
}

func BenchmarkDecodeText(b *testing.B) { bench(b, Spec{Format: "text", Numbers: true}, "23.5") }

func BenchmarkDecodeNumber(b *testing.B) { bench(b, Spec{Format: "number"}, "23.5") }
