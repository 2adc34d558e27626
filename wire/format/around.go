package format

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
)

// unwrapText decodes base64 or hex around a payload. Of base64, both alphabets of
// RFC 4648 are read, with and without padding. White space is passed over.
func (f *Format) unwrapText(payload []byte) ([]byte, error) {
	switch f.encoded {
	case "base64":
		digits, places := withoutSpace(payload)
		digits = bytes.TrimRight(digits, "=")
		for i, c := range digits {
			switch c {
			case '-':
				digits[i] = '+'
			case '_':
				digits[i] = '/'
			}
		}
		decoded, err := base64.RawStdEncoding.AppendDecode(nil, digits)
		if at := base64.CorruptInputError(0); errors.As(err, &at) {
			what := "not a digit of base64"
			if len(digits)%4 == 1 && int(at) >= len(digits)-1 && isBase64(digits[len(digits)-1]) {
				what = "cut off"
			}
			return nil, fmt.Errorf("base64: %w", faultAt(byteAt(places(int(at))), "%s", what))
		}
		return decoded, err
	case "hex":
		digits, places := withoutSpace(payload)
		decoded, err := hex.AppendDecode(nil, digits)
		if errors.Is(err, hex.ErrLength) {
			return nil, errors.New("hex: an odd number of digits")
		}
		if err != nil {
			return nil, fmt.Errorf("hex: %w", faultAt(byteAt(places(2*len(decoded))), "not two digits of hex"))
		}
		return decoded, nil
	}
	return payload, nil
}

// isBase64 reports whether a byte is a digit of base64, of the alphabet that is not for URLs.
func isBase64(c byte) bool {
	return c == '+' || c == '/' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// withoutSpace is a copy of a payload without white space. Places turns a place in
// it into that in the payload.
func withoutSpace(payload []byte) (digits []byte, places func(int) int) {
	digits = make([]byte, 0, len(payload))
	for _, c := range payload {
		if !isSpace(c) {
			digits = append(digits, c)
		}
	}
	return digits, func(place int) int {
		for i, c := range payload {
			if isSpace(c) {
				continue
			}
			if place == 0 {
				return i
			}
			place--
		}
		return len(payload)
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// wrapText is the way back of unwrapText.
func (f *Format) wrapText(payload []byte) []byte {
	switch f.encoded {
	case "base64":
		return base64.StdEncoding.AppendEncode(nil, payload)
	case "hex":
		return hex.AppendEncode(nil, payload)
	}
	return payload
}

// decodeAuto decodes a payload that may be compressed. Gzip and zlib have a magic and
// a checksum, so what can be decompressed is taken as that. Raw deflate has neither:
// it is tried only for what cannot be decoded as it is.
func (f *Format) decodeAuto(payload []byte) (any, error) {
	var compressed error
	for _, each := range []struct {
		name string
		is   bool
	}{{"gzip", isGzip(payload)}, {"zlib", isZlib(payload)}} {
		if !each.is {
			continue
		}
		inflated, err := inflate(each.name, payload, f.limits.Bytes)
		if err == nil {
			return f.decode(inflated)
		}
		compressed = err
	}
	v, err := f.decode(payload)
	if err == nil {
		return v, nil
	}
	if inflated, failed := inflate("deflate", payload, f.limits.Bytes); failed == nil {
		if v, failed := f.decode(inflated); failed == nil {
			return v, nil
		}
	}
	if isGzip(payload) { // three bytes that are hardly anything else
		return nil, compressed
	}
	return nil, err
}

// isGzip: RFC 1952, section 2.3.1; 8 is deflate, the one method there is.
func isGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8}) }

// isZlib: RFC 1950, section 2.2: method 8, a window of at most 32 KiB, and a check.
func isZlib(b []byte) bool {
	return len(b) >= 2 && b[0]&0x0f == 8 && b[0]>>4 <= 7 && (int(b[0])<<8|int(b[1]))%31 == 0
}

// pools are readers by method, to be used again: each has tables of 40 KiB.
var pools = map[string]*sync.Pool{"gzip": {}, "zlib": {}, "deflate": {}}

// inflate decompresses a payload to at most limit bytes. All of it must be one
// compressed stream; of gzip, several in a row are one.
func inflate(method string, payload []byte, limit int) ([]byte, error) {
	in := bytes.NewReader(payload) // a ByteReader: nothing behind the end is read
	r, err := inflater(method, in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, broken(err))
	}
	defer pools[method].Put(r)
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, int64(limit)+1))
	switch {
	case n > int64(limit):
		return nil, fmt.Errorf("%s: decompressed it has more than %d bytes", method, limit)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", method, &fault{place: byteAt(len(payload) - in.Len()), err: broken(err)})
	case in.Len() > 0:
		return nil, fmt.Errorf("%s: %w", method, faultAt(byteAt(len(payload)-in.Len()), "%d bytes after the end", in.Len()))
	}
	return out.Bytes(), nil
}

// broken names the end of a payload what it is here.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("cut off")
	}
	return err
}

// inflater is a reader of a method, from its pool.
func inflater(method string, in *bytes.Reader) (io.Reader, error) {
	switch old := pools[method].Get(); method {
	case "gzip":
		if r, ok := old.(*gzip.Reader); ok {
			return r, r.Reset(in)
		}
		return gzip.NewReader(in)
	case "zlib":
		if r, ok := old.(zlib.Resetter); ok {
			return old.(io.Reader), r.Reset(in, nil)
		}
		return zlib.NewReader(in)
	default:
		if r, ok := old.(flate.Resetter); ok {
			return old.(io.Reader), r.Reset(in, nil)
		}
		return flate.NewReader(in), nil
	}
}

// deflate compresses a payload.
func deflate(method string, payload []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch method {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zlib":
		w = zlib.NewWriter(&out)
	default:
		w, _ = flate.NewWriter(&out, flate.DefaultCompression) // the level is valid
	}
	_, _ = w.Write(payload) // to memory: neither can fail
	_ = w.Close()
	return out.Bytes()
}
