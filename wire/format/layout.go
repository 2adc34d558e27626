package format

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"devicetwin/internal/faults"
	"devicetwin/internal/text"
)

// Field is a part of a payload of bytes. Its keys in a file are the names of its
// fields in lower case.
type Field struct {
	// Name is the key of the value. What has no name is passed over, and written as zeros.
	Name string
	// Type is u8, i8, u16, i16, u24, i24, u32, i32, u64 or i64, an integer of so many
	// bits, with a sign or without; f32 or f64, a number of IEEE 754; bool, a byte
	// that is not 0; bits, an integer of Bits bits; text, UTF-8 up to the first zero
	// byte; or bytes, which become base64.
	Type string
	// Endian is big (the default) or little: the order of bytes, and for bits also
	// that of the bits in a byte, from the highest or from the lowest.
	Endian string
	// At is the first byte, from 0; nil: the one behind the field before. Bits follow
	// bits in the middle of a byte, everything else begins with a byte.
	At *int
	// Length is the number of bytes of text and bytes; 0: the rest of the payload.
	Length int
	// Bits is the number of bits: of bits, 1 to 64; of bool, 1 for a single bit.
	Bits int
	// Signed says that bits are a number in two's complement.
	Signed bool
	// Scale and Offset make raw numbers values: raw × scale + offset. A scale of 0 is 1.
	Scale, Offset float64
}

// Bounds of a layout.
const (
	maxFields = 1000
	maxLayout = 64 << 10 // bytes
)

// layoutCodec is fields at fixed places.
type layoutCodec struct {
	fields   []field
	size     int  // bytes, without the rest
	rest     bool // the last field takes what is behind
	overlaps bool // two fields share bits
}

// field is a compiled Field.
type field struct {
	Field
	kind       kind
	from, bits int // place and length in bits; bits 0: the rest
	little     bool
	scale      scale
}

// kind is what the bits of a field are.
type kind int

const (
	unsigned kind = iota
	signed
	float
	boolean
	characters
	octets
)

// types has the kind of each type and its number of bits, 0 where the field says so.
var types = map[string]struct {
	kind kind
	bits int
}{
	"u8": {unsigned, 8}, "u16": {unsigned, 16}, "u24": {unsigned, 24}, "u32": {unsigned, 32}, "u64": {unsigned, 64},
	"i8": {signed, 8}, "i16": {signed, 16}, "i24": {signed, 24}, "i32": {signed, 32}, "i64": {signed, 64},
	"f32": {float, 32}, "f64": {float, 64}, "bool": {boolean, 8}, "bits": {unsigned, 0}, "text": {characters, 0}, "bytes": {octets, 0},
}

func newLayout(layout []Field, f *faults.List) codec {
	f.Check(0 < len(layout) && len(layout) <= maxFields, "layout: expected 1 to %d fields, found %d", maxFields, len(layout))
	if len(layout) > maxFields {
		return nil
	}
	var c layoutCodec
	var used bitSet
	names := map[string]int{}
	next := 0 // bit behind the field before
	for i, each := range layout {
		key := fmt.Sprintf("layout[%d]", i)
		each.check(key, f)
		if earlier, twice := names[each.Name]; twice && each.Name != "" {
			f.Add(fmt.Errorf("%s.name: %q is also the name of layout[%d]", key, each.Name, earlier))
		}
		names[each.Name] = i
		compiled := each.compile(next)
		if i > 0 && compiled.from%8 != 0 && compiled.from == next && compiled.little != c.fields[i-1].little {
			f.Add(fmt.Errorf("%s.endian: the bits before, in the same byte, have the other one", key))
		}
		next = compiled.from + compiled.bits
		f.Check(next <= 8*maxLayout, "%s: ends behind %d bytes", key, maxLayout)
		if next > 8*maxLayout {
			return nil
		}
		if compiled.bits == 0 && compiled.isRest() {
			f.Check(i == len(layout)-1, "%s.length: only the last field can take the rest of the payload", key)
			c.rest, c.overlaps = true, c.overlaps || compiled.from/8 < c.size
		}
		c.overlaps = used.add(compiled) || c.overlaps
		c.size = max(c.size, (next+7)/8)
		c.fields = append(c.fields, compiled)
	}
	return c
}

