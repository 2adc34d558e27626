package text

import "bytes"

// WithoutMark is what was written without the byte order mark of UTF-8, which some editors and
// libraries put before it. Readers may pass over the mark (RFC 8259, section 8.1).
func WithoutMark(b []byte) []byte { return bytes.TrimPrefix(b, []byte(mark)) }

const mark = "\ufeff"

// MarkOfUTF16 says of what is not UTF-8 that it begins with a byte order mark of UTF-16; ""
// if it does not.
func MarkOfUTF16(b []byte) string {
	if bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
		return "it begins with the byte order mark (BOM) of UTF-16"
	}
	return ""
}
