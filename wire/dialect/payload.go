package dialect

import (
	"path/filepath"
	"strings"

	"devicetwin/internal/jsonobject"
	"devicetwin/internal/text"
	"devicetwin/source"
	"devicetwin/wire"
	"devicetwin/wire/format"
)

// format reads how payloads are written: the name of a format, or its options. Absent is
// JSON. It is plain if it is JSON and nothing else.
func (l *loader) format(n source.Node) (f *format.Format, plain bool) {
	spec := format.Spec{Format: "json"}
	switch {
	case !n.Exists():
		plain = true
	case n.IsString():
		spec.Format = n.String()
		plain = spec.Format == "json"
	default:
		l.formatSpec(n, &spec)
	}
	f, err := format.Compile(spec)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			n.Faultf("payload: %s", strings.TrimSpace(line))
		}
	}
	return f, plain
}

func (l *loader) formatSpec(n source.Node, spec *format.Spec) {
	f := n.Fields("format", "encoded", "compressed", "numbers", "separator", "assign", "header", "columns", "descriptor", "message", "layout")
	n.Require(f, "format")
	for key, to := range map[string]*string{
		"format": &spec.Format, "encoded": &spec.Encoded, "compressed": &spec.Compressed, "separator": &spec.Separator, "assign": &spec.Assign,
		"descriptor": &spec.Descriptor, "message": &spec.Message,
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

// layoutField is a part of a payload of bytes.
func layoutField(n source.Node) (field format.Field) {
	f := n.Fields("name", "type", "endian", "at", "length", "bits", "signed", "scale", "offset")
	for key, to := range map[string]*string{"name": &field.Name, "type": &field.Type, "endian": &field.Endian} {
		if v := f[key]; v.Exists() {
			*to = v.String()
		}
	}
	for key, to := range map[string]*int{"length": &field.Length, "bits": &field.Bits} {
		if v := f[key]; v.Exists() {
			*to = int(v.Int(0, 1<<20))
		}
	}
	for key, to := range map[string]*float64{"scale": &field.Scale, "offset": &field.Offset} {
		if v := f[key]; v.Exists() {
			*to = v.Float()
		}
	}
	if v := f["at"]; v.Exists() {
		at := int(v.Int(0, 1<<20))
		field.At = &at
	}
	if v := f["signed"]; v.Exists() {
		field.Signed = v.Bool()
	}
	return field
}

// plainObject is the payload if it is a JSON object that nothing in it keeps from being a
// message's data as it came: else nil.
func plainObject(payload []byte) []byte {
	payload = text.WithoutMark(payload)
	v, ok := jsonobject.Parse(payload)
	if !ok || v.Kind() != jsonobject.Object {
		return nil
	}
	for members := v.Members(); ; {
		name, _, ok := members.Next()
		if !ok {
			return v
		}
		if wire.Reserved(string(name.Raw())) {
			return nil
		}
	}
}

// unreserved is the name under which a member is kept: those that are the service's own
// in a message end with _.
func unreserved(name string) string {
	if wire.Reserved(name) {
		return name + "_"
	}
	return name
}
