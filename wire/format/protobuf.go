package format

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"devicetwin/internal/faults"
	"devicetwin/internal/text"
)

// protobufCodec is one kind of message of Protocol Buffers.
type protobufCodec struct {
	message protoreflect.MessageDescriptor
	limits  Limits
}

// maxDescriptors is how large a file of descriptors may be, in bytes.
const maxDescriptors = 16 << 20

func newProtobuf(s Spec, l Limits, f *faults.List) codec {
	f.Check(s.Descriptor != "", "descriptor: expected the path of a file that protoc wrote with --descriptor_set_out and --include_imports")
	f.Check(s.Message != "", "message: expected the full name of a message, such as acme.Reading")
	if s.Descriptor == "" {
		return nil
	}
	files, err := readDescriptors(s.Descriptor)
	if err != nil {
		f.Add(fmt.Errorf("descriptor: %w", err))
		return nil
	}
	if s.Message == "" {
		return nil
	}
	found, err := files.FindDescriptorByName(protoreflect.FullName(s.Message))
	message, ok := found.(protoreflect.MessageDescriptor)
	if err != nil || !ok {
		f.Add(fmt.Errorf("message: %q is not in %s, which has %s", s.Message, s.Descriptor, text.Clip(strings.Join(messagesOf(files), ", "), 200)))
		return nil
	}
	return protobufCodec{message: message, limits: l}
}

// readDescriptors reads a FileDescriptorSet.
func readDescriptors(path string) (*protoregistry.Files, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	encoded, err := io.ReadAll(io.LimitReader(file, maxDescriptors+1))
	if err != nil {
		return nil, err
	}
	if len(encoded) > maxDescriptors {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxDescriptors)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(encoded, &set); err != nil {
		return nil, fmt.Errorf("%s is not a FileDescriptorSet: %w", path, err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (protoc writes what is imported with --include_imports)", path, err)
	}
	return files, nil
}

// messagesOf lists the messages of files that are not in other messages.
func messagesOf(files *protoregistry.Files) (names []string) {
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			names = append(names, string(file.Messages().Get(i).FullName()))
		}
		return true
	})
	slices.Sort(names)
	return names
}

func (c protobufCodec) decode(payload []byte) (any, error) {
	scan := protoScan{limits: c.limits, left: c.limits.Values}
	if err := scan.message(payload, 0, c.message, 1); err != nil {
		return nil, err
	}
	m := dynamicpb.NewMessage(c.message)
	options := proto.UnmarshalOptions{DiscardUnknown: true, Resolver: noTypes, RecursionLimit: c.limits.Depth + 1}
	if err := options.Unmarshal(payload, m); err != nil {
		return nil, libraryFault(err)
	}
	values := protoValues{limits: c.limits, left: c.limits.Values}
	return values.message(m)
}

// noTypes has no extensions: they are unknown fields.
var noTypes = new(protoregistry.Types)

// libraryFault is an error of the library without its prefix and its spaces, which vary.
func libraryFault(err error) error {
	s := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\u00a0", " ")), " ")
	return errors.New(clip(strings.TrimPrefix(s, "proto: ")))
}

// protoScan reads an encoded message before the library does: what is wrong has a place
// here, and what is to be made is counted before there is memory for it.
type protoScan struct {
	limits Limits
	left   int
}

// message scans the fields of a message that begins at a byte of the payload.
func (s *protoScan) message(b []byte, at int, m protoreflect.MessageDescriptor, depth int) error {
	if depth > s.limits.Depth {
		return faultAt(byteAt(at), "nested deeper than %d", s.limits.Depth)
	}
	if err := s.spend(at, 1); err != nil {
		return err
	}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return &fault{place: byteAt(at), err: libraryFault(protowire.ParseError(n))}
		}
		field := m.Fields().ByNumber(number)
		length := protowire.ConsumeFieldValue(number, kind, b[n:])
		if length < 0 {
			return inMember(&fault{place: byteAt(at), err: libraryFault(protowire.ParseError(length))}, fieldName(field, number))
		}
		if m.IsMapEntry() && number == 1 && kind != wireType(m.Fields().ByNumber(1).Kind()) {
			// The library panics if such a key follows one of the right type (1.36.12).
			return faultAt(byteAt(at), "a key of another type than %s", m.Fields().ByNumber(1).Kind())
		}
		if err := s.field(b[n:n+length], at+n, field, kind, depth); err != nil {
			return inMember(err, fieldName(field, number))
		}
		b, at = b[n+length:], at+n+length
	}
	return nil
}

// wireType is how the key of a map is encoded.
func wireType(key protoreflect.Kind) protowire.Type {
	switch key {
	case protoreflect.StringKind:
		return protowire.BytesType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	}
	return protowire.VarintType
}

func fieldName(field protoreflect.FieldDescriptor, number protowire.Number) string {
	if field == nil {
		return fmt.Sprintf("field_%d", number)
	}
	return string(field.Name())
}

// field scans one value of a field, which may be unknown.
func (s *protoScan) field(b []byte, at int, field protoreflect.FieldDescriptor, kind protowire.Type, depth int) error {
	if field == nil || kind != protowire.BytesType && kind != protowire.StartGroupType {
		return s.spend(at, 1)
	}
	content := b
	if kind == protowire.StartGroupType {
		content, _ = protowire.ConsumeGroup(field.Number(), b)
	} else {
		content, _ = protowire.ConsumeBytes(b)
		at += len(b) - len(content)
	}
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return s.message(content, at, field.Message(), depth+1)
	case protoreflect.StringKind:
		if !utf8.Valid(content) {
			return faultAt(byteAt(at+invalidAt(content)), "not valid UTF-8")
		}
		return s.spend(at, 1)
	case protoreflect.BytesKind:
		return s.spend(at, 1)
	}
	return s.spend(at, packed(content, field.Kind()))
}

