package format

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"devicetwin/internal/faults"
)

// cborCodec is RFC 8949.
type cborCodec struct {
	limits  Limits
	decMode cbor.DecMode // of what is neither an array nor a map
	encMode cbor.EncMode
}

func newCBOR(l Limits, f *faults.List) codec {
	dec, err := cbor.DecOptions{IntDec: cbor.IntDecConvertNone, BigIntDec: cbor.BigIntDecodePointer, TimeTagToAny: cbor.TimeTagToTime}.DecMode()
	f.Add(err)
	enc, err := cbor.CoreDetEncOptions().EncMode() // deterministic: RFC 8949, section 4.2.1
	f.Add(err)
	return cborCodec{limits: l, decMode: dec, encMode: enc}
}

func (c cborCodec) decode(payload []byte) (any, error) {
	r := cborReader{reader: newReader(payload, c.limits), leaf: c.decMode, bytes: base64.StdEncoding.EncodeToString}
	return r.whole(r.value)
}

// encode writes numbers without a fraction as integers.
func (c cborCodec) encode(v any) ([]byte, error) { return c.encMode.Marshal(integers(v)) }

// integers is a copy of a value whose numbers are int64 where they can be.
func integers(v any) any {
	switch v := v.(type) {
	case float64:
		if n, ok := integer(v); ok {
			return n
		}
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = integers(element)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = integers(member)
		}
		return out
	}
	return v
}

// cborReader reads what contains something: it is what must be bounded, and what an
// error is in. The library reads the rest.
type cborReader struct {
	reader
	leaf  cbor.DecMode
	bytes func([]byte) string // how byte strings are written
}

// Major types and special values of RFC 8949, section 3.
const (
	cborArray, cborMap, cborTag  = 4, 5, 6
	cborIndefinite               = 31
	cborBreak                    = 0xff
	tagText, tagEpoch            = 0, 1
	tagBignum, tagNegativeBignum = 2, 3
	tagBase64URL, tagBase64      = 21, 22
	tagBase16                    = 23
)

// value reads a value. Its first byte is the next one.
func (r *cborReader) value() (any, error) {
	if len(r.rest) == 0 {
		return nil, r.cutOff()
	}
	switch r.rest[0] >> 5 {
	case cborArray, cborMap:
		return r.container()
	case cborTag:
		return r.tag()
	}
	return r.scalar()
}

// head reads the first byte of an array, a map or a tag, and the number behind it.
func (r *cborReader) head() (major, info byte, argument uint64, err error) {
	start, b := r.rest, r.rest[1:]
	major, info = start[0]>>5, start[0]&0x1f
	size := 0
	switch {
	case info < 24:
		argument = uint64(info)
	case info < 28:
		size = 1 << (info - 24)
	case info == cborIndefinite && major != cborTag:
	default:
		return 0, 0, 0, r.fault("0x%02x is not the beginning of a value", start[0])
	}
	if len(b) < size {
		return 0, 0, 0, r.cutOff()
	}
	if size > 0 {
		var wide [8]byte
		copy(wide[8-size:], b)
		argument = binary.BigEndian.Uint64(wide[:])
	}
	r.rest = b[size:]
	return major, info, argument, nil
}

func (r *cborReader) container() (any, error) {
	at := r.offset()
	major, info, n, err := r.head()
	if err != nil {
		return nil, err
	}
	perEntry := uint64(1)
	if major == cborMap {
		perEntry = 2
	}
	if info == cborIndefinite {
		n = 0
	}
	if err := r.open(at, n, perEntry); err != nil {
		return nil, err
	}
	defer r.close()
	entries := entries{left: n, indefinite: info == cborIndefinite}
	if major == cborArray {
		return r.array(entries)
	}
	return r.object(entries)
}

// entries counts the elements or members that are still to come.
type entries struct {
	left       uint64
	indefinite bool
}

