package format

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func at(n int) *int { return &n }

func TestLayout(t *testing.T) {
	for _, test := range []struct {
		layout []Field
		table  []decoding
	}{
		{[]Field{
			{Name: "a", Type: "u8"}, {Name: "b", Type: "i8"}, {Name: "c", Type: "u16"}, {Name: "d", Type: "i16", Endian: "little"}, {Name: "e", Type: "u24"},
			{Name: "f", Type: "i24", Endian: "little"}, {Name: "g", Type: "u32", Endian: "little"}, {Name: "h", Type: "i32"},
		}, []decoding{
			{payload: bytesOf("ff ff 0102 feff 010203 feffff 01020304 fffffffe"), want: `{"a":255,"b":-1,"c":258,"d":-2,"e":66051,"f":-2,"g":67305985,"h":-2}`},
			{payload: bytesOf("ff ff 0102 feff 010203 feffff 01020304 fffffffe 00"), err: "bytes: byte 20: 1 bytes after the end of the layout"},
			{payload: bytesOf("ff ff 01"), err: "bytes: byte 2, c: the field ends with byte 3, the payload has 3 bytes"},
			{payload: "", err: "bytes: byte 0, a: the field ends with byte 0, the payload has 0 bytes"},
		}},
		{[]Field{{Name: "u", Type: "u64"}, {Name: "i", Type: "i64", Endian: "little"}}, []decoding{
			{payload: bytesOf("ffffffffffffffff 0000000000000080"), want: `{"u":18446744073709551615,"i":-9223372036854775808}`},
		}},
		{[]Field{{Name: "f", Type: "f32"}, {Name: "d", Type: "f64", Endian: "little"}}, []decoding{
			{payload: bytesOf("3fc00000 9c7500883ce4377e"), want: `{"f":1.5,"d":1e300}`},
			{payload: bytesOf("7fc00000 000000000000f07f"), want: `{"f":null,"d":null}`},
		}},
		// Decimal steps are exact.
		{[]Field{{Name: "t", Type: "i16", Scale: 0.01}, {Name: "h", Type: "u8", Scale: 0.1}, {Name: "o", Type: "u8", Scale: 0.1, Offset: -40}, {Name: "p", Type: "u8", Scale: 2, Offset: 0.5}}, []decoding{
			{payload: bytesOf("ff05 03 8d 03"), want: `{"t":-2.51,"h":0.3,"o":-25.9,"p":6.5}`},
		}},
		{[]Field{{Name: "f", Type: "f64", Scale: 10}}, []decoding{{payload: bytesOf("7fefffffffffffff"), want: `{"f":null}`}}},
		// Bits from the highest, then bytes again; from the lowest; with a sign.
		{[]Field{
			{Name: "alarm", Type: "bool", Bits: 1}, {Name: "mode", Type: "bits", Bits: 3}, {Type: "bits", Bits: 2}, {Name: "x", Type: "bits", Bits: 5}, {Name: "n", Type: "u8"}, {Name: "on", Type: "bool"},
		}, []decoding{{payload: bytesOf("d6 c0 07 02"), want: `{"alarm":true,"mode":5,"x":22,"n":7,"on":true}`}}},
		{[]Field{
			{Name: "alarm", Type: "bool", Bits: 1, Endian: "little"}, {Name: "mode", Type: "bits", Bits: 3, Endian: "little"}, {Name: "wide", Type: "bits", Bits: 12, Endian: "little", Signed: true},
		}, []decoding{{payload: bytesOf("eb ff"), want: `{"alarm":true,"mode":5,"wide":-2}`}}},
		{[]Field{{Name: "t", Type: "bits", Bits: 12, Signed: true, Scale: 0.1}, {Name: "h", Type: "bits", Bits: 12}}, []decoding{
			{payload: bytesOf("fff 001"), want: `{"t":-0.1,"h":1}`},
		}},
		// At, overlaps, and the rest.
		{[]Field{{Name: "all", Type: "u16", At: at(2)}, {Name: "low", Type: "bits", Bits: 4, Endian: "little", At: at(3)}, {Name: "first", Type: "u8", At: at(0)}}, []decoding{
			{payload: bytesOf("01 ff 1234"), want: `{"all":4660,"low":4,"first":1}`},
			{payload: bytesOf("01 ff 12"), err: "byte 2, all: the field ends with byte 3"},
		}},
		{[]Field{{Name: "name", Type: "text", Length: 4}, {Name: "id", Type: "bytes", Length: 2}, {Name: "note", Type: "text"}}, []decoding{
			{payload: "ab\x00\xff\x01\x02ä", want: `{"name":"ab","id":"AQI=","note":"ä"}`},
			{payload: "abcd\x01\x02", want: `{"name":"abcd","id":"AQI=","note":""}`},
			{payload: "abcd\x01", err: "byte 4, id: the field ends with byte 5"},
			{payload: "ab\xffd\x01\x02", err: `bytes: byte 0, name: not valid UTF-8: "61 62 ff 64"`},
		}},
		{[]Field{{Name: "n", Type: "u8"}, {Type: "bytes"}}, []decoding{{payload: "\x05and more", want: `{"n":5}`}}},
		{[]Field{{Name: "n", Type: "u8", At: at(3)}, {Name: "rest", Type: "bytes", At: at(1)}}, []decoding{{payload: "\x00\x01\x02\x03", want: `{"n":3,"rest":"AQID"}`}}},
		{[]Field{{Name: "rest", Type: "bytes", At: at(3)}}, []decoding{
			{payload: "\x00\x01", err: "byte 3, rest: the field ends with byte 2, the payload has 2 bytes"},
			{payload: "\x00\x01\x02", want: `{"rest":""}`},
		}},
	} {
		checkDecoding(t, compile(t, Spec{Format: "bytes", Layout: test.layout}), test.table)
	}
}

