package format

import (
	"errors"
	"fmt"
)

// Format reads and writes payloads. It may be used by several goroutines.
type Format struct {
	name                string
	codec               codec
	limits              Limits
	encoded, compressed string // see Spec
}

// codec is a format without what is around it. It decodes at most Limits.Bytes, and
// encodes what canonical returned. It may not keep or change a payload.
type codec interface {
	decode(payload []byte) (any, error)
	encode(v any) ([]byte, error)
}

// Values of Spec.Encoded and Spec.Compressed.
const (
	none = "none"
	auto = "auto"
)

// Decode turns a payload into nil, bool, float64, string, []any and map[string]any,
// of which encoding/json writes what it reads again as the same. The payload is not
// kept. Errors are one line, with the place in the payload.
func (f *Format) Decode(payload []byte) (any, error) {
	if err := f.checkSize(payload); err != nil {
		return nil, err
	}
	payload, err := f.unwrapText(payload)
	if err != nil {
		return nil, err
	}
	switch f.compressed {
	case "", none:
		return f.decode(payload)
	case auto:
		return f.decodeAuto(payload)
	}
	inflated, err := inflate(f.compressed, payload, f.limits.Bytes)
	if err != nil {
		return nil, err
	}
	return f.decode(inflated)
}

func (f *Format) decode(payload []byte) (v any, err error) {
	defer func() {
		// The broker delivers a message again that ended the process: a panic of a library
		// must cost the message and nothing else.
		if found := recover(); found != nil {
			v, err = nil, fmt.Errorf("%s: %w: %s", f.name, errPanic, clip(fmt.Sprint(found)))
		}
	}()
	if v, err = f.codec.decode(payload); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return v, nil
}

// errPanic is a fault of this package or of a library.
var errPanic = errors.New("the decoder panicked")

// Encode is the way back, for whatever encoding/json can write: v is taken as what it
// reads again. What Decode returned is encoded as a payload of the same value. Of
// compressed: auto, payloads are plain. The error of csv is errors.ErrUnsupported.
func (f *Format) Encode(v any) ([]byte, error) {
	v, err := canonical(v, f.limits)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.name, err)
	}
	payload, err := f.codec.encode(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.name, err)
	}
	if err := f.checkSize(payload); err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.name, err)
	}
	if f.compressed != "" && f.compressed != none && f.compressed != auto {
		payload = deflate(f.compressed, payload)
	}
	payload = f.wrapText(payload)
	if err := f.checkSize(payload); err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.name, err)
	}
	return payload, nil
}

// CheckEncode reports why Encode writes nothing, whatever it is given: the error of csv, and of a
// layout with fields that overlap, is errors.ErrUnsupported.
func (f *Format) CheckEncode() error {
	if c, ok := f.codec.(interface{ checkEncode() error }); ok {
		if err := c.checkEncode(); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

func (f *Format) checkSize(payload []byte) error {
	if len(payload) > f.limits.Bytes {
		return fmt.Errorf("%d bytes, the limit is %d", len(payload), f.limits.Bytes)
	}
	return nil
}

// errNotEncoded is that of formats without a way back.
var errNotEncoded = fmt.Errorf("payloads can only be read: %w", errors.ErrUnsupported)
