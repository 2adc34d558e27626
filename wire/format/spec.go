package format

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"devicetwin/internal/faults"
)

// Spec says how payloads are written. Its keys in a file are the names of its fields
// in lower case.
type Spec struct {
	Format     string // json, text, number, keyvalue, csv, cbor, msgpack, protobuf or bytes
	Encoded    string // around everything: base64, hex, or none (the default)
	Compressed string // around the format: gzip, zlib, deflate, auto, or none (the default)

	// Numbers makes strings that hold numbers numbers: json, text, keyvalue, csv.
	Numbers bool
	// Word is the member that a payload stands for which is not an object or a list, but one value, in
	// JSON or a bare word: with state, online is {"state": "online"}, and so is "online": json.
	Word string
	// Separator is what separates columns of csv (","), and pairs of keyvalue: spaces,
	// line breaks, commas, semicolons and ampersands, if it is empty.
	Separator string
	// Assign separates a key from its value: keyvalue; "=" if it is empty.
	Assign string
	// Header says that the first line names the columns: csv.
	Header bool
	// Columns names the columns of each line: csv. Without names, a line is an array.
	Columns []string
	// Descriptor is the path of a file with a FileDescriptorSet, as protoc writes it
	// with --descriptor_set_out and --include_imports: protobuf.
	Descriptor string
	// Message is the full name of the message of a payload: protobuf.
	Message string
	// Layout is the fields of a payload, in order: bytes.
	Layout []Field

	// Limits are those of a payload. What is 0 is that of DefaultLimits.
	Limits Limits
}

// Limits bound what a payload may be and become.
type Limits struct {
	Bytes  int // of a payload, before and after it is decompressed
	Depth  int // of objects and arrays in one another
	Values int // in a payload: objects, arrays, and what is in them
}

// DefaultLimits are enough for what a device sends, and less than what would be felt.
func DefaultLimits() Limits { return Limits{Bytes: 128 << 10, Depth: 32, Values: 10_000} }

// orDefault fills in what is not set.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, each := range []struct{ limit, otherwise *int }{{&l.Bytes, &d.Bytes}, {&l.Depth, &d.Depth}, {&l.Values, &d.Values}} {
		if *each.limit == 0 {
			*each.limit = *each.otherwise
		}
	}
	return l
}

// options are the keys that only some formats have.
var options = map[string][]string{
	"json":     {"numbers", "word"},
	"text":     {"numbers"},
	"number":   {},
	"keyvalue": {"numbers", "separator", "assign"},
	"csv":      {"numbers", "separator", "header", "columns"},
	"cbor":     {},
	"msgpack":  {},
	"protobuf": {"descriptor", "message"},
	"bytes":    {"layout"},
}

// names are those of the formats.
var names = []string{"json", "text", "number", "keyvalue", "csv", "cbor", "msgpack", "protobuf", "bytes"}

// Names are those of the formats.
func Names() []string { return slices.Clone(names) }

// formats lists the formats for errors.
var formats = strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]

// Compile makes a format. Its error has a line for each fault, which begins with the
// path of a key, such as layout[2].type.
func Compile(spec Spec) (*Format, error) {
	var f faults.List
	known, ok := options[spec.Format]
	f.Check(ok, "format: expected %s, found %q", formats, spec.Format)
	f.Check(slices.Contains([]string{"", none, "base64", "hex"}, spec.Encoded), "encoded: expected base64, hex or none, found %q", spec.Encoded)
	f.Check(slices.Contains([]string{"", none, auto, "gzip", "zlib", "deflate"}, spec.Compressed),
		"compressed: expected gzip, zlib, deflate, auto or none, found %q", spec.Compressed)
	if ok {
		for _, option := range spec.used() {
			f.Check(slices.Contains(known, option), "%s: not an option of the format %s", option, spec.Format)
		}
	}
	limits := spec.Limits.orDefault()
	f.Between("limits.bytes:", limits.Bytes, 1, 16<<20)
	f.Between("limits.depth:", limits.Depth, 1, 1000)
	f.Between("limits.values:", limits.Values, 1, 1_000_000)
	c := spec.codec(limits, &f)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return &Format{name: spec.Format, codec: c, limits: limits, encoded: spec.Encoded, compressed: spec.Compressed}, nil
}

// used are the options that are set.
func (s Spec) used() (names []string) {
	for _, option := range []struct {
		name string
		set  bool
	}{
		{"numbers", s.Numbers}, {"word", s.Word != ""}, {"separator", s.Separator != ""}, {"assign", s.Assign != ""}, {"header", s.Header}, {"columns", s.Columns != nil},
		{"descriptor", s.Descriptor != ""}, {"message", s.Message != ""}, {"layout", s.Layout != nil},
	} {
		if option.set {
			names = append(names, option.name)
		}
	}
	return names
}

// codec makes the codec of the format; faults go to f.
func (s Spec) codec(l Limits, f *faults.List) codec {
	switch s.Format {
	case "json":
		return jsonCodec{limits: l, numbers: s.Numbers, word: s.Word}
	case "text":
		return textCodec{numbers: s.Numbers}
	case "number":
		return numberCodec{}
	case "keyvalue":
		return newKeyValue(s, l, f)
	case "csv":
		return newCSV(s, l, f)
	case "cbor":
		return newCBOR(l, f)
	case "msgpack":
		return msgpackCodec{limits: l}
	case "protobuf":
		return newProtobuf(s, l, f)
	case "bytes":
		return newLayout(s.Layout, f)
	}
	return nil
}

// checkNames expects names that are distinct and not empty.
func checkNames(key string, names []string, f *faults.List) {
	seen := map[string]int{}
	for i, name := range names {
		place := fmt.Sprintf("%s[%d]", key, i)
		f.Add(checkName(place, name))
		if earlier, ok := seen[name]; ok {
			f.Add(fmt.Errorf("%s: %q is also the name of %s[%d]", place, name, key, earlier))
		}
		seen[name] = i
	}
}

func checkName(place, name string) error {
	if name == "" || strings.ToValidUTF8(name, "") != name {
		return errors.New(place + ": expected a name")
	}
	return nil
}
