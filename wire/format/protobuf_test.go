package format

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"
)

// acme is what protoc makes of a file with the messages of these tests.
const acme = `
name: "acme.proto" package: "acme" syntax: "proto3"
dependency: "google/protobuf/timestamp.proto" dependency: "google/protobuf/duration.proto" dependency: "google/protobuf/struct.proto"
dependency: "google/protobuf/wrappers.proto" dependency: "google/protobuf/any.proto"
enum_type { name: "Mode" value { name: "OFF" number: 0 } value { name: "SLOW" number: 1 } }
message_type { name: "Reading"
  field { name: "temperature" number: 1 type: TYPE_DOUBLE label: LABEL_OPTIONAL json_name: "temperature" }
  field { name: "pump_mode" number: 2 type: TYPE_ENUM type_name: ".acme.Mode" label: LABEL_OPTIONAL json_name: "pumpMode" }
  field { name: "count" number: 3 type: TYPE_UINT64 label: LABEL_OPTIONAL json_name: "count" }
  field { name: "name" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "name" }
  field { name: "key" number: 5 type: TYPE_BYTES label: LABEL_OPTIONAL json_name: "key" }
  field { name: "samples" number: 6 type: TYPE_SINT32 label: LABEL_REPEATED json_name: "samples" }
  field { name: "parts" number: 7 type: TYPE_MESSAGE type_name: ".acme.Reading" label: LABEL_REPEATED json_name: "parts" }
  field { name: "by_id" number: 8 type: TYPE_MESSAGE type_name: ".acme.Reading.ByIdEntry" label: LABEL_REPEATED json_name: "byId" }
  field { name: "at" number: 9 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" label: LABEL_OPTIONAL json_name: "at" }
  field { name: "took" number: 10 type: TYPE_MESSAGE type_name: ".google.protobuf.Duration" label: LABEL_OPTIONAL json_name: "took" }
  field { name: "more" number: 11 type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" label: LABEL_OPTIONAL json_name: "more" }
  field { name: "level" number: 12 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value" label: LABEL_OPTIONAL json_name: "level" }
  field { name: "detail" number: 13 type: TYPE_MESSAGE type_name: ".google.protobuf.Any" label: LABEL_OPTIONAL json_name: "detail" }
  field { name: "present" number: 14 type: TYPE_BOOL label: LABEL_OPTIONAL json_name: "present" proto3_optional: true oneof_index: 0 }
  field { name: "weights" number: 15 type: TYPE_FLOAT label: LABEL_REPEATED json_name: "weights" }
  field { name: "stamps" number: 16 type: TYPE_FIXED64 label: LABEL_REPEATED json_name: "stamps" }
  field { name: "offset" number: 17 type: TYPE_SFIXED32 label: LABEL_OPTIONAL json_name: "offset" }
  field { name: "total" number: 18 type: TYPE_INT64 label: LABEL_OPTIONAL json_name: "total" }
  nested_type { name: "ByIdEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL json_name: "key" }
    field { name: "value" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "value" } }
  oneof_decl { name: "_present" }
}
message_type { name: "Maps"
  field { name: "string" number: 1 type: TYPE_MESSAGE type_name: ".acme.Maps.StringEntry" label: LABEL_REPEATED json_name: "string" }
  field { name: "bool" number: 2 type: TYPE_MESSAGE type_name: ".acme.Maps.BoolEntry" label: LABEL_REPEATED json_name: "bool" }
  field { name: "fixed32" number: 3 type: TYPE_MESSAGE type_name: ".acme.Maps.Fixed32Entry" label: LABEL_REPEATED json_name: "fixed32" }
  field { name: "sfixed64" number: 4 type: TYPE_MESSAGE type_name: ".acme.Maps.Sfixed64Entry" label: LABEL_REPEATED json_name: "sfixed64" }
  field { name: "sint64" number: 5 type: TYPE_MESSAGE type_name: ".acme.Maps.Sint64Entry" label: LABEL_REPEATED json_name: "sint64" }
  nested_type { name: "StringEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "key" }
    field { name: "value" number: 2 type: TYPE_BOOL label: LABEL_OPTIONAL json_name: "value" } }
  nested_type { name: "BoolEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL json_name: "key" }
    field { name: "value" number: 2 type: TYPE_BOOL label: LABEL_OPTIONAL json_name: "value" } }
  nested_type { name: "Fixed32Entry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_FIXED32 label: LABEL_OPTIONAL json_name: "key" }
    field { name: "value" number: 2 type: TYPE_BOOL label: LABEL_OPTIONAL json_name: "value" } }
  nested_type { name: "Sfixed64Entry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_SFIXED64 label: LABEL_OPTIONAL json_name: "key" }
    field { name: "value" number: 2 type: TYPE_BOOL label: LABEL_OPTIONAL json_name: "value" } }
  nested_type { name: "Sint64Entry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_SINT64 label: LABEL_OPTIONAL json_name: "key" }
    field { name: "value" number: 2 type: TYPE_BOOL label: LABEL_OPTIONAL json_name: "value" } }
}
message_type { name: "Small"
  field { name: "a" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL json_name: "a" }
  field { name: "b" number: 2 type: TYPE_MESSAGE type_name: ".acme.Small" label: LABEL_REPEATED json_name: "b" }
  field { name: "c" number: 3 type: TYPE_BOOL label: LABEL_REPEATED json_name: "c" }
  field { name: "s" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "s" }
}`

