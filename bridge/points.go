package bridge

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pointTime is the time of a message's point. A device's clock counts
// milliseconds; below that, the message's number, or its place in the array,
// keeps points of one millisecond apart, which would otherwise replace one
// another, and gives a repeated message its old point again.
func pointTime(o decoded, index int) time.Time {
	part := uint64(index)
	if o.message.Seq > 0 {
		part = o.message.Seq % 1_000_000
	}
	return o.at.Add(time.Duration(part))
}

// maxFields bounds the fields of one point.
const maxFields = 256

// point is what WritePoint was given.
type point struct {
	measurement string
	tags        map[string]string
	fields      map[string]any
	at          time.Time
	size        int
}

// line writes a point in InfluxDB line protocol, without a line end, tags and
// fields sorted. Nested objects are flattened with dots; what is no number,
// boolean or string is left out. ok is false if no field is left.
func (p point) line() (line string, ok bool) {
	var b strings.Builder
	b.Grow(p.size)
	writeName(&b, p.measurement, ", ")
	for _, key := range slices.Sorted(maps.Keys(p.tags)) {
		if key == "" || p.tags[key] == "" {
			continue // line protocol has no empty tags
		}
		b.WriteByte(',')
		writeName(&b, key, ",= ")
		b.WriteByte('=')
		writeName(&b, p.tags[key], ",= ")
	}
	n := writeFields(&b, "", p.fields, 0)
	if n == 0 {
		return "", false
	}
	b.WriteByte(' ')
	b.WriteString(strconv.FormatInt(p.at.UnixNano(), 10))
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
