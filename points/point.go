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

// Point is one point of a time series of the service's own. What a device measured
// is a Reading.
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
	b := appendName(make([]byte, 0, size), p.Measurement, ", ")
	for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
		if key == "" || p.Tags[key] == "" {
			continue // line protocol has no empty tags
		}
		b = append(appendName(append(b, ','), key, ",= "), '=')
		b = appendName(b, p.Tags[key], ",= ")
	}
	b, n := appendFields(b, "", p.Fields, 0)
	if n == 0 {
		return "", false
	}
	return string(strconv.AppendInt(append(b, ' '), p.Time.UnixNano(), 10)), true
}

// appendFields appends fields after n others and returns how many there are then.
func appendFields(b []byte, prefix string, fields map[string]any, n int) ([]byte, int) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if nested, ok := fields[key].(map[string]any); ok {
			b, n = appendFields(b, prefix+key+".", nested, n)
			continue
		}
		value, ok := fieldValue(fields[key])
		if !ok || prefix+key == "" || n == MaxFields {
			continue
		}
		separator := byte(',')
		if n == 0 {
			separator = ' '
		}
		b = append(appendName(append(b, separator), prefix+key, ",= "), '=')
		b = append(b, value...)
		n++
	}
	return b, n
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
