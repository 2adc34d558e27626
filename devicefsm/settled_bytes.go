package devicefsm

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
)

// classesVersion is part of what identifies the classes of a model: to be raised when
// a class of the same model comes to mean something else, so that what was written by
// an earlier version is forgotten.
const classesVersion = 1

// filterVersion is that of the encoding of a filter.
const filterVersion = 1

// An encoded filter is its length without this byte, 0 for one that remembers nothing, and
// then: the version, the epoch and the number (varint and uvarint), and, if a class is
// remembered, what identifies the classes (4 bytes), the event and the class (uvarints).

// AppendFilter appends what a filter of the model remembers to b, in 1 to 41 bytes: the
// class, and the highest number. Holds and Pass give the same for the filter that
// ReadFilter makes of it; Current and Failed are of the last message, and are not kept.
// It has no checksum.
func (m *Model) AppendFilter(b []byte, f *Filter) []byte {
	if f.event == 0 && f.epoch == 0 && f.seq == 0 {
		return append(b, 0)
	}
	start := len(b)
	b = append(b, 0, filterVersion)
	b = binary.AppendVarint(b, f.epoch)
	b = binary.AppendUvarint(b, f.seq)
	if f.event != 0 {
		b = binary.BigEndian.AppendUint32(b, m.classes.print())
		b = binary.AppendUvarint(b, uint64(f.event))
		b = binary.AppendUvarint(b, f.class)
	}
	b[start] = byte(len(b) - start - 1)
	return b
}

// ReadFilter reads a filter that AppendFilter wrote for a model of the same hash, and
// returns what follows it. What it does not understand, or what may have another meaning
// for this version of the program, reads as a filter that remembers nothing, which lets
// the next message pass. An error means that b ends before the filter does.
func (m *Model) ReadFilter(b []byte) (f Filter, rest []byte, err error) {
	if len(b) == 0 {
		return Filter{}, nil, fmt.Errorf("read a filter of model %s: there is nothing", m.name)
	}
	n := int(b[0])
	if b = b[1:]; n > len(b) {
		return Filter{}, nil, fmt.Errorf("read a filter of model %s: only %d of its %d bytes are there", m.name, len(b), n)
	}
	if f, ok := m.filterOf(b[:n]); ok {
		return f, b[n:], nil
	}
	return Filter{}, b[n:], nil
}

// filterOf is the filter of its encoding without the length.
func (m *Model) filterOf(b []byte) (f Filter, ok bool) {
	if len(b) == 0 || b[0] != filterVersion {
		return Filter{}, false
	}
	r := varints{b: b[1:]}
	f.epoch, f.seq = r.signed(), r.unsigned()
	if r.failed || len(r.b) == 0 {
		return f, !r.failed
	}
	if len(r.b) < 4 || binary.BigEndian.Uint32(r.b) != m.classes.print() {
		return Filter{}, false
	}
	r.b = r.b[4:]
	event, class := r.unsigned(), r.unsigned()
	if r.failed || len(r.b) > 0 || !m.classes.exists(event, class) {
		return Filter{}, false
	}
	f.event, f.class = uint32(event), class
	return f, true
}

// varints reads numbers from the beginning of b.
type varints struct {
	b      []byte
	failed bool
}

func (r *varints) signed() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *varints) unsigned() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *varints) skip(n int) {
	if r.failed = r.failed || n <= 0; !r.failed {
		r.b = r.b[n:]
	}
}

// exists reports whether a class of the event with a number can be remembered.
func (t *classTable) exists(number, class uint64) bool {
	if number == 0 || number > uint64(len(t.events)) {
		return false
	}
	ec := t.events[number-1]
	return ec.never == "" && class>>len(ec.conditions) == 0
}

// identify is a hash of what the numbers of events and the bits of classes stand for. The
// hash of the model alone does not say it: how an expression is divided into conditions
// is this program's affair.
func (t *classTable) identify() uint32 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%d %d\n", classesVersion, EditionNow)
	for _, ec := range t.events {
		fmt.Fprintf(h, "%q %t\n", ec.name, ec.never == "")
		for _, c := range ec.conditions {
			fmt.Fprintf(h, "%q %d %d\n", c.of.source, c.part, len(c.of.conjuncts))
		}
	}
	return h.Sum32()
}
