package points

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/internal/recordlog"
)

func TestLinesOfARecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e linesEncoder
		var d linesDecoder
		for range 3 {
			lines := rapid.SliceOfN(rapid.String(), 1, 20).Draw(t, "lines")
			r := e.record(lines, time.Unix(1, 0))
			got, err := d.lines(r.Data)
			if err != nil || !slices.Equal(got, lines) {
				t.Fatalf("%q, %v; expected %q", got, err, lines)
			}
			if r.Kind != KindLines || r.Items != len(lines) {
				t.Fatalf("kind %d, %d items", r.Kind, r.Items)
			}
			// What is kept may not change with the next record.
			defer func() {
				if !slices.Equal(got, lines) {
					t.Fatalf("%q were %q", got, lines)
				}
			}()
		}
	})
}

func TestOtherRecordsAreNoLines(t *testing.T) {
	var e linesEncoder
	good := slices.Clone(e.record([]string{"a 1", "b 2"}, time.Time{}).Data)
	for name, data := range map[string][]byte{
		"nothing":        {},
		"no number":      {0x80},
		"another number": append([]byte{3}, good[1:]...),
		"no lines":       e.record(nil, time.Time{}).Data,
		"cut":            good[:len(good)-4],
		"not deflated":   []byte("\x01text"),
	} {
		if lines, err := Lines(recordlog.Record{Kind: KindLines, Data: data}); !errors.Is(err, errLines) {
			t.Errorf("%s: %q, %v", name, lines, err)
		}
	}
}

func TestLinesAreDividedIntoRecords(t *testing.T) {
	many := slices.Repeat([]string{"x"}, 2*maxRecordLines+1)
	large := slices.Repeat([]string{strings.Repeat("y", maxRecordBytes/2)}, 3)
	tooLarge := []string{"a", strings.Repeat("z", 2*maxRecordBytes), "b"}
	for name, test := range map[string]struct {
		lines []string
		want  []int
	}{
		"none":      {nil, nil},
		"few":       {[]string{"a", "b"}, []int{2}},
		"many":      {many, []int{maxRecordLines, maxRecordLines, 1}},
		"large":     {large, []int{2, 1}},
		"too large": {tooLarge, []int{1, 1, 1}},
	} {
		var sizes []int
		var all []string
		for lines := range recordsOf(test.lines) {
			sizes, all = append(sizes, len(lines)), append(all, lines...)
		}
		if !slices.Equal(sizes, test.want) || !slices.Equal(all, test.lines) {
			t.Errorf("%s: %v, expected %v", name, sizes, test.want)
		}
	}
}

func FuzzLines(f *testing.F) {
	var e linesEncoder
	f.Add(slices.Clone(e.record([]string{"a 1", "b 2"}, time.Time{}).Data))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := Lines(recordlog.Record{Kind: KindLines, Data: data})
		if (err == nil) != (len(lines) > 0) {
			t.Fatalf("%q, %v", lines, err)
		}
	})
}

// An hour of 10,000 telemetry points a second is 36 million: at 25 bytes each
// they fit into a gigabyte.
func TestBytesOfAPointInTheLog(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var lines []string
	for i := range 5000 {
		line, _ := Point{"pump", map[string]string{"device": fmt.Sprintf("pump-%06d", r.IntN(10_000)), "model": "pump"},
			map[string]any{"temperature": float64(r.IntN(1000)) / 10, "vibration": float64(r.IntN(1000)) / 1000},
			at.Add(time.Duration(i)*100*time.Microsecond + time.Duration(r.IntN(3600)))}.Line()
		lines = append(lines, line)
	}
	var e linesEncoder
	if n := len(e.record(lines, at).Data) / len(lines); n > 25 {
		t.Errorf("%d bytes, as text %d", n, len(lines[0]))
	}
}