func TestLayoutEncode(t *testing.T) {
	f := compile(t, Spec{Format: "bytes", Layout: []Field{
		{Name: "t", Type: "i16", Scale: 0.01}, {Type: "u8"}, {Name: "mode", Type: "bits", Bits: 3}, {Name: "on", Type: "bool", Bits: 1}, {Name: "name", Type: "text", Length: 3}, {Name: "key", Type: "bytes", Length: 2},
		{Name: "f", Type: "f32"}, {Name: "rest", Type: "bytes"},
	}})
	checkEncoding(t, f, []encoding{
		{value: `{"t":-2.51,"mode":5,"on":true,"name":"ab","key":"AQI=","f":0.1,"rest":"/w=="}`, want: bytesOf("ff05 00 b0 616200 0102 3dcccccd ff")},
		{value: `{"t":0.004,"mode":7,"on":false,"name":"","key":"AQI=","f":0,"rest":""}`, want: bytesOf("0000 00 e0 000000 0102 00000000")},
		{value: `{"t":327.68,"mode":8,"on":1,"name":"abcd","key":"AQ==","f":1e300,"rest":5,"x":1}`, err: `encode bytes: t: 327.68 does not fit into i16
mode: 8 does not fit into 3 bits
on: expected a boolean, found a number
name: 4 bytes, the field has 3
key: 1 bytes, the field has 2
f: 1e+300 does not fit into f32
rest: expected a string, found a number
x: not a field of the layout`},
		{value: `{"t":null,"mode":-1,"on":true,"name":"a\u0000","key":"?"}`, err: `t: expected a number, found null
mode: -1 does not fit into 3 bits
name: a zero byte in the string
key: expected base64: illegal base64 data at input byte 0
f: expected f32
rest: expected bytes`},
		{value: `[]`, err: "expected an object, found an array"},
	})
	for _, layout := range [][]Field{
		{{Name: "a", Type: "u16"}, {Name: "b", Type: "u8", At: at(1)}},
		{{Name: "a", Type: "bits", Bits: 4}, {Name: "b", Type: "bits", Bits: 5, At: at(0), Endian: "little"}},
		{{Name: "a", Type: "u16"}, {Name: "b", Type: "text", At: at(1)}},
	} {
		if _, err := compile(t, Spec{Format: "bytes", Layout: layout}).Encode(map[string]any{}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%+v: %v", layout, err)
		}
	}
	halves := compile(t, Spec{Format: "bytes", Layout: []Field{{Name: "a", Type: "bits", Bits: 4}, {Name: "b", Type: "bits", Bits: 4, At: at(0), Endian: "little"}}})
	checkEncoding(t, halves, []encoding{{value: `{"a":1,"b":2}`, want: "\x12"}})
	gap := compile(t, Spec{Format: "bytes", Layout: []Field{{Name: "a", Type: "u8"}, {Name: "b", Type: "text", At: at(3)}}})
	checkEncoding(t, gap, []encoding{{value: `{"a":1,"b":"x"}`, want: "\x01\x00\x00x"}})
}

