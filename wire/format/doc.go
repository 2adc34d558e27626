// Package format turns payloads of devices that do not speak this service's own JSON into
// values, and values into payloads. A [Spec], which a file can hold, says how payloads
// are written; [Compile] makes a [Format] of it. A format knows nothing of topics, and
// can be used for a part of a payload as well: for bytes that came as base64 in a JSON
// document, with a layout.
//
//	json       any value of RFC 8259
//	text       one string, such as ON
//	number     one decimal number, such as 23.5
//	keyvalue   pairs, such as temperature=23.5 mode="slow start"
//	csv        lines of columns; read only
//	cbor       RFC 8949
//	msgpack    MessagePack
//	protobuf   a message of Protocol Buffers, with the descriptors that protoc writes
//	bytes      fields at fixed places, such as a 16-bit integer in steps of 0.01
//
// Around any of them there may be gzip (RFC 1952), zlib (RFC 1950) or raw deflate (RFC
// 1951), and around that base64 or hex. With compressed: auto, compressed and plain payloads
// may come on one topic: what begins as gzip or zlib and can be decompressed is that; of
// what cannot be decoded as it is, raw deflate is tried. Raw deflate has no checksum, and
// bytes and protobuf decode almost anything: name the compression for them.
//
// # Values
//
// Values are those of encoding/json: nil, bool, float64, string, []any and
// map[string]any. Written by encoding/json and read again, they are the same. What
// other formats have in addition becomes one of these:
//
//   - Numbers are float64, as everywhere in this service. An integer beyond 2^53 becomes
//     the nearest float64, as in JSON: a counter does not change its type when it grows.
//     This also holds for bignums of CBOR. A 32-bit float becomes the float64 of the same
//     value: 0.1 is 0.10000000149011612. A number beyond the largest float64 is an error.
//   - NaN and the infinities become null. In text, nan, inf and infinity are these, in any
//     case, with or without a sign.
//   - Byte strings become base64 with padding (RFC 4648, section 4). Of CBOR, the tags 21
//     to 23 say otherwise.
//   - Times (tags 0 and 1 of CBOR, timestamps of MessagePack and of protobuf) become RFC
//     3339 strings in UTC, with as many digits of a second as there are.
//   - Keys that are integers become decimal digits. Other keys that are not strings are
//     errors.
//   - Undefined of CBOR becomes null. Other tags of CBOR are passed over, and their content
//     counts (RFC 8949, section 6.1). Other simple values of CBOR, and other extensions of
//     MessagePack, are errors: only who wrote them knows what they mean.
//   - Enums of protobuf become their names, or numbers that have no name. Numbers, booleans, strings
//     and enums that proto3 does not write because they are zero are there; other absent fields
//     are not. Unknown fields are passed over. Fields have the names that they have in the
//     .proto file. Messages of google.protobuf that have a JSON of their own have that, except
//     Any, which is an object of type_url and value.
//
// With numbers: true, strings that hold what JSON calls a number become numbers, wherever
// they are in a document; 007 and +49 stay strings. A document with base64 in it should
// do without: 1234 is also three bytes.
//
// # Errors
//
// Payloads are hostile. What is larger, nests deeper, or has more values than
// [Limits] is an error, before there is memory for it: a length that a payload announces is compared
// with what follows. What is not valid UTF-8 is an error, and so is a key that is there twice,
// because one of two values would be lost; but of JSON and of protobuf the last one
// counts, as their rules say. Errors are one line: the format, the place (a byte from 0, or a
// line and a column from 1), the path of the value, and what is wrong.
//
// # The way back
//
// [Format.Encode] writes what [Format.Decode] reads as the same value, with these
// exceptions. Base64 and times are written as the strings that they are, except in protobuf
// and bytes, which know better. Keyvalue and text have no booleans, and numbers only with
// numbers: true; text cannot hold spaces at its ends. Steps of a layout, and f32, round to
// the nearest number; a layout with fields that overlap is not written. A null that was NaN is
// an error in number and bytes, and an absent field in protobuf. Numbers without a fraction up to
// 2^53 are integers in CBOR and MessagePack. Members are in the order of their names.
package format
