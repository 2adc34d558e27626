package device

import (
	"strconv"
	"strings"
)

// maxIdentity bounds what a device says of itself, in bytes.
const maxIdentity = 128

// Identity is what a birth message says of its device under a key, firmware or site: a
// string, or the digits of a number, of which 128 bytes are taken; ok is false if it says
// nothing that can be used.
func (m Message) Identity(key string) (text string, ok bool) {
	switch v := m.Data[key].(type) {
	case string:
		return clipIdentity(v), true
	case float64:
		return clipIdentity(strconv.FormatFloat(v, 'f', -1, 64)), true
	}
	return "", false
}

func clipIdentity(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxIdentity)], "") }
