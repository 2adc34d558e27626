package expression

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	celpb "cel.dev/expr"
	_ "cel.dev/expr/conformance/proto2" // types that the files mention
	_ "cel.dev/expr/conformance/proto3"
	conformance "cel.dev/expr/conformance/test"
	"google.golang.org/protobuf/encoding/prototext"
)

// conformanceFiles are those of cel-spec about what there is here.
var conformanceFiles = []string{
	"basic", "comparisons", "conversions", "fp_math", "lists", "logic", "macros", "math_ext", "parse", "string", "string_ext", "timestamps",
}

// meantToDiffer are the differences that are meant, by the beginning of a test's path.
var meantToDiffer = map[string]string{
	"basic/self_eval_zeroish/self_eval_bytes":                         "bytes are not JSON",
	"basic/self_eval_nonzeroish/self_eval_bytes":                      "bytes are not JSON",
	"basic/variables/unbound":                                         "unknown names are errors before anything is evaluated",
	"basic/functions/unbound":                                         "unknown names are errors before anything is evaluated",
	"comparisons/eq_wrapper/":                                         "there are no messages of protobuf",
	"comparisons/eq_literal/not_eq_double_nan":                        "NaN is an error",
	"comparisons/eq_literal/not_eq_int_double_nan":                    "NaN is an error",
	"comparisons/eq_literal/not_eq_uint_double_nan":                   "NaN is an error",
	"comparisons/eq_literal/not_eq_list_length":                       "types are checked before anything is evaluated",
	"comparisons/ne_literal/not_ne_double_nan":                        "NaN is an error",
	"comparisons/ne_literal/not_ne_int_double_nan":                    "NaN is an error",
	"comparisons/ne_literal/not_ne_uint_double_nan":                   "NaN is an error",
	"comparisons/ne_literal/ne_double_nan":                            "NaN is an error",
	"comparisons/in_map_literal/key_in_mixed_key_type_map_cross_type": "types are checked before anything is evaluated",
	"conversions/bytes/":                                              "bytes are not JSON",
	"conversions/uint/":                                               "there is one kind of number",
	"conversions/int/uint_range":                                      "there is one kind of number",
	"conversions/int/double_":                                         "there is one kind of number",
	"conversions/identity/uint":                                       "there is one kind of number",
	"conversions/identity/bytes":                                      "bytes are not JSON",
	"conversions/type/":                                               "types are not JSON, and there is one kind of number",
	"conversions/dyn/dyn_heterogeneous_list":                          "types are not JSON",
	"fp_math/fp_math/mod_not_support":                                 "% is for numbers",
	"fp_math/fp_math/divide_zero":                                     "infinity is an error",
	"fp_math/fp_math/fp_overflow":                                     "infinity is an error",
	"logic/conditional/mixed_type":                                    "types are checked before anything is evaluated",
	"logic/AND/short_circuit_type":                                    "types are checked before anything is evaluated",
	"logic/OR/short_circuit_type":                                     "types are checked before anything is evaluated",
	"math_ext/ceil/dyn_error":                                         "there is one kind of number",
	"math_ext/floor/dyn_error":                                        "there is one kind of number",
	"math_ext/round/dyn_error":                                        "there is one kind of number",
	"math_ext/trunc/dyn_error":                                        "there is one kind of number",
	"math_ext/round/nan":                                              "NaN is an error",
	"math_ext/trunc/nan":                                              "NaN is an error",
	"math_ext/isNaN/":                                                 "NaN is an error",
	"math_ext/isInf/":                                                 "infinity is an error",
	"math_ext/isFinite/":                                              "infinity is an error",
	"math_ext/abs/int_overflow":                                       "there is one kind of number",
	"math_ext/bit_not/uint":                                           "there is one kind of number",
	"math_ext/bit_shift_left/":                                        "lost bits are an error",
	"math_ext/bit_shift_right/int_negative":                           "a result beyond 2^53 is an error",
	"parse/bytes_literals/":                                           "bytes are not JSON",
	"parse/receiver_function_names/":                                  "unknown names are errors before anything is evaluated",
	"parse/whitespace/":                                               "there are no messages of protobuf",
	"parse/comments/":                                                 "there are no messages of protobuf",
	"parse/nest/funcall":                                              "there is one kind of number",
	"string/size/bytes":                                               "bytes are not JSON",
	"string/bytes_concat/":                                            "bytes are not JSON",
	"string_ext/format":                                               "string() is how a number becomes text",
	"string_ext/quote/":                                               "left out",
	"string_ext/value_errors/indexof_out_of_range":                    "cel-go: nothing is found there",
	"string_ext/value_errors/lastindexof_out_of_range":                "cel-go: nothing is found there",
	"timestamps/timestamp_conversions/toType":                         "types are not JSON",
	"timestamps/duration_conversions/toType":                          "types are not JSON",
	"timestamps/timestamp_selectors_tz/":                              "time zones are fixed offsets",
}