// check reports the faults of a field.
func (d Field) check(key string, f *faults.List) {
	_, known := types[d.Type]
	f.Check(known, "%s.type: expected u8, i8, u16, i16, u24, i24, u32, i32, u64, i64, f32, f64, bool, bits, text or bytes, found %q", key, d.Type)
	f.Check(d.Endian == "" || d.Endian == "big" || d.Endian == "little", "%s.endian: expected big or little, found %q", key, d.Endian)
	f.Check(utf8.ValidString(d.Name), "%s.name: not valid UTF-8", key)
	if d.At != nil {
		f.Between(key+".at:", *d.At, 0, maxLayout)
	}
	isText := d.Type == "text" || d.Type == "bytes"
	switch {
	case isText:
		f.Between(key+".length:", d.Length, 0, maxLayout)
	case known:
		f.Check(d.Length == 0, "%s.length: only for text and bytes", key)
	}
	switch d.Type {
	case "bits":
		f.Between(key+".bits:", d.Bits, 1, 64)
	case "bool":
		f.Between(key+".bits:", d.Bits, 0, 1)
	default:
		f.Check(!known || d.Bits == 0, "%s.bits: only for bits and bool", key)
	}
	f.Check(!known || !d.Signed || d.Type == "bits", "%s.signed: only for bits", key)
	number := !isText && d.Type != "bool"
	f.Check(!known || number || d.Scale == 0 && d.Offset == 0, "%s.scale: only for numbers", key)
	f.Check(finite(d.Scale) != nil && finite(d.Offset) != nil, "%s.scale: expected finite numbers", key)
}

// compile gives a field its place; next is the bit behind the field before.
func (d Field) compile(next int) field {
	t := types[d.Type]
	c := field{Field: d, kind: t.kind, bits: t.bits, little: d.Endian == "little", scale: newScale(d.Scale, d.Offset)}
	switch {
	case d.Type == "text" || d.Type == "bytes":
		c.bits = 8 * min(max(d.Length, 0), maxLayout+1)
	case d.Bits > 0:
		c.bits = min(d.Bits, 64)
	}
	if d.Signed {
		c.kind = signed
	}
	c.from = next
	if d.At != nil {
		c.from = 8 * min(max(*d.At, 0), maxLayout+1)
	} else if d.Bits == 0 {
		c.from = (next + 7) &^ 7
	}
	return c
}

func (f field) isRest() bool { return f.kind >= characters }

// bitSet is the bits of a payload that belong to fields with a name.
type bitSet []bool

// add adds the bits of a field, and reports whether some were there.
func (s *bitSet) add(f field) (twice bool) {
	if f.Name == "" {
		return false
	}
	if end := (f.from + f.bits + 7) &^ 7; end > len(*s) {
		*s = append(*s, make([]bool, end-len(*s))...)
	}
	for bit := f.from; bit < f.from+f.bits; bit++ {
		place := bit
		if f.little {
			place = bit&^7 | 7 - bit&7
		}
		twice = twice || (*s)[place]
		(*s)[place] = true
	}
	return twice
}

func (c layoutCodec) decode(payload []byte) (any, error) {
	if len(payload) > c.size && !c.rest {
		return nil, faultAt(byteAt(c.size), "%d bytes after the end of the layout", len(payload)-c.size)
	}
	values := make(map[string]any, len(c.fields))
	for _, f := range c.fields {
		v, err := f.decode(payload)
		if err != nil {
			return nil, inMember(&fault{place: byteAt(f.from / 8), err: err}, cmp.Or(f.Name, f.Type))
		}
		if f.Name != "" {
			values[f.Name] = v
		}
	}
	return values, nil
}

// decode reads the field from a payload.
func (f field) decode(payload []byte) (any, error) {
	end := (f.from + f.bits + 7) / 8
	if end > len(payload) {
		return nil, fmt.Errorf("the field ends with byte %d, the payload has %d bytes", end-1, len(payload))
	}
	switch f.kind {
	case unsigned:
		return f.scale.value(float64(f.raw(payload))), nil
	case signed:
		return f.scale.value(float64(int64(f.raw(payload)) << (64 - f.bits) >> (64 - f.bits))), nil
	case float:
		if f.bits == 32 {
			return f.scale.value(float64(math.Float32frombits(uint32(f.raw(payload))))), nil
		}
		return f.scale.value(math.Float64frombits(f.raw(payload))), nil
	case boolean:
		return f.raw(payload) != 0, nil
	}
	if f.bits == 0 {
		end = len(payload)
	}
	part := payload[min(f.from/8, end):end]
	if f.kind == octets {
		return base64.StdEncoding.EncodeToString(part), nil
	}
	if zero := bytes.IndexByte(part, 0); zero >= 0 {
		part = part[:zero]
	}
	if !utf8.Valid(part) {
		return nil, fmt.Errorf("not valid UTF-8: %q", text.Clip(fmt.Sprintf("% x", part), 40))
	}
	return string(part), nil
}

// raw reads the bits of the field as an unsigned integer.
func (f field) raw(payload []byte) (n uint64) {
	if f.from%8 != 0 || f.bits%8 != 0 {
		return f.rawBits(payload)
	}
	part := payload[f.from/8 : (f.from+f.bits)/8]
	for i := range part {
		if f.little {
			n |= uint64(part[i]) << (8 * i)
		} else {
			n = n<<8 | uint64(part[i])
		}
	}
	return n
}

func (f field) rawBits(payload []byte) (n uint64) {
	for i := range f.bits {
		bit := f.from + i
		if f.little {
			n |= uint64(payload[bit/8]>>(bit%8)&1) << i
		} else {
			n = n<<1 | uint64(payload[bit/8]>>(7-bit%8)&1)
		}
	}
	return n
}

