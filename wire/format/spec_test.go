package format

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCompileReportsEveryFault(t *testing.T) {
	at := func(n int) *int { return &n }
	for _, test := range []struct {
		spec Spec
		want string // lines
	}{
		{Spec{}, `format: expected json, text, number, keyvalue, csv, cbor, msgpack, protobuf or bytes, found ""`},
		{Spec{Format: "xml", Encoded: "rot13", Compressed: "zstd", Numbers: true}, `format: expected json, text, number, keyvalue, csv, cbor, msgpack, protobuf or bytes, found "xml"
encoded: expected base64, hex or none, found "rot13"
compressed: expected gzip, zlib, deflate, auto or none, found "zstd"`},
		{Spec{Format: "json", Separator: ";", Assign: ":", Header: true, Columns: []string{"a"}, Descriptor: "d", Message: "m", Layout: []Field{}}, `separator: not an option of the format json
assign: not an option of the format json
header: not an option of the format json
columns: not an option of the format json
descriptor: not an option of the format json
message: not an option of the format json
layout: not an option of the format json`},
		{Spec{Format: "cbor", Numbers: true, Limits: Limits{Bytes: -1, Depth: 1001, Values: 2_000_000}}, `numbers: not an option of the format cbor
limits.bytes: -1: expected 1 to 16777216
limits.depth: 1001: expected 1 to 1000
limits.values: 2000000: expected 1 to 1000000`},
		{Spec{Format: "keyvalue", Separator: "123456789", Assign: `"`}, `separator: expected at most 8 bytes without quotes and backslashes, found "123456789"
assign: expected at most 8 bytes without quotes and backslashes, found "\""`},
		{Spec{Format: "keyvalue", Assign: " "}, `assign: " " separates pairs: set another separator`},
		{Spec{Format: "keyvalue", Separator: "=="}, `assign: "=" and the separator "==" contain one another`},
		{Spec{Format: "csv", Separator: "||", Header: true, Columns: []string{"a", "", "a"}}, `separator: expected one character that is not a quote or a line break, found "||"
columns: the header names them already: set one of the two
columns[1]: expected a name
columns[2]: "a" is also the name of columns[0]`},
		{Spec{Format: "csv", Columns: []string{}, Separator: "\n"}, `separator: expected one character that is not a quote or a line break, found "\n"
columns: expected at least one`},
		{Spec{Format: "protobuf"}, `descriptor: expected the path of a file that protoc wrote with --descriptor_set_out and --include_imports
message: expected the full name of a message, such as acme.Reading`},
		{Spec{Format: "bytes"}, `layout: expected 1 to 1000 fields, found 0`},
		{Spec{Format: "bytes", Layout: []Field{
			{Name: "a", Type: "u7", Endian: "middle"},
			{Name: "a", Type: "u8", Length: 2, Bits: 3, Signed: true, At: at(-1)},
			{Name: "\xff", Type: "bits", Bits: 65},
			{Name: "t", Type: "text", Scale: 2, Length: -1},
			{Name: "b", Type: "bool", Bits: 2},
		}}, `layout[0].type: expected u8, i8, u16, i16, u24, i24, u32, i32, u64, i64, f32, f64, bool, bits, text or bytes, found "u7"
layout[0].endian: expected big or little, found "middle"
layout[1].at: -1: expected 0 to 65536
layout[1].length: only for text and bytes
layout[1].bits: only for bits and bool
layout[1].signed: only for bits
layout[1].name: "a" is also the name of layout[0]
layout[2].name: not valid UTF-8
layout[2].bits: 65: expected 1 to 64
layout[3].length: -1: expected 0 to 65536
layout[3].scale: only for numbers
layout[3].length: only the last field can take the rest of the payload
layout[4].bits: 2: expected 0 to 1`},
		{Spec{Format: "bytes", Layout: []Field{{Name: "a", Type: "text"}, {Name: "b", Type: "u8"}}}, `layout[0].length: only the last field can take the rest of the payload`},
		{Spec{Format: "bytes", Layout: []Field{{Name: "a", Type: "text", Length: 65536}, {Name: "b", Type: "u8"}}}, `layout[1]: ends behind 65536 bytes`},
		{Spec{Format: "bytes", Layout: []Field{{Name: "a", Type: "bits", Bits: 3}, {Name: "b", Type: "bits", Bits: 3, Endian: "little"}}},
			`layout[1].endian: the bits before, in the same byte, have the other one`},
	} {
		_, err := Compile(test.spec)
		if err == nil || err.Error() != test.want {
			t.Errorf("%+v:\n%v\nwant\n%s", test.spec, err, test.want)
		}
	}
}

// TestCompileSurvivesAnySpec compiles nonsense, and decodes with what is accepted.
func TestCompileSurvivesAnySpec(t *testing.T) {
	number := rapid.OneOf(rapid.IntRange(-2, 70), rapid.SampledFrom([]int{math.MinInt, math.MaxInt, maxLayout, maxLayout + 1}))
	scale := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.SmallestNonzeroFloat64, math.MaxFloat64}))
	kinds := append(strings.Fields("u8 i8 u16 i16 u24 i24 u32 i32 u64 i64 f32 f64 bool bits text bytes"), "", "x")
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		spec := Spec{Format: "bytes"}
		for range rapid.IntRange(1, 3).Draw(t, "fields") {
			d := Field{
				Name: rapid.StringN(0, 2, -1).Draw(t, "name"), Type: rapid.SampledFrom(kinds).Draw(t, "type"), Endian: rapid.SampledFrom([]string{"", "big", "little", "x"}).Draw(t, "endian"),
			}
			if rapid.Bool().Draw(t, "odd") {
				d.Length, d.Bits, d.Signed = number.Draw(t, "length"), number.Draw(t, "bits"), rapid.Bool().Draw(t, "signed")
				d.Scale, d.Offset = scale.Draw(t, "scale"), scale.Draw(t, "offset")
				n := number.Draw(t, "at")
				d.At = &n
			}
			spec.Layout = append(spec.Layout, d)
		}
		f, err := Compile(spec)
		if err != nil {
			return
		}
		accepted++
		v, err := f.Decode(rapid.SliceOfN(rapid.Byte(), f.codec.(layoutCodec).size, -1).Draw(t, "payload"))
		if err == nil {
			checkValue(t, v)
			_, _ = f.Encode(v) // may fail, and may not panic
		}
	})
	if accepted == 0 {
		t.Error("no layout was accepted")
	}
}

func TestDefaultLimits(t *testing.T) {
	f := compile(t, Spec{Format: "json", Limits: Limits{Depth: 2}})
	checkDecoding(t, f, []decoding{
		{payload: `[[1]]`, want: `[[1]]`},
		{payload: `[[[1]]]`, err: "nested deeper than 2"},
		{payload: strings.Repeat(" ", 128<<10) + "1", err: "131073 bytes, the limit is 131072"},
		{payload: "[" + strings.Repeat("1,", 9998) + "1]", want: "[" + strings.Repeat("1,", 9998) + "1]"},
		{payload: "[" + strings.Repeat("1,", 9999) + "1]", err: "more than 10000 values"},
	})
}
