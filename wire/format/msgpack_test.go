package format

import (
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"
)

func TestMsgpack(t *testing.T) {
	f := compile(t, Spec{Format: "msgpack"})
	for _, test := range []struct{ payload, want, err string }{
		{payload: "00", want: `0`},
		{payload: "7f", want: `127`},
		{payload: "e0", want: `-32`},
		{payload: "cc ff", want: `255`},
		{payload: "cd 0100", want: `256`},
		{payload: "ce 00010000", want: `65536`},
		{payload: "cf ffffffffffffffff", want: `18446744073709551615`},
		{payload: "d0 80", want: `-128`},
		{payload: "d1 ff00", want: `-256`},
		{payload: "d2 80000000", want: `-2147483648`},
		{payload: "d3 8000000000000000", want: `-9223372036854775808`},
		{payload: "ca 3fc00000", want: `1.5`},
		{payload: "cb 7e37e43c8800759c", want: `1e300`},
		{payload: "ca 7fc00000", want: `null`},
		{payload: "cb fff0000000000000", want: `null`},
		{payload: "c0", want: `null`},
		{payload: "c3", want: `true`},
		{payload: "a0", want: `""`},
		{payload: "a3 61c3a4", want: `"aä"`},
		{payload: "d9 01 61", want: `"a"`},
		{payload: "c4 04 01020304", want: `"AQIDBA=="`},
		{payload: "93 01 90 9102", want: `[1,[],[2]]`},
		{payload: "dc 0001 01", want: `[1]`},
		{payload: "82 a161 01 a162 80", want: `{"a":1,"b":{}}`},
		{payload: "83 01 02 ff 03 cd0100 04", want: `{"1":2,"-1":3,"256":4}`},
		{payload: "d6 ff 514b67b0", want: `"2013-03-21T20:04:00Z"`},
		{payload: "d7 ff 77359400514b67b0", want: `"2013-03-21T20:04:00.5Z"`},
		{payload: "c7 0c ff 1dcd6500 00000000514b67b0", want: `"2013-03-21T20:04:00.5Z"`},
		{payload: "c7 0c ff 00000000 fffffffffffffffe", want: `"1969-12-31T23:59:58Z"`},
		{payload: "c7 0c ff 1dcd6500 7fffffffffffffff", err: "msgpack: byte 0: a time beyond the year 9999"},
		{payload: "c7 0c ff ffffffff 00000000514b67b0", err: "byte 0: "},
		{payload: "d5 ff 0000", err: "msgpack: byte 0: "},
		{payload: "d4 05 00", err: "msgpack: byte 0: the extension type 5 has no meaning"},
		{payload: "c7 0c 05 000000000000000000000000", err: "the extension type 5 has no meaning"}, // the library's own time
		{payload: "d7 03 0000000000000000", err: "the extension type 3 has no meaning"},
		{payload: "c9 ffffffff 07", err: "the extension type 7 has no meaning"},
		{payload: "c9 ffffffff ff", err: "byte 0: cut off"},
		{payload: "c8 00", err: "byte 0: cut off"},
		{payload: "d4", err: "byte 0: cut off"},

		{payload: "", err: "msgpack: byte 0: cut off"},
		{payload: "c1", err: "msgpack: byte 0: 0xc1 is not the beginning of a value"},
		{payload: "dd ffffffff", err: "msgpack: byte 0: announces 4294967295 entries, and 0 bytes follow"},
		{payload: "df 7fffffff 00", err: "announces 2147483647 entries, and 1 bytes follow"},
		{payload: "db ffffffff 61", err: "byte 0: cut off"},
		{payload: "c6 ffffffff 61", err: "byte 0: cut off"},
		{payload: "dd ffff", err: "byte 0: cut off"},
		{payload: "82 a161 01 a162", err: "msgpack: byte 6, b: cut off"},
		{payload: "81 a2 61", err: "byte 1: cut off"},
		{payload: "82 c0 00", err: "announces 2 entries, and 2 bytes follow"},
		{payload: "81 c0 00", err: "byte 1: a key that is neither a string nor an integer"},
		{payload: "81 c401ff 00", err: "a key that is neither"},
		{payload: "82 a161 01 a161 02", err: "msgpack: byte 4, a: the key is there twice"},
		{payload: "81 a161 92 00 a1ff", err: "msgpack: byte 5, a[1]: a string that is not valid UTF-8"},
		{payload: "81 a1ff 00", err: "byte 1: a string that is not valid UTF-8"},
		{payload: "00 00 00", err: "byte 1: 2 bytes after the end"},
		{payload: "ca 00", err: "cut off"},
	} {
		checkDecoding(t, f, []decoding{{payload: bytesOf(test.payload), want: test.want, err: test.err}})
	}
	checkDecoding(t, compile(t, Spec{Format: "msgpack", Limits: Limits{Depth: 3, Values: 5}}), []decoding{
		{payload: bytesOf("91919100"), want: `[[[0]]]`},
		{payload: bytesOf("9191919100"), err: "msgpack: byte 3, [0][0][0]: nested deeper than 3"},
		{payload: bytesOf("9400000000"), want: `[0,0,0,0]`},
		{payload: bytesOf("950000000000"), err: "byte 0: more than 5 values"},
		{payload: bytesOf("92 9200 00 92"), err: "byte 4, [1]: announces"},
	})
}

func TestMsgpackEncode(t *testing.T) {
	checkEncoding(t, compile(t, Spec{Format: "msgpack"}), []encoding{
		{value: `{"b":1.5,"a":[-1,null,true,"x"]}`, want: bytesOf("82 a161 94 ff c0 c3 a178 a162 ca3fc00000")},
		{value: `0.1`, want: bytesOf("cb3fb999999999999a")},
		{value: `-0`, want: bytesOf("ca80000000")},
	})
}

func TestMsgpackRoundTrip(t *testing.T) {
	f := compile(t, Spec{Format: "msgpack"})
	rapid.Check(t, func(t *rapid.T) { checkRoundTrip(t, f, values().Draw(t, "value")) })
}

func FuzzDecodeMsgpack(f *testing.F) {
	fuzz(f, Spec{Format: "msgpack"}, bytesOf("82a16101a16280"), bytesOf("c70cff1dcd650000000000514b67b0"), bytesOf("ddffffffff"), bytesOf("d7ff77359400514b67b0"),
		bytesOf("8301 02ff03cd010004"), bytesOf("c40401020304"), bytesOf("d40500"), bytesOf("dc000101"), strings.Repeat("\x91", 20))
}

// FuzzMsgpackLibraryAgrees expects of the library to pass over what is accepted.
func FuzzMsgpackLibraryAgrees(f *testing.F) {
	format := compile(f, Spec{Format: "msgpack"})
	f.Add([]byte(bytesOf("82a16101a16280")))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if _, err := format.Decode(payload); err != nil {
			return
		}
		if rest, err := msgp.Skip(payload); err != nil || len(rest) > 0 {
			t.Fatalf("%x: the library: %v, %d bytes are left", payload, err, len(rest))
		}
	})
}

func BenchmarkDecodeMsgpack(b *testing.B) {
	spec := Spec{Format: "msgpack"}
	bench(b, spec, encoded(b, spec, readingJSON))
}