func explanation(path string) string {
	for _, prefix := range slices.Sorted(maps.Keys(meantToDiffer)) {
		if strings.HasPrefix(path, prefix) {
			return prefix
		}
	}
	return ""
}

// TestConformance evaluates cel-spec's own tests, which belong to no implementation of
// CEL. An int or a uint in them is a number here.
func TestConformance(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "cel.dev/expr").Output()
	if err != nil {
		t.Fatal(err)
	}
	env, err := NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	right, differ := 0, map[string]bool{}
	for _, name := range conformanceFiles {
		src, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "tests/simple/testdata", name+".textproto"))
		if err != nil {
			t.Fatal(err)
		}
		var file conformance.SimpleTestFile
		if err := prototext.Unmarshal(src, &file); err != nil {
			t.Fatal(err)
		}
		for _, section := range file.GetSection() {
			for _, tc := range section.GetTest() {
				path := name + "/" + section.GetName() + "/" + tc.GetName()
				if len(tc.GetBindings()) > 0 || len(tc.GetTypeEnv()) > 0 || tc.GetContainer() != "" || tc.GetCheckOnly() || tc.GetDisableMacros() {
					continue
				}
				text, prefix := conforms(env, tc), explanation(path)
				switch {
				case text == "":
					right++
				case prefix == "":
					t.Errorf("%s: %s: %s", path, tc.GetExpr(), text)
				default:
					differ[prefix] = true
				}
			}
		}
	}
	for prefix := range meantToDiffer {
		if !differ[prefix] {
			t.Errorf("%s does not differ any more", prefix)
		}
	}
	if right < 1000 {
		t.Errorf("only %d tests are passed", right)
	}
}

// conforms is what differs from a test; "" if nothing does.
func conforms(env *Env, tc *conformance.SimpleTest) string {
	program, faults := env.Compile(tc.GetExpr())
	if faults != nil {
		if tc.GetEvalError() != nil {
			return ""
		}
		return fmt.Sprint(faults)
	}
	got, err := program.Value(Values{})
	if tc.GetEvalError() != nil {
		if err == nil {
			return fmt.Sprintf("%v, not an error", got)
		}
		return ""
	}
	if err != nil {
		return err.Error()
	}
	want := valueText(tc.GetValue())
	if tc.GetValue() == nil {
		want = "true"
	}
	v, err := JSON(got)
	if err != nil {
		return err.Error()
	}
	if text := jsonText(v); text != want {
		return text + ", not " + want
	}
	return ""
}

// jsonText is a value as JSON, with < > and & for themselves.
func jsonText(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func valueText(v *celpb.Value) string {
	switch k := v.GetKind().(type) {
	case *celpb.Value_BoolValue:
		return jsonText(k.BoolValue)
	case *celpb.Value_DoubleValue:
		return jsonText(k.DoubleValue)
	case *celpb.Value_Int64Value:
		return jsonText(float64(k.Int64Value))
	case *celpb.Value_Uint64Value:
		return jsonText(float64(k.Uint64Value))
	case *celpb.Value_StringValue:
		return jsonText(k.StringValue)
	case *celpb.Value_NullValue:
		return "null"
	case *celpb.Value_MapValue:
		entries := map[string]string{}
		for _, e := range k.MapValue.GetEntries() {
			entries[valueText(e.GetKey())] = valueText(e.GetValue())
		}
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			parts = append(parts, key+":"+entries[key])
		}
		return "{" + strings.Join(parts, ",") + "}"
	case *celpb.Value_ListValue:
		var parts []string
		for _, e := range k.ListValue.GetValues() {
			parts = append(parts, valueText(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return fmt.Sprintf("%T", v.GetKind())
}
