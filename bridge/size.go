package bridge

import (
	"unicode/utf8"

	"devicetwin/device"
)

// Longest forms in which encoding/json writes what is not text.
const (
	numberSize   = 25  // -2.2250738585072014e-308
	envelopeSize = 200 // a Message without name, data and digest
)

// messageSize is an upper bound of the length of a message in JSON, cheaper
// than writing it.
func messageSize(m device.Message) int {
	return envelopeSize + len(m.Name) + len(m.Digest) + valueSize(m.Data) + leftOutSize(m.LeftOut) + requestSize(m.Twin)
}

// requestSize counts base64 for the payload.
func requestSize(r *device.TwinRequest) int {
	if r == nil {
		return 0
	}
	return 80 + len(r.Shadow) + stringSize(r.Reply) + (len(r.Payload)+2)/3*4
}

func leftOutSize(l *device.LeftOut) int {
	if l == nil {
		return 0
	}
	return 40 + 90*len(l.Spans) + 20*len(l.Digests) // numbers have 20 digits at most
}

// valueSize is an upper bound of the length of a JSON value as encoding/json
// writes it.
func valueSize(v any) int {
	switch v := v.(type) {
	case string:
		return stringSize(v)
	case map[string]any:
		n := 2
		for key, value := range v {
			n += stringSize(key) + 2 + valueSize(value)
		}
		return n
	case []any:
		n := 2
		for _, value := range v {
			n += 1 + valueSize(value)
		}
		return n
	case nil, bool:
		return 5
	default:
		return numberSize
	}
}

// stringSize counts six bytes for every character that may be written as
// \u00XX, which includes <, > and &.
func stringSize(s string) int {
	n := 2 + len(s)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == '<' || c == '>' || c == '&' || c == 0x7f:
			n += 5
		case c == '"' || c == '\\':
			n++
		case c >= utf8.RuneSelf:
			// A broken byte becomes \ufffd, as long as a control character.
			n += 5
		}
	}
	return n
}