// TestStepsAreExact expects of decimal steps the number that a person would write.
func TestStepsAreExact(t *testing.T) {
	for digits, step := range map[int]float64{0: 1, 1: 0.1, 2: 0.01, 3: 0.001} {
		for _, offset := range []float64{0, -40, 100} {
			s := newScale(step, offset)
			for raw := -1000; raw <= 40_000; raw++ {
				unit := int(math.Pow10(digits))
				want := parse(t, fmt.Sprintf("%de-%d", raw+int(offset)*unit, digits))
				if got := s.value(float64(raw)); got != want {
					t.Fatalf("%d in steps of %v above %v: %v, want %v", raw, step, offset, got, want)
				}
				if back := math.RoundToEven(s.raw(want.(float64))); back != float64(raw) {
					t.Fatalf("%v in steps of %v above %v: %v, want %d", want, step, offset, back, raw)
				}
			}
		}
	}
}

// TestLayoutRoundTrip encodes what was decoded of random bytes in random layouts.
func TestLayoutRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapidLayout(t)
		payload := rapid.SliceOfN(rapid.Byte(), f.codec.(layoutCodec).size, -1).Draw(t, "payload")
		payload = payload[:f.codec.(layoutCodec).size]
		v, err := f.Decode(payload)
		if err != nil {
			if strings.Contains(err.Error(), "not valid UTF-8") {
				return
			}
			t.Fatal(err)
		}
		again, err := f.Encode(v)
		if err != nil {
			if strings.Contains(err.Error(), "found null") || strings.Contains(err.Error(), "does not fit into u64") || strings.Contains(err.Error(), "does not fit into i64") ||
				strings.Contains(err.Error(), "does not fit into 6") {
				return // NaN, and integers that are rounded up to beyond the field
			}
			t.Fatalf("%v: %v", v, err)
		}
		if value, err := f.Decode(again); err != nil || !reflect.DeepEqual(value, v) {
			t.Fatalf("%x is %v; encoded again it is %x, which is %v, %v", payload, v, again, value, err)
		}
	})
}

func rapidLayout(t *rapid.T) *Format {
	var layout []Field
	endian := rapid.SampledFrom([]string{"big", "little"}).Draw(t, "endian")
	for i := range rapid.IntRange(1, 8).Draw(t, "fields") {
		d := Field{Name: fmt.Sprint("f", i), Endian: endian, Type: rapid.SampledFrom([]string{
			"u8", "i8", "u16", "i16", "u24", "i24", "u32", "i32", "u64", "i64", "f32", "f64", "bool", "bits", "bits", "bits", "text", "bytes"}).Draw(t, "type")}
		switch d.Type {
		case "bits":
			d.Bits = rapid.IntRange(1, 64).Draw(t, "bits")
			d.Signed = rapid.Bool().Draw(t, "signed")
		case "bool":
			d.Bits = rapid.IntRange(0, 1).Draw(t, "bits")
		case "text", "bytes":
			d.Length = rapid.IntRange(1, 4).Draw(t, "length")
		case "u8", "i8", "u16", "i16":
			d.Scale = rapid.SampledFrom([]float64{0, 0.1, 0.01, 2, 0.3}).Draw(t, "scale")
			d.Offset = rapid.SampledFrom([]float64{0, -40, 0.7}).Draw(t, "offset")
		}
		layout = append(layout, d)
	}
	f, err := Compile(Spec{Format: "bytes", Layout: layout})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func FuzzDecodeBytes(f *testing.F) {
	fuzz(f, Spec{Format: "bytes", Layout: []Field{
		{Name: "t", Type: "i16", Scale: 0.01}, {Name: "status", Type: "bits", Bits: 4}, {Name: "battery", Type: "bits", Bits: 12, Signed: true}, {Name: "f", Type: "f32", Endian: "little"},
		{Name: "name", Type: "text", Length: 4}, {Name: "rest", Type: "bytes"},
	}}, bytesOf("0929 a123 0000c03f 61620000 ffff"), "", "short", strings.Repeat("\xff", 20))
}

func BenchmarkDecodeBytes(b *testing.B) {
	bench(b, Spec{Format: "bytes", Layout: []Field{
		{Name: "temperature", Type: "i16", Scale: 0.01}, {Name: "humidity", Type: "u8", Scale: 0.5}, {Name: "alarm", Type: "bool", Bits: 1}, {Name: "battery", Type: "bits", Bits: 15},
		{Name: "count", Type: "u32"},
	}}, bytesOf("0929 64 8ce4 00000017"))
}
