package jsonsize

import (
	"encoding/json"
	"math"
	"testing"
)

func TestValueIsAnUpperBound(t *testing.T) {
	for _, v := range []any{
		nil, true, false, 0.0, -math.SmallestNonzeroFloat64, -2.2250738585072014e-308, math.MaxFloat64, math.MinInt64, uint64(math.MaxUint64),
		"", "plain", `"\`, "<>&\x00\x1f\x7f\u2028\u2029", "\xff\xfe", "ünïcödé 😀",
		map[string]any{}, map[string]any{"<\xff>": nil, "b": []any{}}, []any{1.0, []any{"x", map[string]any{"y": false}}, nil},
	} {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if bound := Value(v); bound < len(raw) {
			t.Errorf("%s has %d bytes, bound %d", raw, len(raw), bound)
		}
	}
}

func FuzzString(f *testing.F) {
	f.Add("<a\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if bound := String(s); bound < len(raw) {
			t.Errorf("%q has %d bytes, bound %d", s, len(raw), bound)
		}
	})
}
