package dialect

import (
	"bytes"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"devicetwin/internal/jsonobject"
	"devicetwin/internal/text"
	"devicetwin/source"
	"devicetwin/wire"
	"devicetwin/wire/format"
)

// format reads how payloads are written: the name of a format, or its options. Absent is
// JSON. It is plain if it is JSON and nothing else.
func (l *loader) format(n source.Node) (f *format.Format, plain bool, is shape) {
	spec := format.Spec{Format: "json"}
	switch {
	case !n.Exists():
	case n.IsString():
		spec.Format = n.String()
	default:
		f := n.Fields(formatKeys...)
		n.Require(f, "format")
		l.formatSpec(f, &spec)
	}
	plain = reflect.DeepEqual(spec, format.Spec{Format: "json"})
	return l.compile(n, "payload", spec), plain, shapes[spec.Format]
}

// compile makes a format. Its faults are those of a node.
func (l *loader) compile(n source.Node, what string, spec format.Spec) *format.Format {
	spec.Limits.Bytes = wire.MaxPayloadLimit // one payload's is in the configuration
	f, err := format.Compile(spec)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			n.Faultf("%s: %s", what, strings.TrimSpace(line))
		}
	}
	return f
}

// shape is what payloads of a format are that have no members; the zero value: it is not known, or
// they may have some.
type shape struct {
	is   string
	list bool
}

var shapes = map[string]shape{"csv": {"a list, of the lines of csv", true}, "text": {"a string, without members", false}, "number": {"a number, without members", false}}

var formatKeys = []string{"format", "encoded", "compressed", "numbers", "word", "separator", "assign", "header", "columns", "descriptor", "message", "layout"}

// formatSpec reads the keys of a format.
func (l *loader) formatSpec(f map[string]source.Node, spec *format.Spec) {
	for key, to := range map[string]*string{
		"format": &spec.Format, "encoded": &spec.Encoded, "compressed": &spec.Compressed, "separator": &spec.Separator, "assign": &spec.Assign,
		"descriptor": &spec.Descriptor, "message": &spec.Message, "word": &spec.Word,
	} {
		if v := f[key]; v.Exists() {
			*to = v.String()
		}
	}
	if spec.Descriptor != "" && !filepath.IsAbs(spec.Descriptor) {
		spec.Descriptor = filepath.Join(filepath.Dir(l.file.Name), spec.Descriptor)
	}
	for key, to := range map[string]*bool{"numbers": &spec.Numbers, "header": &spec.Header} {
		if v := f[key]; v.Exists() {
			*to = v.Bool()
		}
	}
	for _, column := range f["columns"].OneOrList() {
		spec.Columns = append(spec.Columns, column.String())
	}
	for _, field := range f["layout"].OneOrList() {
		spec.Layout = append(spec.Layout, layoutField(field))
	}
}

var layoutKeys = []string{"name", "type", "endian", "at", "length", "bits", "signed", "scale", "offset"}

// maxLayout bounds integers in a layout; what they may be in their places, package format knows.
const maxLayout = 1 << 20

// layoutField is a part of a payload of bytes.
func layoutField(n source.Node) (field format.Field) {
	f := n.Fields(layoutKeys...)
	for key, to := range map[string]*string{"name": &field.Name, "type": &field.Type, "endian": &field.Endian} {
		if v := f[key]; v.Exists() {
			*to = v.String()
		}
	}
	for key, to := range map[string]*int{"length": &field.Length, "bits": &field.Bits} {
		if v := f[key]; v.Exists() {
			*to = int(v.Int(0, maxLayout))
		}
	}
	for key, to := range map[string]*float64{"scale": &field.Scale, "offset": &field.Offset} {
		if v := f[key]; v.Exists() {
			*to = v.Float()
		}
	}
	if v := f["at"]; v.Exists() {
		at := int(v.Int(0, maxLayout))
		field.At = &at
	}
	if v := f["signed"]; v.Exists() {
		field.Signed = v.Bool()
	}
	return field
}

// plainJSON is a payload that is JSON as it is, without what is around it. Nil: it is not, for
// whatever reason: decoding it finds that.
func plainJSON(payload []byte, depth int) jsonobject.Value {
	if !utf8.Valid(payload) {
		return nil
	}
	v, ok := jsonobject.ParseWithin(text.WithoutMark(payload), depth)
	if !ok {
		return nil
	}
	return v
}

// mayBeData reports whether a value may be the data of a message as it came.
func mayBeData(v jsonobject.Value) bool {
	return v.Kind() == jsonobject.Object && !(mayHaveReserved(v) && hasReserved(v))
}

// mayHaveReserved reports whether an object may have a name of the service's own.
func mayHaveReserved(object []byte) bool {
	if bytes.IndexByte(object, '\\') >= 0 { // a name may be written with escapes
		return true
	}
	return slices.ContainsFunc(reservedWords, func(word []byte) bool { return bytes.Contains(object, word) })
}

// reservedWords are reservedNames as JSON has them.
var reservedWords = func() (words [][]byte) {
	for _, name := range reservedNames {
		words = append(words, []byte(`"`+name+`"`))
	}
	return words
}()

// hasReserved reports whether an object has a member of the service's own.
func hasReserved(object jsonobject.Value) bool {
	for members := object.Members(); ; {
		name, _, ok := members.Next()
		if !ok {
			return false
		}
		if wire.Reserved(string(name.Raw())) {
			return true
		}
	}
}
