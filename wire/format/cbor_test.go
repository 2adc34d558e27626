package format

import (
	"math"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"
)

// TestCBOR has the examples of RFC 8949, appendix A, and what is made of them.
func TestCBOR(t *testing.T) {
	f := compile(t, Spec{Format: "cbor"})
	for _, test := range []struct{ payload, want, err string }{
		{payload: "00", want: `0`},
		{payload: "1903e8", want: `1000`},
		{payload: "1bffffffffffffffff", want: `18446744073709551615`},
		{payload: "c249010000000000000000", want: `18446744073709551616`},
		{payload: "3bffffffffffffffff", want: `-18446744073709551616`},
		{payload: "c349010000000000000000", want: `-18446744073709551617`},
		{payload: "f98000", want: `-0`},
		{payload: "f93e00", want: `1.5`},
		{payload: "fa47c35000", want: `100000`},
		{payload: "fb7e37e43c8800759c", want: `1.0e+300`},
		{payload: "f97c00", want: `null`},
		{payload: "f97e00", want: `null`},
		{payload: "fbfff0000000000000", want: `null`},
		{payload: "f4", want: `false`},
		{payload: "f6", want: `null`},
		{payload: "f7", want: `null`},
		{payload: "f0", err: "cbor: byte 0: the simple value 16 has no meaning"},
		{payload: "f8ff", err: "the simple value 255 has no meaning"},
		{payload: "c074323031332d30332d32315432303a30343a30305a", want: `"2013-03-21T20:04:00Z"`},
		{payload: "c07819323031332d30332d32315432303a30343a30302b30323a3030", want: `"2013-03-21T18:04:00Z"`},
		{payload: "c11a514b67b0", want: `"2013-03-21T20:04:00Z"`},
		{payload: "c1fb41d452d9ec200000", want: `"2013-03-21T20:04:00.5Z"`},
		{payload: "c1f97e00", want: `null`},
		{payload: "c11b00ffffffffffffff", err: "byte 0: a time beyond the year 9999"},
		{payload: "c11bffffffffffffffff", err: "byte 0: "},
		{payload: "c1fb7e37e43c8800759c", err: "byte 0: "},
		{payload: "c06161", err: "byte 0: "},
		{payload: "c161 61", err: "byte 0: "},
		{payload: "d74401020304", want: `"01020304"`},
		{payload: "d64401020304", want: `"AQIDBA=="`},
		{payload: "d54401020304", want: `"AQIDBA"`},
		{payload: "d782 41ff d541ff", want: `["FF","_w"]`},
		{payload: "82d741ff41ff", want: `["FF","/w=="]`},
		{payload: "d818456449455446", want: `"ZElFVEY="`},
		{payload: "d9d9f701", want: `1`}, // self-described
		{payload: "d82076687474703a2f2f7777772e6578616d706c652e636f6d", want: `"http://www.example.com"`},
		{payload: "40", want: `""`},
		{payload: "4401020304", want: `"AQIDBA=="`},
		{payload: "62225c", want: `"\"\\"`},
		{payload: "83 01 820203 820405", want: `[1,[2,3],[4,5]]`},
		{payload: "a0", want: `{}`},
		{payload: "a201020304", want: `{"1":2,"3":4}`},
		{payload: "a2200121f6", want: `{"-1":1,"-2":null}`}, // SenML: RFC 8428, section 6
		{payload: "a26161016162820203", want: `{"a":1,"b":[2,3]}`},
		{payload: "5f42010243030405ff", want: `"AQIDBAU="`},
		{payload: "7f657374726561646d696e67ff", want: `"streaming"`},
		{payload: "9fff", want: `[]`},
		{payload: "9f018202039f0405ffff", want: `[1,[2,3],[4,5]]`},
		{payload: "bf61610161629f0203ffff", want: `{"a":1,"b":[2,3]}`},

		{payload: "", err: "cbor: byte 0: cut off"},
		{payload: "a2 6161 01 6162", err: "cbor: byte 6, b: cut off"},
		{payload: "a2 6161 01", err: "cbor: byte 0: announces 2 entries, and 3 bytes follow"},
		{payload: "9bffffffffffffffff", err: "announces 18446744073709551615 entries, and 0 bytes follow"},
		{payload: "bb7fffffffffffffff00", err: "announces 9223372036854775807 entries, and 1 bytes follow"},
		{payload: "9a0000", err: "byte 0: cut off"},
		{payload: "7bffffffffffffffff", err: "byte 0: "},
		{payload: "81 7f 62 61", err: "cbor: byte 1, [0]: "},
		{payload: "9f01", err: "byte 2: cut off"},
		{payload: "bf 6161 ff", err: "byte 3, a: "},
		{payload: "ff", err: "byte 0: "},
		{payload: "1c", err: "byte 0: "},
		{payload: "9c", err: "byte 0: 0x9c is not the beginning of a value"},
		{payload: "df00", err: "byte 0: 0xdf is not the beginning of a value"},
		{payload: "0102", err: "cbor: byte 1: 1 bytes after the end"},
		{payload: "a1 6161 a1 6162 62c328", err: "cbor: byte 6, a.b: "},
		{payload: "a2 6161 01 6161 02", err: "cbor: byte 4, a: the key is there twice"},
		{payload: "a2 01 01 6131 02", err: `cbor: byte 3, 1: the key is there twice`},
		{payload: "a1 4101 01", err: "cbor: byte 1: a key that is neither a string nor an integer"},
		{payload: "a1 f5 01", err: "a key that is neither"},
		{payload: "a1 8001", err: "a key that is neither"},
		{payload: "a1 c1 01 01", err: "a key that is neither"},
		{payload: "a1 61 ff 01", err: "byte 1: "},
		{payload: "d8", err: "cut off"},
		{payload: "c1", err: "byte 0: "},
		{payload: "d9d9f7", err: "byte 3: cut off"},
		{payload: "c2" + "5900ff" + strings.Repeat("ff", 255), err: "byte 0: an integer of 2040 bits is beyond the largest number"},
	} {
		checkDecoding(t, f, []decoding{{payload: bytesOf(test.payload), want: test.want, err: test.err}})
	}
	checkDecoding(t, compile(t, Spec{Format: "cbor", Limits: Limits{Depth: 3, Values: 5}}), []decoding{
		{payload: bytesOf("81818100"), want: `[[[0]]]`},
		{payload: bytesOf("8181818100"), err: "cbor: byte 3, [0][0][0]: nested deeper than 3"},
		{payload: bytesOf("d9d9f7d9d9f7d9d9f7d9d9f700"), err: "byte 9: nested deeper than 3"},
		{payload: bytesOf("840000 00 00"), want: `[0,0,0,0]`},
		{payload: bytesOf("850000000000"), err: "byte 0: more than 5 values"},
		{payload: bytesOf("9f0000000000ff"), err: "byte 5: more than 5 values"},
		{payload: bytesOf("82 83000000 82"), err: "byte 1, [0]: more than 5 values"},
	})
}