// more reports whether there is another entry of the array or map that is read.
func (r *cborReader) more(e *entries) (bool, error) {
	if !e.indefinite {
		if e.left == 0 {
			return false, nil
		}
		e.left--
		return true, nil
	}
	if len(r.rest) == 0 {
		return false, r.cutOff()
	}
	if r.rest[0] == cborBreak {
		r.rest = r.rest[1:]
		return false, nil
	}
	return true, r.spend(r.offset(), 1)
}

func (r *cborReader) array(e entries) (any, error) {
	array := make([]any, 0, e.left)
	for {
		more, err := r.more(&e)
		if err != nil {
			return nil, err
		}
		if !more {
			return array, nil
		}
		v, err := r.value()
		if err != nil {
			return nil, inElement(err, len(array))
		}
		array = append(array, v)
	}
}

func (r *cborReader) object(e entries) (any, error) {
	object := make(map[string]any, e.left)
	for {
		more, err := r.more(&e)
		if err != nil {
			return nil, err
		}
		if !more {
			return object, nil
		}
		if err := r.member(object, r.key, r.value); err != nil {
			return nil, err
		}
	}
}

// key reads the key of a map: a string, or an integer in decimal digits.
func (r *cborReader) key() (string, error) {
	if len(r.rest) == 0 {
		return "", r.cutOff()
	}
	var key any
	at := r.offset()
	if major := r.rest[0] >> 5; major != cborArray && major != cborMap && major != cborTag {
		var err error
		if key, err = r.leafValue(); err != nil {
			return "", err
		}
	}
	switch key := key.(type) {
	case string:
		return key, nil
	case uint64:
		return strconv.FormatUint(key, 10), nil
	case int64:
		return strconv.FormatInt(key, 10), nil
	case *big.Int:
		return key.String(), nil
	}
	return "", faultAt(byteAt(at), "a key that is neither a string nor an integer")
}

// leafValue reads what contains nothing, as the library has it.
func (r *cborReader) leafValue() (any, error) {
	var v any
	rest, err := r.leaf.UnmarshalFirst(r.rest, &v)
	if err != nil {
		return nil, r.fault("%s", strings.TrimPrefix(short(err), "cbor: "))
	}
	r.rest = rest
	return v, nil
}

func (r *cborReader) scalar() (any, error) {
	at := r.offset()
	v, err := r.leafValue()
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case uint64:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case float64:
		return finite(v), nil
	case []byte:
		return r.bytes(v), nil
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		if math.IsInf(f, 0) {
			return nil, faultAt(byteAt(at), "an integer of %d bits is beyond the largest number", v.BitLen())
		}
		return f, nil
	case time.Time:
		return rfc3339(v, at)
	case cbor.SimpleValue:
		return nil, faultAt(byteAt(at), "the simple value %d has no meaning", v)
	}
	return v, nil
}

// tag reads a tag and its content. Without a meaning for us, the content counts.
func (r *cborReader) tag() (any, error) {
	before, at := r.rest, r.offset()
	_, _, number, err := r.head()
	if err != nil {
		return nil, err
	}
	outer := r.bytes
	defer func() { r.bytes = outer }()
	switch number {
	case tagText, tagEpoch, tagBignum, tagNegativeBignum:
		r.rest = before
		v, err := r.scalar()
		if number == tagEpoch && v == zeroTime {
			v = nil // what the library has for NaN and the infinities
		}
		return v, err
	case tagBase64URL:
		r.bytes = base64.RawURLEncoding.EncodeToString
	case tagBase64:
		r.bytes = base64.StdEncoding.EncodeToString
	case tagBase16:
		r.bytes = func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
	}
	if err := r.open(at, 0, 1); err != nil { // tags nest, too
		return nil, err
	}
	defer r.close()
	return r.value()
}

const zeroTime = "0001-01-01T00:00:00Z"

// rfc3339 is how times are written, in UTC.
func rfc3339(t time.Time, at int) (any, error) {
	t = t.UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return nil, faultAt(byteAt(at), "a time beyond the year 9999, or before the year 0")
	}
	return t.Format(time.RFC3339Nano), nil
}

// errCutOff is the end of a payload in a value.
var errCutOff = errors.New("cut off")

// short is an error on one line, bounded.
func short(err error) string { return clip(fmt.Sprint(err)) }
