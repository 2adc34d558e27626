package source

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestEveryFaultIsReportedWithItsPlace(t *testing.T) {
	src := `model: 7
stats: {a: 1}
wait: soon
count: 12
list: {}
twice: 1
twice: 2
flag: maybe
`
	f := Parse("m.yaml", []byte(src))
	fields := f.Root().Fields("model", "states", "wait", "count", "list", "twice", "flag")
	f.Root().Require(fields, "states")
	_ = fields["model"].String()
	fields["wait"].Duration()
	fields["count"].Int(1, 9)
	fields["list"].List()
	fields["flag"].Bool()
	if err := f.Err(); err == nil {
		t.Fatal("no fault found")
	}
	want := []string{
		`m.yaml:1:1: key "states" is missing`,
		`m.yaml:1:8: expected a string, found a number`,
		`m.yaml:2:1: unknown key "stats"; expected one of model, states, wait, count, list, twice, flag (did you mean "states"?)`,
		`m.yaml:3:7: expected a duration such as 90s, 5m, 36h or 30d, found "soon"`,
		`m.yaml:4:8: expected an integer from 1 to 9, found 12`,
		`m.yaml:5:7: expected a list, found a mapping`,
		`m.yaml:7:1: duplicate key "twice"`,
		`m.yaml:8:7: expected true or false, found a string`,
	}
	if got := strings.Split(f.Err().Error(), "\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSyntaxErrorsHaveAPlace(t *testing.T) {
	for _, src := range []string{"a: [1, 2", "a: b: c", "\tx: 1", "a: \"b"} {
		err := Parse("m.yaml", []byte(src)).Err()
		faults, ok := err.(Faults)
		if !ok || len(faults) != 1 || faults[0].Line == 0 {
			t.Errorf("%q: faults %+v, want one with a line", src, err)
		}
	}
}

// What is not YAML because of an expression or a template has a hint: quotes.
func TestSyntaxErrorsWithoutQuotes(t *testing.T) {
	for src, hint := range map[string]string{
		`v: a > 5 ? "high" : "low"`: `a value with ": " in it needs quotes`,
		"[{topic: a/{id}/t, x: y}]": "a value with { or } in it needs quotes here",
		"t: [a/{id}/t, b/{id}]":     "a value with { or } in it needs quotes here",
		"a: {b: 1\nc: {}":           "",
		"a: [1, 2":                  "",
	} {
		faults, _ := Parse("m.yaml", []byte(src)).Err().(Faults)
		if len(faults) != 1 || faults[0].Hint != hint {
			t.Errorf("%s: %+v, want the hint %q", src, faults, hint)
		}
	}
}

func TestPrettyMarksTheColumn(t *testing.T) {
	f := Parse("m.yaml", []byte("a:\n  b: x\n"))
	f.Root().Fields("a")["a"].Fields("b")["b"].Float()
	want := "m.yaml:2:6: expected a number, found a string\n    2 |   b: x\n             ^\n"
	if got := f.Err().(Faults).Pretty(); got != want {
		t.Errorf("got:\n%q\nwant:\n%q", got, want)
	}
}

func TestAny(t *testing.T) {
	for _, tt := range []struct {
		src  string
		want any
	}{
		{`{"a": [1, 2.5, "x", null, true]}`, map[string]any{"a": []any{1.0, 2.5, "x", nil, true}}},
		{"a: &one {b: 1}\nc: *one", map[string]any{"a": map[string]any{"b": 1.0}, "c": map[string]any{"b": 1.0}}},
		{"on: off", map[string]any{"on": "off"}},
		{"text: |\n  one\n  two\n", map[string]any{"text": "one\ntwo\n"}},
		{"neg: -3", map[string]any{"neg": -3.0}},
	} {
		f := Parse("x", []byte(tt.src))
		if got := f.Root().Any(); !reflect.DeepEqual(got, tt.want) || f.Err() != nil {
			t.Errorf("%s: %#v, faults %v; want %#v", tt.src, got, f.Err(), tt.want)
		}
	}
}

func TestAnEndlessAliasIsAFault(t *testing.T) {
	f := Parse("x", []byte("a: &x [1, {b: *x}]\n"))
	f.Root().Any()
	if f.Err() == nil {
		t.Error("a value that holds itself was passed over")
	}
}

func TestOneFileHoldsOneDocument(t *testing.T) {
	f := Parse("x", []byte("a: 1\n---\nb: 2\n"))
	if f.Err() == nil {
		t.Error("a second document was passed over")
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "36h": 36 * time.Hour, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "0": 0,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "-1s", "d", "1x", "1e9d", "-1d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a: &x [1, {b: *x}]\n? complex\n: key\n<<: *x"))
	f.Add([]byte(`{"a": 1e400}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		file := Parse("fuzz", src)
		walk(file.Root(), 0)
		_ = file.Err()
	})
}

func walk(n Node, depth int) {
	if depth > 50 {
		return
	}
	switch {
	case n.IsMap():
		for _, e := range n.Entries() {
			walk(e.Value, depth+1)
		}
	case n.IsList():
		for _, e := range n.List() {
			walk(e, depth+1)
		}
	default:
		_ = n.Scalar()
		n.Duration()
		n.Any()
	}
}

// Some editors put a byte order mark before the content. That of UTF-8 is passed over, and
// moves no column; another encoding is named.
func TestByteOrderMarks(t *testing.T) {
	f := Parse("m.yaml", []byte("\ufeffmodel: pump\n"))
	fields := f.Root().Fields("model")
	if err := f.Err(); err != nil || fields["model"].String() != "pump" {
		t.Errorf("reads as %v, %v", fields, err)
	}
	if line, column := fields["model"].Position(); line != 1 || column != 8 {
		t.Errorf("is at %d:%d", line, column)
	}
	for _, src := range []string{"\xff\xfem\x00", "\xfe\xff\x00m"} {
		if err := Parse("m.yaml", []byte(src)).Err(); err == nil || !strings.Contains(err.Error(), "1:1: not UTF-8: it begins with the byte order mark (BOM) of UTF-16") {
			t.Errorf("%q: %v", src, err)
		}
	}
}