func TestCBOREncode(t *testing.T) {
	checkEncoding(t, compile(t, Spec{Format: "cbor"}), []encoding{
		{value: `{"b":1.5,"a":[-1,null,true,"x"]}`, want: bytesOf("a2 6161 84 20 f6 f5 6178 6162 f93e00")},
		{value: `9007199254740992`, want: bytesOf("1b0020000000000000")},
		{value: `9007199254740994`, want: bytesOf("fb4340000000000001")},
		{value: `-0`, want: bytesOf("f98000")},
	})
}

func TestCBORRoundTrip(t *testing.T) {
	f := compile(t, Spec{Format: "cbor"})
	rapid.Check(t, func(t *rapid.T) { checkRoundTrip(t, f, values().Draw(t, "value")) })
}

// FuzzDecodeCBOR also compares with the library, which is to accept what is accepted here.
func FuzzDecodeCBOR(f *testing.F) {
	fuzz(f, Spec{Format: "cbor"}, bytesOf("a26161016162820203"), bytesOf("9f018202039f0405ffff"), bytesOf("c1fb41d452d9ec200000"), bytesOf("d7824101d54101"),
		bytesOf("9bffffffffffffffff"), bytesOf("bf7f6161ff5f4101ffff"), bytesOf("c249010000000000000000"), bytesOf("f97e00"), bytesOf("a1f500"), bytesOf("d9d9f7a1200a"))
}

func FuzzCBORLibraryAgrees(f *testing.F) {
	format := compile(f, Spec{Format: "cbor", Limits: Limits{Depth: 30}})
	for _, seed := range []string{"a26161016162820203", "9f018202039f0405ffff", "c11a514b67b0", "a2200121f6", "d9d9f701", "5f4101ff", "fb7ff0000000000000", "1bffffffffffffffff"} {
		f.Add([]byte(bytesOf(seed)))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		v, err := format.Decode(payload)
		var theirs any
		theirErr := cbor.Unmarshal(payload, &theirs)
		if err == nil && theirErr != nil && !strings.Contains(theirErr.Error(), "exceeded max nested level") {
			t.Fatalf("%x: %v, the library: %v", payload, v, theirErr)
		}
		n, isNumber := v.(float64)
		if integer, ok := theirs.(uint64); ok && err == nil && (!isNumber || n != float64(integer)) {
			t.Fatalf("%x: %v, the library: %d", payload, v, integer)
		}
		if f, ok := theirs.(float64); ok && err == nil && !(isNumber && n == f || v == nil && (math.IsNaN(f) || math.IsInf(f, 0))) {
			t.Fatalf("%x: %v, the library: %v", payload, v, f)
		}
		if array, ok := theirs.([]any); ok && err == nil && len(v.([]any)) != len(array) {
			t.Fatalf("%x: %v, the library: %v", payload, v, array)
		}
	})
}

func encoded(b testing.TB, spec Spec, document string) string {
	payload, err := compile(b, spec).Encode(parse(b, document))
	if err != nil {
		b.Fatal(err)
	}
	return string(payload)
}

func BenchmarkDecodeCBOR(b *testing.B) {
	spec := Spec{Format: "cbor"}
	bench(b, spec, encoded(b, spec, readingJSON))
}