// legacy has what only proto2 has: groups, and fields that are required.
const legacy = `
name: "legacy.proto" package: "legacy" syntax: "proto2"
message_type { name: "Reading"
  field { name: "id" number: 1 type: TYPE_STRING label: LABEL_REQUIRED json_name: "id" }
  field { name: "part" number: 2 type: TYPE_GROUP type_name: ".legacy.Reading.Part" label: LABEL_OPTIONAL json_name: "part" }
  nested_type { name: "Part" field { name: "n" number: 3 type: TYPE_INT32 label: LABEL_OPTIONAL json_name: "n" } }
}`

// descriptors writes a file as protoc does, and returns its path.
func descriptors(tb testing.TB, imports bool, files ...string) string {
	tb.Helper()
	var set descriptorpb.FileDescriptorSet
	if imports {
		for _, m := range []proto.Message{&timestamppb.Timestamp{}, &durationpb.Duration{}, &structpb.Struct{}, &wrapperspb.BoolValue{}, &anypb.Any{}} {
			set.File = append(set.File, protodesc.ToFileDescriptorProto(m.ProtoReflect().Descriptor().ParentFile()))
		}
	}
	for _, file := range files {
		var parsed descriptorpb.FileDescriptorProto
		if err := prototext.Unmarshal([]byte(file), &parsed); err != nil {
			tb.Fatal(err)
		}
		set.File = append(set.File, &parsed)
	}
	encoded, err := proto.Marshal(&set)
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "acme.pb")
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func protobufSpec(tb testing.TB, message string) Spec {
	return Spec{Format: "protobuf", Descriptor: descriptors(tb, true, acme, legacy), Message: message}
}

// zeros are the fields of a Reading that are there without being written.
const zeros = `"temperature":0,"pump_mode":"OFF","count":0,"name":"","key":"","offset":0,"total":0`

