package format

import (
	"encoding/base64"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// msgpackCodec is MessagePack, as of https://github.com/msgpack/msgpack/blob/master/spec.md.
type msgpackCodec struct{ limits Limits }

func (c msgpackCodec) decode(payload []byte) (any, error) {
	r := msgpackReader{newReader(payload, c.limits)}
	return r.whole(r.value)
}

// msgpackReader reads values with the functions of the library for single ones.
type msgpackReader struct{ reader }

// take reads one thing, and passes on to what is behind it.
func take[T any](r *msgpackReader, read func([]byte) (T, []byte, error)) (T, error) {
	v, rest, err := read(r.rest)
	if err != nil {
		return v, r.libraryFault(err)
	}
	r.rest = rest
	return v, nil
}

func (r *msgpackReader) libraryFault(err error) error {
	if errors.Is(err, msgp.ErrShortBytes) {
		return r.cutOff()
	}
	return r.fault("%s", strings.TrimPrefix(short(err), "msgp: "))
}

// value reads a value. Its first byte is the next one.
func (r *msgpackReader) value() (any, error) {
	if len(r.rest) == 0 {
		return nil, r.cutOff()
	}
	switch msgp.NextType(r.rest) {
	case msgp.NilType:
		r.rest = r.rest[1:]
		return nil, nil
	case msgp.BoolType:
		return take(r, boxed(msgp.ReadBoolBytes))
	case msgp.IntType:
		n, err := take(r, msgp.ReadInt64Bytes)
		return float64(n), err
	case msgp.UintType:
		n, err := take(r, msgp.ReadUint64Bytes)
		return float64(n), err
	case msgp.Float32Type:
		f, err := take(r, msgp.ReadFloat32Bytes)
		return finite(float64(f)), err
	case msgp.Float64Type:
		f, err := take(r, msgp.ReadFloat64Bytes)
		return finite(f), err
	case msgp.StrType:
		return r.text()
	case msgp.BinType:
		b, err := take(r, msgp.ReadBytesZC)
		return base64.StdEncoding.EncodeToString(b), err
	case msgp.ArrayType:
		return r.array()
	case msgp.MapType:
		return r.object()
	case msgp.InvalidType:
		return nil, r.fault("0x%02x is not the beginning of a value", r.rest[0])
	}
	return r.extension()
}

func boxed[T any](read func([]byte) (T, []byte, error)) func([]byte) (any, []byte, error) {
	return func(b []byte) (any, []byte, error) { return read(b) }
}

func (r *msgpackReader) text() (string, error) {
	at := r.offset()
	s, err := take(r, msgp.ReadStringZC)
	if err == nil && !utf8.Valid(s) {
		err = faultAt(byteAt(at), "a string that is not valid UTF-8")
	}
	return string(s), err
}

func (r *msgpackReader) array() (any, error) {
	at := r.offset()
	n, err := take(r, msgp.ReadArrayHeaderBytes)
	if err == nil {
		err = r.open(at, uint64(n), 1)
	}
	if err != nil {
		return nil, err
	}
	defer r.close()
	array := make([]any, n)
	for i := range array {
		if array[i], err = r.value(); err != nil {
			return nil, inElement(err, i)
		}
	}
	return array, nil
}

func (r *msgpackReader) object() (any, error) {
	at := r.offset()
	n, err := take(r, msgp.ReadMapHeaderBytes)
	if err == nil {
		err = r.open(at, uint64(n), 2)
	}
	if err != nil {
		return nil, err
	}
	defer r.close()
	object := make(map[string]any, n)
	for range n {
		if err := r.member(object, r.key, r.value); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// key reads the key of a map: a string, or an integer in decimal digits.
func (r *msgpackReader) key() (string, error) {
	switch msgp.NextType(r.rest) {
	case msgp.StrType:
		return r.text()
	case msgp.IntType:
		n, err := take(r, msgp.ReadInt64Bytes)
		return strconv.FormatInt(n, 10), err
	case msgp.UintType:
		n, err := take(r, msgp.ReadUint64Bytes)
		return strconv.FormatUint(n, 10), err
	}
	if len(r.rest) == 0 {
		return "", r.cutOff()
	}
	return "", r.fault("a key that is neither a string nor an integer")
}

// timestamp is the number of the one extension that MessagePack defines.
const timestamp = -1

// extension reads a timestamp. What other extensions mean is between those who use them.
func (r *msgpackReader) extension() (any, error) {
	at := r.offset()
	kind, ok := extensionType(r.rest)
	if !ok {
		return nil, r.cutOff()
	}
	if kind != timestamp {
		return nil, r.fault("the extension type %d has no meaning", kind)
	}
	t, err := take(r, msgp.ReadTimeUTCBytes)
	if err != nil {
		return nil, err
	}
	return rfc3339(t, at)
}

// extensionType is the type of the extension that b begins with. It is behind the length.
func extensionType(b []byte) (kind int8, ok bool) {
	at := 1 // fixext: no length
	switch b[0] {
	case 0xc7: // ext 8
		at = 2
	case 0xc8: // ext 16
		at = 3
	case 0xc9: // ext 32
		at = 5
	}
	if at >= len(b) {
		return 0, false
	}
	return int8(b[at]), true
}

func (msgpackCodec) encode(v any) ([]byte, error) { return appendMsgpack(nil, v), nil }

// appendMsgpack writes integers in as few bytes as they need, and members in the order of
// their names.
func appendMsgpack(to []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return msgp.AppendBool(to, v)
	case float64:
		if n, ok := integer(v); ok {
			return msgp.AppendInt64(to, n)
		}
		if float64(float32(v)) == v && !math.IsInf(float64(float32(v)), 0) {
			return msgp.AppendFloat32(to, float32(v))
		}
		return msgp.AppendFloat64(to, v)
	case string:
		return msgp.AppendString(to, v)
	case []any:
		to = msgp.AppendArrayHeader(to, uint32(len(v)))
		for _, element := range v {
			to = appendMsgpack(to, element)
		}
		return to
	case map[string]any:
		to = msgp.AppendMapHeader(to, uint32(len(v)))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			to = appendMsgpack(msgp.AppendString(to, name), v[name])
		}
		return to
	}
	return msgp.AppendNil(to)
}
