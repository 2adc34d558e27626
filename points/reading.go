package points

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"devicetwin/internal/jsonobject"
	"devicetwin/internal/measure"
)

// Bounds of the fields of a Reading. What is beyond them is left out, and reported
// as a Refusal.
const (
	MaxFields    = 256        // of one point: the first ones in the order of their names
	MaxFieldName = 256        // bytes of a name, without its type
	MaxString    = 64<<10 - 1 // bytes of a string, which is clipped: InfluxDB documents 64 KiB
)

// Reading is what a device measured: one point. Its measurement is the name of the
// device's model, its tags are device and model, and its fields are the scalars of a
// JSON object, each under a name that says where in the object it is, and which
// other types of it cannot have: see docs/telemetry.md. So no value of one device
// can be in the way of another's.
type Reading struct {
	Model, Device string
	// Object is a valid encoded JSON object. It is read later and must not change.
	Object []byte
	Except []string // members of the object that are not readings
	Time   time.Time
}

// Line returns the point in line protocol, as Point.Line does.
func (r Reading) Line() (line string, ok bool) {
	var f flattener
	out, ok := f.line(nil, r, func(Refusal) {})
	if !ok {
		return "", false
	}
	return string(out), true
}

// size is an upper bound, about, of the bytes of the reading's line.
func (r Reading) size() int { return 64 + 2*len(r.Model) + len(r.Device) + len(r.Object) }

// flattener turns readings into lines. It keeps its memory.
type flattener struct {
	names  []byte // of all fields, one after the other
	fields []field
	text   []byte // a decoded string
	long   []byte // the first name that is too long

	hasKind bool // the point has TagKind
}

// field is one value in the object, of any kind: also what becomes no field is
// kept, to find names that come twice in one object.
type field struct {
	from, to int // of its name, in flattener.names
	kind     jsonobject.Kind
	value    jsonobject.Value
}

func (f *flattener) name(x field) []byte { return f.names[x.from:x.to] }

// keptNames bounds the memory that a flattener keeps from one reading to the next.
const keptNames = 64 << 10

func (f *flattener) reset() {
	if cap(f.names) > keptNames {
		*f = flattener{}
	}
	clear(f.fields)
	f.hasKind = false
	f.names, f.fields, f.long = f.names[:0], f.fields[:0], nil
}

// line appends the reading's line; false if it has no field. What is beyond a bound
// goes to refuse.
func (f *flattener) line(to []byte, r Reading, refuse func(Refusal)) ([]byte, bool) {
	object, ok := jsonobject.Parse(r.Object)
	if !ok || object.Kind() != jsonobject.Object {
		return to, false
	}
	defer f.reset()
	if !f.flatten(object, r.Except) {
		f.reset()
		f.flatten(withoutRepetitions(object), r.Except)
	}
	refuse = r.refusing(refuse)
	if f.long != nil {
		refuse(Refusal{Reason: RefusedBound, Detail: "the name of a field is longer than " + strconv.Itoa(MaxFieldName) + " bytes", Value: string(f.long)})
	}
	to = appendName(to, r.Model, ", ")
	to = appendTag(to, measure.TagDevice, r.Device)
	kind := measure.KindOf(r.Device)
	f.hasKind = kind != ""
	to = appendTag(to, measure.TagKind, kind)
	to = appendTag(to, measure.TagModel, r.Model)
	if to, ok = f.appendFields(to, refuse); !ok {
		return to, false
	}
	to = append(to, ' ')
	return strconv.AppendInt(to, r.Time.UnixNano(), 10), true
}

func appendTag(to []byte, key, value string) []byte {
	if value == "" {
		return to // line protocol has no empty tags
	}
	to = append(append(append(to, ','), key...), '=')
	return appendName(to, value, ",= ")
}

// withoutRepetitions is an object in which the last of several members of one name
// is the only one, as it is when the object is decoded.
func withoutRepetitions(object jsonobject.Value) jsonobject.Value {
	var decoded map[string]any
	if err := json.Unmarshal(object, &decoded); err != nil {
		return jsonobject.Value("{}")
	}
	encoded, err := json.Marshal(decoded)
	if err != nil {
		return jsonobject.Value("{}")
	}
	return encoded
}

// flatten lists the object's values, sorted by name. It reports false if a name
// comes twice in one object.
func (f *flattener) flatten(object jsonobject.Value, except []string) bool {
	for each := object.Members(); ; {
		name, value, ok := each.Next()
		if !ok {
			break
		}
		if !slices.ContainsFunc(except, name.Is) {
			f.add(0, 0, name, value)
		}
	}
	slices.SortFunc(f.fields, func(a, b field) int { return slices.Compare(f.name(a), f.name(b)) })
	for i := 1; i < len(f.fields); i++ {
		if string(f.name(f.fields[i-1])) == string(f.name(f.fields[i])) {
			return false
		}
	}
	return true
}

