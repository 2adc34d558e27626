package format

import (
	"encoding/csv"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCSV(t *testing.T) {
	checkDecoding(t, compile(t, Spec{Format: "csv", Columns: []string{"t", "mode"}, Numbers: true}), []decoding{
		{payload: "23.5,slow\n", want: `[{"t":23.5,"mode":"slow"}]`},
		{payload: "1, \"a, \"\"b\"\"\"\r\n\r\nnan,\n", want: `[{"t":1,"mode":"a, \"b\""},{"t":null,"mode":""}]`},
		{payload: "", want: `[]`},
		{payload: "1,a\n2,b,c\n", err: "csv: line 2: 3 columns, expected 2"},
		{payload: "1,a\n2", err: "csv: line 2: 1 columns, expected 2"},
		{payload: "1,\"a\n", err: "csv: line 1, column 6: extraneous or missing"},
		{payload: "1,a\"b\n", err: "csv: line 1, column 4: bare"},
		{payload: "1,\xff", err: "csv: byte 2: not valid UTF-8"},
	})
	checkDecoding(t, compile(t, Spec{Format: "csv", Header: true, Separator: ";"}), []decoding{
		{payload: "\ufefft;h\n1;2\n3;4", want: `[{"t":"1","h":"2"},{"t":"3","h":"4"}]`},
		{payload: "t;h\n", want: `[]`},
		{payload: "", err: "csv: empty: expected a header"},
		{payload: "t;;h\n", err: "csv: line 1, column 3: a column without a name"},
		{payload: "t;h;t\n", err: `csv: line 1, column 5: the column "t" is there twice`},
	})
	checkDecoding(t, compile(t, Spec{Format: "csv", Separator: "\t", Limits: Limits{Values: 9}}), []decoding{
		{payload: "a\tb\nc\n", want: `[["a","b"],["c"]]`},
		{payload: "\t\t", want: `[["","",""]]`},
		{payload: strings.Repeat("\t", 9), err: "csv: 10 lines and columns: more than 9 values"},
		{payload: "1\n2\n3\n4\n5", err: "csv: line 5: more than 9 values"},
	})
}

func TestCSVReadsWhatIsWritten(t *testing.T) {
	f := compile(t, Spec{Format: "csv"})
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringOfN(rapid.RuneFrom([]rune("ab,\"\n ;ä1")), 0, 6, -1)
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 2, 4), 0, 5).Draw(t, "rows")
		var out strings.Builder
		if err := csv.NewWriter(&out).WriteAll(rows); err != nil {
			t.Fatal(err)
		}
		want := []any{}
		for _, row := range rows {
			cells := []any{}
			for _, c := range row {
				cells = append(cells, c)
			}
			want = append(want, cells)
		}
		if got, err := f.Decode([]byte(out.String())); err != nil || !reflect.DeepEqual(got, any(want)) {
			t.Fatalf("%q: %#v, %v, want %#v", out.String(), got, err, want)
		}
	})
}

func FuzzDecodeCSV(f *testing.F) {
	fuzz(f, Spec{Format: "csv", Header: true, Numbers: true}, "t,h\n1,2\n", "a\n\"x\ny\"\n", "a,a\n", ",\n", "\ufeffa\n\n\n1", "a\n\"")
}

func BenchmarkDecodeCSV(b *testing.B) {
	bench(b, Spec{Format: "csv", Columns: []string{"seq", "ts", "temperature", "pressure", "mode", "on"}, Numbers: true}, "1017,1772366399123,21.375,1013.25,slow start,true\n")
}
