package device

import (
	"strings"

	"devicetwin/device"
)

const maxIdentity = 128

func bounded(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxIdentity)], "") }

// identity is what a birth message says of the device under a key; ok is false if it
// says nothing that can be used. Of a number, which is reported, the digits are kept, so
// that the device is found by them: JSON does not keep the 0 at the end of 1.10.
func (d *run) identity(m device.Message, key string) (text string, ok bool) {
	if _, number := m.Data[key].(float64); number && !d.follows(rulesMessages) {
		return "", false // the run began when a number was ignored
	}
	return m.Identity(key)
}