func TestProtobuf(t *testing.T) {
	checkDecoding(t, compile(t, protobufSpec(t, "acme.Reading")), []decoding{
		{payload: "", want: `{` + zeros + `}`},
		{payload: bytesOf("09 0000000000803740 10 01 18 ffffffffffffffffff01 22 02 c3a4 2a 01 ff 8d01 feffffff 9001 ffffffffffffffffff01"),
			want: `{"temperature":23.5,"pump_mode":"SLOW","count":18446744073709551615,"name":"ä","key":"/w==","offset":-2,"total":-1}`},
		{payload: bytesOf("09 000000000000f87f 10 07"), want: strings.Replace(strings.Replace(`{`+zeros+`}`, `"OFF"`, "7", 1), `"temperature":0`, `"temperature":null`, 1)},
		{payload: bytesOf("32 03 01 02 7f 30 04"), want: `{` + zeros + `,"samples":[-1,1,-64,2]}`},
		{payload: bytesOf("7a 08 0000c03f 0000807f 8201 08 0100000000000000"), want: `{` + zeros + `,"weights":[1.5,null],"stamps":[1]}`},
		{payload: bytesOf("42 05 08 05 12 01 61 42 02 08 07"), want: `{` + zeros + `,"by_id":{"5":"a","7":""}}`},
		{payload: bytesOf("42 05 0805 0a0101"), err: "protobuf: byte 4, by_id: a key of another type than int32"},
		{payload: bytesOf("42 03 0a0101"), err: "byte 2, by_id: a key of another type than int32"},
		{payload: bytesOf("42 04 0805 1007"), want: `{` + zeros + `,"by_id":{"5":""}}`}, // a value of another type is unknown
		{payload: bytesOf("4a 05 08 b0cfad8a"), err: "protobuf: byte 2, at.seconds: unexpected EOF"},
		{payload: bytesOf("7000"), want: `{` + zeros + `,"present":false}`},
		{payload: bytesOf("a006 01"), want: `{` + zeros + `}`}, // unknown
		{payload: bytesOf("18 01 18 02"), want: strings.Replace(`{`+zeros+`}`, `"count":0`, `"count":2`, 1)},
		{payload: bytesOf("09 00"), err: "protobuf: byte 0, temperature: unexpected EOF"},
		{payload: bytesOf("3a 05 22 03 61"), err: "protobuf: byte 0, parts: unexpected EOF"},
		{payload: bytesOf("3a 04 22 02 61 ff"), err: "protobuf: byte 5, parts.name: not valid UTF-8"},
		{payload: bytesOf("22 01 ff"), err: "protobuf: byte 2, name: not valid UTF-8"},
		{payload: bytesOf("00"), err: "protobuf: byte 0: invalid field number"},
		{payload: bytesOf("18 ffffffffffffffffffff01"), err: "protobuf: byte 0, count: variable length integer overflow"},
		{payload: bytesOf("a706"), err: "byte 0, field_100: "},
		{payload: bytesOf("3a 02 0c 0c"), err: "byte 2, parts.temperature: "},
	})
}

func TestProtobufOfTheLibrary(t *testing.T) {
	message := func(number protowire.Number, m proto.Message) string {
		encoded, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), encoded))
	}
	more, err := structpb.NewStruct(map[string]any{"a": []any{1, "x", nil, true, map[string]any{}}})
	if err != nil {
		t.Fatal(err)
	}
	checkDecoding(t, compile(t, protobufSpec(t, "acme.Reading")), []decoding{
		{payload: message(9, &timestamppb.Timestamp{Seconds: 1363896240, Nanos: 500_000_000}), want: `{` + zeros + `,"at":"2013-03-21T20:04:00.500Z"}`},
		{payload: message(9, &timestamppb.Timestamp{Seconds: math.MaxInt64}), err: "protobuf: at: google.protobuf.Timestamp: "},
		{payload: message(10, &durationpb.Duration{Seconds: 3, Nanos: 500_000_000}), want: `{` + zeros + `,"took":"3.500s"}`},
		{payload: message(11, more), want: `{` + zeros + `,"more":{"a":[1,"x",null,true,{}]}}`},
		{payload: message(11, &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewNumberValue(math.NaN())}}), err: "protobuf: more: google.protobuf.Value"},
		{payload: message(12, wrapperspb.Int64(-7)), want: `{` + zeros + `,"level":-7}`},
		{payload: message(12, wrapperspb.Int64(0)), want: `{` + zeros + `,"level":0}`},
		{payload: message(13, &anypb.Any{TypeUrl: "acme.Small", Value: []byte{8, 1}}), want: `{` + zeros + `,"detail":{"type_url":"acme.Small","value":"CAE="}}`},
	})
}

