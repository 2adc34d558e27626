package text_test

import (
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/internal/text"
	"devicetwin/source"
)

func TestJSON(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{"a < b && c > d", `"a < b && c > d"`},
		{map[string]any{"b": 1.5, "a": []any{nil, true, "ü"}}, `{"a":[null,true,"ü"],"b":1.5}`},
		{"two\nlines", `"two\nlines"`},
		{nil, "null"},
	} {
		if got, err := text.JSON(test.value); got != test.want || err != nil {
			t.Errorf("JSON(%v) = %s, %v; want %s", test.value, got, err, test.want)
		}
	}
	if got, err := text.JSON(math.NaN()); err == nil {
		t.Errorf("JSON(NaN) = %s", got)
	}
}

func TestYAML(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{"hot", "hot"},
		{"on.hot water", "on.hot water"},
		{"_a/b+c-d", "_a/b+c-d"},
		{"", `""`},
		{" a", `" a"`},
		{"a  b", `"a  b"`},
		{"Yes", `"Yes"`},
		{"null", `"null"`},
		{"12", `"12"`},
		{"-1", `"-1"`},
		{".inf", `".inf"`},
		{"a: b", `"a: b"`},
		{"a #b", `"a #b"`},
		{`a\.b`, `"a\\.b"`},
		{"a<b", `"a<b"`},
		{true, "true"},
		{12.5, "12.5"},
		{5e-7, "5.0e-7"},
		{-1.5e-7, "-1.5e-7"},
		{3e-320, "3.0e-320"},
		{1e21, "1.0e+21"},
		{-1e20, "-1.0e+20"},
		{123456789012345678901.0, "1.2345678901234568e+20"},
		{123456789012345678.0, "123456789012345680"},
		{math.Copysign(0, -1), "-0.0"},
		{nil, "null"},
		{map[string]any{"on": "off", "b": []any{1.0, "x y"}, "a": map[string]any{}}, `{a: {}, b: [1, x y], "on": "off"}`},
		{math.Inf(1), "null"},
	} {
		if got := text.YAML(test.value); got != test.want {
			t.Errorf("YAML(%#v) = %s, want %s", test.value, got, test.want)
		}
	}
}

// What is written is read as what it was, as a value, in a list and as a key.
func TestYAMLIsReadAsWhatItWas(t *testing.T) {
	number := rapid.OneOf(
		rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64),
		rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.Int64().Draw(t, "integer")) }),
		rapid.Custom(func(t *rapid.T) float64 { // of any size, and with few digits
			return float64(rapid.IntRange(-99, 99).Draw(t, "digits")) * math.Pow10(rapid.IntRange(-323, 306).Draw(t, "exponent"))
		}),
		rapid.SampledFrom([]float64{5e-7, 1e20, 1e21, 123456789012345678901, 1e18, -1e18, -1e19, math.MinInt64, math.MaxInt64, math.MaxUint64, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64}),
	)
	rapid.Check(t, func(t *rapid.T) {
		char := rapid.RuneFrom([]rune("aeEnoyxTF019 _-./+:#{}[]\"'`,\\<>&*!|%@?~=\n\tü…"))
		word := rapid.OneOf(rapid.StringOf(char), rapid.SampledFrom([]string{"true", "No", "null", "~", ".nan", "1e3", "0x1f", "2026-01-01", "<<", "y", "---"}))
		s := word.Draw(t, "string")
		n := number.Draw(t, "number")
		want := map[string]any{"v": s, "n": n, "l": []any{s, true, nil, 1.5, n}, "m": map[string]any{s: s}}
		f := source.Parse("x.yaml", []byte(text.YAML(want)))
		got := f.Root().Any()
		if f.Err() != nil || !reflect.DeepEqual(got, any(want)) {
			t.Fatalf("%s is read as %#v, %v; want %#v", text.YAML(want), got, f.Err(), want)
		}
		if read := got.(map[string]any)["n"].(float64); math.Signbit(read) != math.Signbit(n) {
			t.Fatalf("%s is read as %v, want %v", text.YAML(want), read, n)
		}
	})
}
