package points

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"devicetwin/internal/jsonobject"
	"devicetwin/internal/measure"
)

// Ends of the names of fields, by type. A number has none, unless its name could be
// taken for another field's, or is reserved.
const (
	endString = ":string"
	endBool   = ":bool"
	endNumber = ":number"
)

// reservedFields are names that no field may have: those of the tags of readings,
// because a query could mean either, and those with a meaning in InfluxQL and Flux.
var reservedFields = append(measure.ReadingTags(), "time", "_time", "_start", "_stop", "_field", "_measurement", "_value")

// appendFieldName appends the name of a field of a type, escaped for line protocol.
// No two pairs of name and type have the same.
func appendFieldName(to, name []byte, kind jsonobject.Kind) []byte {
	to = appendName(to, name, ",= ")
	switch kind {
	case jsonobject.String:
		return append(to, endString...)
	case jsonobject.Bool:
		return append(to, endBool...)
	}
	if hasTypeEnd(name) || slices.ContainsFunc(reservedFields, func(r string) bool { return r == string(name) }) {
		return append(to, endNumber...)
	}
	return to
}

func hasTypeEnd(name []byte) bool {
	return bytes.HasSuffix(name, []byte(endString)) || bytes.HasSuffix(name, []byte(endBool)) || bytes.HasSuffix(name, []byte(endNumber))
}

// emptyKey stands for an empty key. A key that is not empty has no byte FF.
const emptyKey = "%FF"

// appendKey appends one key of a name. What a name cannot have, or has another
// meaning in it, is written as % and two hexadecimal digits: the point, which
// separates keys, the backslash and control characters. A % is written so only
// before two such digits. So different keys stay different.
func appendKey(to, key []byte) []byte {
	if len(key) == 0 {
		return append(to, emptyKey...)
	}
	for i, c := range key {
		if c == '.' || c == '\\' || c < ' ' || c == 0x7f || c == '%' && i+2 < len(key) && isHex(key[i+1]) && isHex(key[i+2]) {
			to = append(to, '%', upperHex[c>>4], upperHex[c&15])
			continue
		}
		to = append(to, c)
	}
	return to
}

const upperHex = "0123456789ABCDEF"

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

// appendName appends a measurement, tag or key with the given characters
// escaped. A backslash escapes what follows it and has no escape itself, and a
// line end would end the point: both are replaced.
func appendName[T string | []byte](to []byte, name T, special string) []byte {
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '\\' || c < ' ':
			c = '_'
		case strings.IndexByte(special, c) >= 0:
			to = append(to, '\\')
		}
		to = append(to, c)
	}
	return to
}

// appendString appends a string in line protocol.
func appendString(to, s []byte) []byte {
	to = append(to, '"')
	for _, c := range s {
		if c == '"' || c == '\\' {
			to = append(to, '\\')
		}
		to = append(to, c)
	}
	return append(to, '"')
}

// clipped is the beginning of a string, of at most n bytes.
func clipped(s []byte, n int) []byte {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
