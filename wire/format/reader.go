package format

import (
	"strings"

	"devicetwin/internal/text"
)

// reader is a payload of a binary format whose values begin with their length, and
// what is left of its limits.
type reader struct {
	payload, rest []byte
	limits        Limits
	depth         int // of the value that is read
	left          int // values that may still come
}

func newReader(payload []byte, l Limits) reader {
	return reader{payload: payload, rest: payload, limits: l, left: l.Values - 1}
}

// whole reads the one value of the payload.
func (r *reader) whole(value func() (any, error)) (any, error) {
	v, err := value()
	if err == nil && len(r.rest) > 0 {
		err = r.fault("%d bytes after the end", len(r.rest))
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// offset is the place of the next byte.
func (r *reader) offset() int { return len(r.payload) - len(r.rest) }

// fault is something wrong with what begins at the next byte.
func (r *reader) fault(format string, args ...any) error {
	return faultAt(byteAt(r.offset()), format, args...)
}

func (r *reader) cutOff() error { return &fault{place: byteAt(r.offset()), err: errCutOff} }

// open begins something that contains entries of at least some bytes each; close ends it. Entries
// are taken from the limit before there is memory for them: what announces more than
// it has costs nothing.
func (r *reader) open(at int, entries, bytesEach uint64) error {
	if r.depth++; r.depth > r.limits.Depth {
		return faultAt(byteAt(at), "nested deeper than %d", r.limits.Depth)
	}
	if entries > uint64(len(r.rest))/bytesEach {
		return faultAt(byteAt(at), "announces %d entries, and %d bytes follow", entries, len(r.rest))
	}
	return r.spend(at, int(entries))
}

func (r *reader) close() { r.depth-- }

// spend takes values from the limit.
func (r *reader) spend(at, values int) error {
	if r.left -= values; r.left < 0 {
		return faultAt(byteAt(at), "more than %d values", r.limits.Values)
	}
	return nil
}

// member reads a key and its value into an object.
func (r *reader) member(object map[string]any, key func() (string, error), value func() (any, error)) error {
	at := r.offset()
	name, err := key()
	if err != nil {
		return err
	}
	if _, twice := object[name]; twice {
		return inMember(faultAt(byteAt(at), "the key is there twice"), name)
	}
	v, err := value()
	if err != nil {
		return inMember(err, name)
	}
	object[name] = v
	return nil
}

// clip shortens what a library says to one line of a log.
func clip(s string) string {
	return text.Clip(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' }), " "), 160)
}
