package points

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"devicetwin/internal/jsonsize"
)

// maxFields bounds the fields of one point.
const maxFields = 256

// Point is one point of a time series.
type Point struct {
	Measurement string
	Tags        map[string]string // those with an empty name or value are left out
	// Fields may be numbers, booleans, strings, durations (written in seconds),
	// what has a String method, and objects of these, which are flattened with
	// dots. Other values are left out, and so are fields beyond the first 256.
	Fields map[string]any
	Time   time.Time // InfluxDB keeps one point for each series and time
}

// size is an upper bound, about, of the bytes of the point's line.
func (p Point) size() int {
	n := 64 + len(p.Measurement) + jsonsize.Value(p.Fields)
	for k, v := range p.Tags {
		n += len(k) + len(v) + 2
	}
	return n
}

// Line returns the point in InfluxDB line protocol, without a line end, with
// tags and fields sorted and the time in nanoseconds. ok is false if no field is
// left.
func (p Point) Line() (line string, ok bool) { return p.line(p.size()) }

func (p Point) line(size int) (line string, ok bool) {
	var b strings.Builder
	b.Grow(size)
	writeName(&b, p.Measurement, ", ")
	for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
		if key == "" || p.Tags[key] == "" {
			continue // line protocol has no empty tags
		}
		b.WriteByte(',')
		writeName(&b, key, ",= ")
		b.WriteByte('=')
		writeName(&b, p.Tags[key], ",= ")
	}
	n := writeFields(&b, "", p.Fields, 0)
	if n == 0 {
		return "", false
	}
	b.WriteByte(' ')
	b.WriteString(strconv.FormatInt(p.Time.UnixNano(), 10))
	return b.String(), true
}

// writeFields writes fields after n others and returns how many there are then.
func writeFields(b *strings.Builder, prefix string, fields map[string]any, n int) int {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if nested, ok := fields[key].(map[string]any); ok {
			n = writeFields(b, prefix+key+".", nested, n)
			continue
		}
		value, ok := fieldValue(fields[key])
		if !ok || prefix+key == "" || n == maxFields {
			continue
		}
		separator := byte(',')
		if n == 0 {
			separator = ' '
		}
		b.WriteByte(separator)
		writeName(b, prefix+key, ",= ")
		b.WriteByte('=')
		b.WriteString(value)
		n++
	}
	return n
}

// fieldValue is a value in line protocol. All integers are signed, because
// InfluxDB 1.8 has no others. ok is false if the value cannot be a field.
func fieldValue(v any) (text string, ok bool) {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), !math.IsNaN(v) && !math.IsInf(v, 0)
	case bool:
		return strconv.FormatBool(v), true
	case string:
		return `"` + stringEscaper.Replace(v) + `"`, true
	case int:
		return strconv.Itoa(v) + "i", true
	case int64:
		return strconv.FormatInt(v, 10) + "i", true
	case uint64:
		return strconv.FormatUint(min(v, math.MaxInt64), 10) + "i", true
	case time.Duration:
		return strconv.FormatFloat(v.Seconds(), 'g', -1, 64), true
	case fmt.Stringer:
		return `"` + stringEscaper.Replace(v.String()) + `"`, true
	}
	return "", false
}

var stringEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// writeName writes a measurement, tag or key with the given characters
// escaped. A backslash escapes what follows it and has no escape itself, and a
// line end would end the point: both are replaced.
func writeName(b *strings.Builder, name, special string) {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '\\' || c < ' ':
			b.WriteByte('_')
		case strings.IndexByte(special, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}