func TestProtobufLimits(t *testing.T) {
	spec := protobufSpec(t, "acme.Small")
	spec.Limits = Limits{Depth: 3, Values: 7}
	checkDecoding(t, compile(t, spec), []decoding{
		{payload: bytesOf("12 04 12 02 0801"), err: "more than 7 values, with those that are zero"},
		{payload: bytesOf("12 02 0801"), want: `{"a":false,"s":"","b":[{"a":true,"s":""}]}`},
		{payload: bytesOf("12 06 12 04 12 02 1200"), err: "protobuf: byte 6, b.b.b: nested deeper than 3"},
		{payload: bytesOf("1a 04 01000100"), err: "more than 7 values"},
		{payload: bytesOf("1a 03 010001"), want: `{"a":false,"s":"","c":[true,false,true]}`},
		{payload: bytesOf("1a 07 01000101010101"), err: "protobuf: byte 2, c: more than 7 values"},
		{payload: strings.Repeat("\x08\x01", 7), err: "byte 13, a: more than 7 values"},
		{payload: strings.Repeat("\xa0\x06\x01", 7), err: "field_100: more than 7 values"},
	})
}

// TestValuesOfStructsCount expects the members of a Struct to count with the zeros around it.
func TestValuesOfStructsCount(t *testing.T) {
	spec := protobufSpec(t, "acme.Reading")
	document := `{"parts":[{},{},{}],"more":{"a":1,"b":2,"c":3,"d":4}}`
	payload := encoded(t, spec, document)
	const part = `{` + zeros + `}`
	spec.Limits.Values = 38 // 4 readings with 7 zeros each, the list, and the 5 values of the Struct
	checkDecoding(t, compile(t, spec), []decoding{{payload: payload, want: `{` + zeros + `,"parts":[` + part + `,` + part + `,` + part + `],"more":{"a":1,"b":2,"c":3,"d":4}}`}})
	spec.Limits.Values = 37
	checkDecoding(t, compile(t, spec), []decoding{{payload: payload, err: "protobuf: total: more than 37 values, with those that are zero"}})
}

// TestKeysOfMaps has keys of each type of the wire, also of a wrong one.
func TestKeysOfMaps(t *testing.T) {
	f := compile(t, protobufSpec(t, "acme.Maps"))
	const all = `{"string":{"a":true},"bool":{"true":false},"fixed32":{"7":true},"sfixed64":{"-1":true},"sint64":{"-2":true}}`
	payload, err := f.Encode(parse(t, all))
	if err != nil {
		t.Fatal(err)
	}
	checkDecoding(t, f, []decoding{{payload: string(payload), want: all}})
	keys := []string{"0a 01 61", "08 01", "0d 07000000", "09 ffffffffffffffff", "08 03"}
	wire := []string{"bytes", "varint", "fixed32", "fixed64", "varint"}
	names := []string{"string", "bool", "fixed32", "sfixed64", "sint64"}
	for i, name := range names {
		for j, key := range keys {
			entry := bytesOf(keys[i]) + bytesOf(key)
			_, err := f.Decode([]byte(string(rune(10+8*i)) + string(rune(len(entry))) + entry))
			if right := wire[i] == wire[j]; right != (err == nil) || !right && !strings.Contains(err.Error(), name+": a key of another type than "+name) {
				t.Errorf("a %s behind a key of a map of %s: %v", wire[j], name, err)
			}
		}
	}
}

func TestProtobufGroups(t *testing.T) {
	checkDecoding(t, compile(t, protobufSpec(t, "legacy.Reading")), []decoding{
		{payload: bytesOf("0a 01 61 13 18 05 14"), want: `{"id":"a","part":{"n":5}}`},
		{payload: bytesOf("0a 01 61 13 18 05"), err: "protobuf: byte 3, part: unexpected EOF"},
		{payload: bytesOf("0a 01 61 13 14 14"), err: "protobuf: byte 5"},
		{payload: bytesOf("0a 01 ff"), err: "byte 2, id: not valid UTF-8"},
		{payload: "", err: "required field legacy.Reading.id not set"},
	})
}

