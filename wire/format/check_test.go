package format

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func compile(tb testing.TB, spec Spec) *Format {
	tb.Helper()
	f, err := Compile(spec)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// failer is a test, or one of rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// decoding is a payload, and what it decodes to: a JSON value, or a part of the error.
type decoding struct {
	payload string
	want    string
	err     string
}

// checkDecoding decodes each payload.
func checkDecoding(t *testing.T, f *Format, table []decoding) {
	t.Helper()
	for _, test := range table {
		v, err := f.Decode([]byte(test.payload))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%.80q: error %v, want %q", test.payload, err, test.err)
			} else {
				checkError(t, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.80q: %v", test.payload, err)
			continue
		}
		if want := parse(t, test.want); !reflect.DeepEqual(v, want) {
			t.Errorf("%.80q: %#v, want %#v", test.payload, v, want)
		}
		checkValue(t, v)
	}
}

func parse(tb failer, encoded string) (v any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(encoded), &v); err != nil {
		tb.Fatalf("%s: %v", encoded, err)
	}
	return v
}

// checkValue expects a value that encoding/json writes and reads as the same.
func checkValue(tb failer, v any) {
	tb.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		tb.Fatalf("%#v: %v", v, err)
	}
	if again := parse(tb, string(encoded)); !reflect.DeepEqual(again, v) {
		tb.Fatalf("%#v is %#v in JSON", v, again)
	}
}

// checkError expects one line for a log.
func checkError(tb testing.TB, err error) {
	tb.Helper()
	s := err.Error()
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) || !utf8.ValidString(s) || len(s) > 600 {
		tb.Fatalf("not a line for a log: %q", s)
	}
}

// encoding is a value as JSON, and its payload, or a part of the error.
type encoding struct {
	value, want, err string
}

func checkEncoding(t *testing.T, f *Format, table []encoding) {
	t.Helper()
	for _, test := range table {
		payload, err := f.Encode(parse(t, test.value))
		switch {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want %q", test.value, err, test.err)
			}
		case err != nil || string(payload) != test.want:
			t.Errorf("%s: %q, %v, want %q", test.value, payload, err, test.want)
		}
	}
}

// fuzz decodes hostile payloads: nothing may panic, values must be those of JSON, and
// within the limits; a value that can be encoded must be decoded as the same.
func fuzz(f *testing.F, spec Spec, seeds ...string) {
	spec.Limits = Limits{Bytes: 4096, Depth: 8, Values: 100}
	format := compile(f, spec)
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := string(payload)
		v, err := format.Decode(payload)
		if string(payload) != before {
			t.Fatal("the payload was changed")
		}
		if errors.Is(err, errPanic) {
			t.Fatal(err)
		}
		if err != nil {
			checkError(t, err)
			return
		}
		checkValue(t, v)
		left := spec.Limits.Values
		if count(v, &left); left < 0 {
			t.Fatalf("more than %d values: %v", spec.Limits.Values, v)
		}
		if depth(v) > spec.Limits.Depth {
			t.Fatalf("nested deeper than %d: %v", spec.Limits.Depth, v)
		}
		encoded, err := format.Encode(v)
		if err != nil || spec.Format == "protobuf" && strings.Contains(string(mustJSON(v)), "null") {
			return // such as a base64 string that has become too long; NaN cannot be written as null
		}
		again, err := format.Decode(encoded)
		if err != nil || !same(again, v) {
			t.Fatalf("%#v is encoded as %q, which is %#v, %v", v, encoded, again, err)
		}
	})
}

func depth(v any) (deepest int) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			deepest = max(deepest, depth(element))
		}
		return deepest + 1
	case map[string]any:
		for _, member := range v {
			deepest = max(deepest, depth(member))
		}
		return deepest + 1
	}
	return 0
}