// packed is how many numbers are in a packed field.
func packed(b []byte, kind protoreflect.Kind) (n int) {
	switch kind {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return len(b) / 4
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return len(b) / 8
	}
	for _, c := range b { // the last byte of a varint is below 0x80
		if c < 0x80 {
			n++
		}
	}
	return n
}

func (s *protoScan) spend(at, values int) error {
	if s.left -= values; s.left < 0 {
		return faultAt(byteAt(at), "more than %d values", s.limits.Values)
	}
	return nil
}

// protoValues makes values of a message.
type protoValues struct {
	limits Limits
	left   int
}

func (p *protoValues) spend() error {
	if p.left--; p.left < 0 {
		return fmt.Errorf("more than %d values, with those that are zero", p.limits.Values)
	}
	return nil
}

// message makes an object, or what JSON has for a message that the library defines.
func (p *protoValues) message(m protoreflect.Message) (any, error) {
	if err := p.spend(); err != nil {
		return nil, err
	}
	switch name := m.Descriptor().FullName(); {
	case jsonOfItsOwn[name]:
		return p.ownJSON(m)
	case wrappers[name]:
		field := m.Descriptor().Fields().ByNumber(1)
		return p.single(field, m.Get(field))
	}
	object := map[string]any{}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if absent(m, field) {
			continue
		}
		v, err := p.value(field, m.Get(field))
		if err != nil {
			return nil, inMember(err, string(field.Name()))
		}
		object[string(field.Name())] = v
	}
	return object, nil
}

// absent reports whether a field has no value. Where zero is not written, it is not absent.
func absent(m protoreflect.Message, field protoreflect.FieldDescriptor) bool {
	return (field.HasPresence() || field.IsList() || field.IsMap()) && !m.Has(field)
}

// jsonOfItsOwn are messages that the JSON mapping of protobuf writes in a way of their
// own, and that are not the wrappers of a single value.
var jsonOfItsOwn = map[protoreflect.FullName]bool{
	"google.protobuf.Timestamp": true, "google.protobuf.Duration": true, "google.protobuf.FieldMask": true,
	"google.protobuf.Struct": true, "google.protobuf.Value": true, "google.protobuf.ListValue": true,
}

var wrappers = map[protoreflect.FullName]bool{
	"google.protobuf.BoolValue": true, "google.protobuf.StringValue": true, "google.protobuf.BytesValue": true,
	"google.protobuf.Int32Value": true, "google.protobuf.UInt32Value": true, "google.protobuf.Int64Value": true,
	"google.protobuf.UInt64Value": true, "google.protobuf.FloatValue": true, "google.protobuf.DoubleValue": true,
}

func (p *protoValues) ownJSON(m protoreflect.Message) (v any, err error) {
	encoded, err := protojson.Marshal(m.Interface())
	if err != nil {
		return nil, libraryFault(err)
	}
	if err := json.Unmarshal(encoded, &v); err != nil {
		return nil, err
	}
	p.left++ // the message was counted
	count(v, &p.left)
	p.left++
	return v, p.spend()
}

func (p *protoValues) value(field protoreflect.FieldDescriptor, v protoreflect.Value) (any, error) {
	switch {
	case field.IsList():
		return p.list(field, v.List())
	case field.IsMap():
		return p.object(field, v.Map())
	}
	return p.single(field, v)
}

func (p *protoValues) list(field protoreflect.FieldDescriptor, list protoreflect.List) (any, error) {
	if err := p.spend(); err != nil {
		return nil, err
	}
	array := make([]any, list.Len())
	for i := range array {
		var err error
		if array[i], err = p.single(field, list.Get(i)); err != nil {
			return nil, inElement(err, i)
		}
	}
	return array, nil
}

func (p *protoValues) object(field protoreflect.FieldDescriptor, members protoreflect.Map) (_ any, err error) {
	if err := p.spend(); err != nil {
		return nil, err
	}
	object := make(map[string]any, members.Len())
	members.Range(func(key protoreflect.MapKey, member protoreflect.Value) bool {
		name := key.String()
		if object[name], err = p.single(field.MapValue(), member); err != nil {
			err = inMember(err, name)
		}
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	return object, nil
}

// single makes a value that is neither a list nor a map.
func (p *protoValues) single(field protoreflect.FieldDescriptor, v protoreflect.Value) (any, error) {
	if field.Message() != nil {
		return p.message(v.Message())
	}
	if err := p.spend(); err != nil {
		return nil, err
	}
	switch v := v.Interface().(type) {
	case bool, string:
		return v, nil
	case int32:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case uint32:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	case float32:
		return finite(float64(v)), nil
	case float64:
		return finite(v), nil
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	case protoreflect.EnumNumber:
		if known := field.Enum().Values().ByNumber(v); known != nil {
			return string(known.Name()), nil
		}
		return float64(v), nil
	}
	return nil, fmt.Errorf("a value of the type %s", field.Kind())
}

// encode reads a value as the JSON mapping of protobuf does: fields by either name,
// enums by name or number, bytes as base64. A field that is null is left out.
func (c protobufCodec) encode(v any) ([]byte, error) {
	m := dynamicpb.NewMessage(c.message)
	options := protojson.UnmarshalOptions{Resolver: noTypes, RecursionLimit: c.limits.Depth + 1}
	if err := options.Unmarshal(mustJSON(v), m); err != nil {
		return nil, libraryFault(err)
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, libraryFault(err)
	}
	return payload, nil
}