// add lists the value under the name, in what the range of f.names is the name of,
// and what is in it.
func (f *flattener) add(from, to int, name, value jsonobject.Value) {
	start := f.begin(from, to)
	f.text = name.AppendText(f.text[:0])
	f.names = appendKey(f.names, f.text)
	f.enter(start, value)
}

// begin begins a name within another.
func (f *flattener) begin(from, to int) (start int) {
	start = len(f.names)
	if to > from {
		f.names = append(append(f.names, f.names[from:to]...), '.')
	}
	return start
}

// enter ends the name that was begun.
func (f *flattener) enter(start int, value jsonobject.Value) {
	end := len(f.names)
	if end-start > MaxFieldName {
		if f.long == nil {
			f.long = slices.Clone(f.names[start:end])
		}
		f.names = f.names[:start]
		return
	}
	kind := value.Kind()
	f.fields = append(f.fields, field{start, end, kind, value})
	switch kind {
	case jsonobject.Object:
		for each := value.Members(); ; {
			name, member, ok := each.Next()
			if !ok {
				return
			}
			f.add(start, end, name, member)
		}
	case jsonobject.Array:
		each := value.Elements()
		for i := int64(0); ; i++ {
			element, ok := each.Next()
			if !ok {
				return
			}
			at := f.begin(start, end)
			f.names = strconv.AppendInt(f.names, i, 10)
			f.enter(at, element)
		}
	}
}

// appendFields appends the first MaxFields fields.
func (f *flattener) appendFields(to []byte, refuse func(Refusal)) ([]byte, bool) {
	n := 0
	for _, x := range f.fields {
		if x.kind == jsonobject.Null || x.kind == jsonobject.Object || x.kind == jsonobject.Array {
			continue
		}
		if n++; n > MaxFields {
			continue
		}
		separator := byte(',')
		if n == 1 {
			separator = ' '
		}
		to = appendFieldName(append(to, separator), f.name(x), x.kind)
		if x.kind == jsonobject.Number && f.hasKind && string(f.name(x)) == measure.TagKind {
			to = append(to, endNumber...)
		}
		to = f.appendValue(append(to, '='), x, refuse)
	}
	if n > MaxFields {
		refuse(Refusal{Reason: RefusedFields, Detail: strconv.Itoa(n) + " fields; a point has room for " + strconv.Itoa(MaxFields), Count: uint64(n - MaxFields)})
	}
	return to, n > 0
}

func (f *flattener) appendValue(to []byte, x field, refuse func(Refusal)) []byte {
	switch x.kind {
	case jsonobject.Bool:
		return append(to, x.value...)
	case jsonobject.Number:
		return appendNumber(to, x.value)
	}
	f.text = x.value.AppendText(f.text[:0])
	if len(f.text) > MaxString {
		refuse(Refusal{Reason: RefusedBound, Detail: "field " + string(f.name(x)) + ": a string of " + strconv.Itoa(len(f.text)) + " bytes, clipped to " + strconv.Itoa(MaxString),
			Value: clippedValue(x.value)})
		f.text = clipped(f.text, MaxString)
	}
	return appendString(to, f.text)
}

// appendNumber appends a number as FormatFloat writes it.
func appendNumber(to []byte, number jsonobject.Value) []byte {
	if shortest(number) {
		return append(to, number...)
	}
	f := number.Number()
	if math.IsInf(f, 0) || math.IsNaN(f) {
		f = 0 // a valid one is neither
	}
	return strconv.AppendFloat(to, f, 'g', -1, 64)
}

// shortest reports whether a number is written as FormatFloat would: some digits,
// of which a float64 has fifteen exactly, without an exponent.
func shortest(number []byte) bool {
	digits := number
	if digits[0] == '-' {
		digits = digits[1:]
	}
	point := slices.Index(digits, '.')
	if slices.ContainsFunc(digits, func(c byte) bool { return c == 'e' || c == 'E' }) || len(digits) > 15 {
		return false
	}
	if point < 0 {
		return len(digits) <= 6 && (digits[0] != '0' || digits[0] == number[0])
	}
	if point > 6 || digits[len(digits)-1] == '0' {
		return false
	}
	return digits[0] != '0' || digits[2] != '0'
}