// same compares values; those of layouts may differ in the last digits.
func same(a, b any) bool {
	switch a := a.(type) {
	case float64:
		f, ok := b.(float64)
		return ok && (a == f || math.Abs(a-f) <= 1e-9*math.Abs(a))
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(m) != len(a) {
			return false
		}
		for name := range a {
			if _, ok := m[name]; !ok || !same(a[name], m[name]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// values draws any value of JSON.
func values() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(numbers(), func(f float64) any { return f }),
		rapid.Map(rapid.String(), func(s string) any { return strings.ToValidUTF8(s, "?") }),
	)
	var deeper func(levels int) *rapid.Generator[any]
	deeper = func(levels int) *rapid.Generator[any] {
		if levels == 0 {
			return scalar
		}
		return rapid.OneOf(
			scalar,
			rapid.Map(rapid.SliceOfN(deeper(levels-1), 0, 5), func(s []any) any { return append([]any{}, s...) }),
			rapid.Map(rapid.MapOfN(rapid.Map(rapid.String(), func(s string) string { return strings.ToValidUTF8(s, "?") }), deeper(levels-1), 0, 5), func(m map[string]any) any { return m }),
		)
	}
	return deeper(4)
}

// numbers draws numbers with many integers, and the borders of what is exact.
func numbers() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64Range(-1<<55, 1<<55), func(n int64) float64 { return float64(n) }),
		rapid.Map(rapid.IntRange(-300, 300), func(n int) float64 { return float64(n) }),
		rapid.SampledFrom([]float64{maxInteger - 1, maxInteger, maxInteger + 2, -maxInteger, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, 0.5, 1e300}),
		rapid.Map(rapid.Float64(), func(f float64) float64 {
			if finite(f) == nil {
				return 0
			}
			return f
		}),
	)
}

// checkRoundTrip expects a value to be decoded as it was encoded, bit for bit.
func checkRoundTrip(t *rapid.T, f *Format, v any) {
	payload, err := f.Encode(v)
	if err != nil {
		t.Fatalf("%#v: %v", v, err)
	}
	again, err := f.Decode(payload)
	if err != nil || !reflect.DeepEqual(again, v) {
		t.Fatalf("%#v is encoded as %q, which is %#v, %v", v, payload, again, err)
	}
}

// bytesOf reads hex, with spaces.
func bytesOf(digits string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// bench decodes one payload.
func bench(b *testing.B, spec Spec, payload string) {
	f := compile(b, spec)
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		if _, err := f.Decode([]byte(payload)); err != nil {
			b.Fatal(err)
		}
	}
}

// panics is a codec with a fault.
type panics struct{ jsonCodec }

func (panics) decode([]byte) (any, error) { panic("index out\nof range") }

func TestPanicIsAnError(t *testing.T) {
	f := compile(t, Spec{Format: "json"})
	f.codec = panics{}
	v, err := f.Decode([]byte("1"))
	if v != nil || !errors.Is(err, errPanic) || err.Error() != "json: the decoder panicked: index out of range" {
		t.Errorf("%v, %v", v, err)
	}
	checkError(t, err)
}

func TestLimitsHoldForEncode(t *testing.T) {
	f := compile(t, Spec{Format: "json", Limits: Limits{Bytes: 20, Depth: 2, Values: 4}})
	checkEncoding(t, f, []encoding{
		{value: `[1,[2]]`, want: `[1,[2]]`},
		{value: `[[[1]]]`, err: "nested deeper than 2"},
		{value: `[1,2,3,4]`, err: "more than 4 values"},
		{value: `"0123456789012345678"`, err: "21 bytes, the limit is 20"},
	})
}

func TestEncodeTakesWhatJSONTakes(t *testing.T) {
	f := compile(t, Spec{Format: "json"})
	for _, test := range []struct {
		value any
		want  string
	}{
		{json.RawMessage(`{"b":1, "a":"<&>"}`), `{"a":"<&>","b":1}`},
		{map[string]int{"n": 3}, `{"n":3}`},
		{[]any{1, "\xff"}, `[1,"` + "\ufffd" + `"]`},
		{map[string]any(nil), `null`},
	} {
		if payload, err := f.Encode(test.value); err != nil || string(payload) != test.want {
			t.Errorf("%v: %s, %v, want %s", test.value, payload, err, test.want)
		}
	}
	for _, v := range []any{math.NaN(), []any{math.Inf(1)}, func() {}} {
		if _, err := f.Encode(v); err == nil || !strings.Contains(err.Error(), "not a JSON value") {
			t.Errorf("%v: %v", v, err)
		}
	}
}

func TestCSVIsNotEncoded(t *testing.T) {
	if _, err := compile(t, Spec{Format: "csv"}).Encode([]any{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