func TestProtobufEncode(t *testing.T) {
	f := compile(t, protobufSpec(t, "acme.Reading"))
	checkEncoding(t, f, []encoding{
		{value: `{"temperature":23.5,"pump_mode":"SLOW","count":2,"key":"/w==","at":"2013-03-21T20:04:00Z","level":7,"by_id":{"5":"a"},"name":null}`,
			want: bytesOf("09 0000000000803740 10 01 18 02 2a 01 ff 42 05 08 05 12 01 61 4a 06 08 b0cfad8a05 62 02 08 07")},
		{value: `{"pumpMode":1}`, want: bytesOf("1001")},
		{value: `{"unknown":1}`, err: `encode protobuf: (line 1:2): unknown field "unknown"`},
		{value: `{"count":-1}`, err: "encode protobuf: "},
		{value: `{"count":1.5}`, err: "encode protobuf: "},
		{value: `[]`, err: "encode protobuf: "},
	})
	checkEncoding(t, compile(t, protobufSpec(t, "legacy.Reading")), []encoding{{value: `{}`, err: "required field legacy.Reading.id not set"}})
}

func TestProtobufRoundTrip(t *testing.T) {
	f := compile(t, protobufSpec(t, "acme.Reading"))
	text := rapid.Map(rapid.String(), func(s string) any { return strings.ToValidUTF8(s, "?") })
	integers := rapid.Map(rapid.IntRange(0, maxInteger), func(n int) any { return float64(n) })
	rapid.Check(t, func(t *rapid.T) {
		var reading func(levels int) map[string]any
		reading = func(levels int) map[string]any {
			v := map[string]any{
				"temperature": numbers().Draw(t, "temperature"), "pump_mode": rapid.SampledFrom([]any{"OFF", "SLOW", 9.0}).Draw(t, "mode"), "count": integers.Draw(t, "count"),
				"name": text.Draw(t, "name"), "key": "AQI=", "offset": -5.0, "total": integers.Draw(t, "total"),
			}
			if levels > 0 {
				v["parts"] = []any{reading(levels - 1), reading(levels - 1)}
				v["samples"] = []any{1.0, -7.0}
				v["by_id"] = map[string]any{"5": text.Draw(t, "text")}
				v["more"] = map[string]any{"value": values().Draw(t, "more")}
				v["level"], v["present"] = integers.Draw(t, "level"), rapid.Bool().Draw(t, "present")
			}
			return v
		}
		checkRoundTrip(t, f, reading(2))
	})
}

func TestProtobufDescriptors(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("syntax = \"proto3\";"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := descriptors(t, true, acme, legacy)
	for _, test := range []struct{ descriptor, message, want string }{
		{filepath.Join(t.TempDir(), "none.pb"), "acme.Reading", "descriptor: open "},
		{other, "acme.Reading", "is not a FileDescriptorSet"},
		{descriptors(t, false, acme), "acme.Reading", "(protoc writes what is imported with --include_imports)"},
		{good, "acme.Writing", `message: "acme.Writing" is not in ` + good + `, which has acme.Maps, acme.Reading, acme.Small, google.protobuf.Any, `},
		{good, "acme.Mode", `message: "acme.Mode" is not in`},
		{good, "acme.Reading.temperature", "is not in"},
		{good, "", "message: expected the full name"},
	} {
		_, err := Compile(Spec{Format: "protobuf", Descriptor: test.descriptor, Message: test.message})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s in %s: %v, want %q", test.message, test.descriptor, err, test.want)
		}
	}
}

func FuzzDecodeProtobuf(f *testing.F) {
	fuzz(f, protobufSpec(f, "acme.Reading"), bytesOf("09000000000080374010011802"), bytesOf("320301027f"), bytesOf("42050805120161"), bytesOf("4a0608b0cfad8a05"), bytesOf("3a042202c3a4"),
		bytesOf("5a0b0a090a016112040a027a7a"), bytesOf("620208076a050a016112007000"), bytesOf("09000000000000f87f"), bytesOf("a00601"), bytesOf("0c0c"))
}

func BenchmarkDecodeProtobuf(b *testing.B) {
	spec := protobufSpec(b, "acme.Reading")
	bench(b, spec, encoded(b, spec, `{"temperature":21.375,"pump_mode":"SLOW","count":1017,"name":"pump","at":"2026-03-01T12:00:00Z","samples":[1,2,3]}`))
}