// put is the way back of raw. The bits are 0 before.
func (f field) put(payload []byte, n uint64) {
	for i := range f.bits {
		bit := f.from + i
		if f.little {
			payload[bit/8] |= byte(n>>i&1) << (bit % 8)
		} else {
			payload[bit/8] |= byte(n>>(f.bits-1-i)&1) << (7 - bit%8)
		}
	}
}

func (c layoutCodec) checkEncode() error {
	if c.overlaps {
		return fmt.Errorf("fields of the layout overlap: %w", errNotEncoded)
	}
	return nil
}

func (c layoutCodec) encode(v any) ([]byte, error) {
	values, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("expected an object, found %s", kindOf(v))
	}
	if err := c.checkEncode(); err != nil {
		return nil, err
	}
	var f faults.List
	payload := make([]byte, c.size)
	known := map[string]bool{}
	for _, each := range c.fields {
		if each.Name == "" {
			continue
		}
		known[each.Name] = true
		value, ok := values[each.Name]
		if !ok {
			f.Add(inMember(fmt.Errorf("expected %s", each.Type), each.Name))
			continue
		}
		rest, err := each.encode(payload, value)
		if err != nil {
			f.Add(inMember(err, each.Name))
		}
		payload = append(payload, rest...)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f.Check(known[name], "%v", inMember(errors.New("not a field of the layout"), name))
	}
	return payload, f.Err()
}

// encode writes a value to the place of the field, or returns what comes behind all.
func (f field) encode(payload []byte, v any) (rest []byte, err error) {
	switch f.kind {
	case boolean:
		b, ok := v.(bool)
		if !ok {
			return nil, fmt.Errorf("expected a boolean, found %s", kindOf(v))
		}
		if b {
			f.put(payload, 1)
		}
		return nil, nil
	case characters, octets:
		part, err := f.part(v)
		if err != nil || f.bits == 0 {
			return part, err
		}
		copy(payload[f.from/8:], part)
		return nil, nil
	}
	number, ok := v.(float64)
	if !ok {
		return nil, fmt.Errorf("expected a number, found %s", kindOf(v))
	}
	n, ok := f.bitsOf(f.scale.raw(number))
	if !ok {
		return nil, fmt.Errorf("%s does not fit into %s", printNumber(number), cmp.Or(f.describe(), f.Type))
	}
	f.put(payload, n)
	return nil, nil
}

// describe names a type whose name does not say how long it is.
func (f field) describe() string {
	if f.Type == "bits" {
		return fmt.Sprintf("%d bits", f.bits)
	}
	return ""
}

// part is a value of characters or octets as bytes.
func (f field) part(v any) ([]byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("expected a string, found %s", kindOf(v))
	}
	part := []byte(s)
	if f.kind == octets {
		var err error
		if part, err = base64.StdEncoding.DecodeString(s); err != nil {
			return nil, fmt.Errorf("expected base64: %w", err)
		}
	}
	switch length := f.bits / 8; {
	case f.kind == characters && strings.ContainsRune(s, 0):
		return nil, errors.New("a zero byte in the string")
	case f.bits > 0 && len(part) > length, f.kind == octets && f.bits > 0 && len(part) < length:
		return nil, fmt.Errorf("%d bytes, the field has %d", len(part), length)
	}
	return part, nil
}

// bitsOf is a raw number as the bits of the field; false: it does not fit.
func (f field) bitsOf(raw float64) (n uint64, ok bool) {
	switch f.kind {
	case float:
		if f.bits == 32 {
			return uint64(math.Float32bits(float32(raw))), !math.IsInf(float64(float32(raw)), 0)
		}
		return math.Float64bits(raw), !math.IsInf(raw, 0)
	case signed:
		raw = math.RoundToEven(raw)
		limit := math.Ldexp(1, f.bits-1)
		if raw < -limit || raw >= limit {
			return 0, false
		}
		return uint64(int64(raw)), true
	}
	raw = math.RoundToEven(raw)
	if raw < 0 || raw >= math.Ldexp(1, f.bits) {
		return 0, false
	}
	return uint64(raw), true
}

// scale makes raw numbers values, and back: (raw + add) × by / over + plus. Of decimal
// steps, such as 0.1, over is 10 and by is 1: that gives 0.3 for 3, and not
// 0.30000000000000004.
type scale struct{ add, by, over, plus float64 }

func newScale(by, offset float64) scale {
	if by == 0 {
		by = 1
	}
	s := scale{by: by, over: 1, plus: offset}
	if over := math.Round(1 / by); math.Abs(over) > 1 && 1/over == by {
		s.by, s.over = 1, over
	}
	if add := offset * s.over; s.by == 1 && add == math.Trunc(add) && math.Abs(add) < maxInteger {
		s.add, s.plus = add, 0
	}
	return s
}

func (s scale) value(raw float64) any { return finite((raw+s.add)*s.by/s.over + s.plus) }

func (s scale) raw(value float64) float64 { return (value-s.plus)*s.over/s.by - s.add }
