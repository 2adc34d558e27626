package ingest

import (
	"strings"

	"devicetwin/device"
)

// traits is what a birth message says of its device, by which operators compare devices.
type traits struct{ site, firmware string }

// maxTraits bounds how many different traits are remembered: a site and a firmware are
// strings of the devices.
const maxTraits = 4096

// The numbers of traits that are not in the table.
const (
	noTraits    = 0 // the device has said nothing
	otherTraits = 1 // there was no room for what it said
	firstTraits = 2
)

// traitTable has each site with each firmware once: of a device, its number is remembered.
type traitTable struct {
	numbers map[traits]uint32
	list    []numbered // from firstTraits on
	free    []uint32
}

type numbered struct {
	traits      // zero: the number is free
	news   bool // a device was given it since the survey began
}

func newTraitTable() *traitTable { return &traitTable{numbers: map[traits]uint32{}} }

// number is that of traits, which are new if no device had them.
func (t *traitTable) number(of traits) uint32 {
	if of == (traits{}) {
		return noTraits
	}
	n, ok := t.numbers[of]
	if !ok {
		of = traits{strings.Clone(of.site), strings.Clone(of.firmware)} // not a part of a payload
		if n, ok = t.room(); !ok {
			return otherTraits
		}
		t.numbers[of] = n
	}
	t.list[n-firstTraits] = numbered{of, true}
	return n
}

// room is a free number; ok is false if there is none.
func (t *traitTable) room() (n uint32, ok bool) {
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
		return n, true
	}
	if len(t.list) >= maxTraits {
		return 0, false
	}
	t.list = append(t.list, numbered{})
	return uint32(firstTraits + len(t.list) - 1), true
}

// of are the traits with a number.
func (t *traitTable) of(number uint32) traits {
	switch number {
	case noTraits:
		return traits{}
	case otherTraits:
		return traits{Other, Other}
	}
	return t.list[number-firstTraits].traits
}

// begin begins to look which numbers devices have.
func (t *traitTable) begin() {
	for i := range t.list {
		t.list[i].news = false
	}
}

// keep frees the numbers that no device has: those that were not seen since begin, and that
// no device was given since.
func (t *traitTable) keep(seen map[uint32]bool) {
	for i, of := range t.list {
		n := uint32(firstTraits + i)
		if of.traits == (traits{}) || of.news || seen[n] {
			continue
		}
		delete(t.numbers, of.traits)
		t.list[i] = numbered{}
		t.free = append(t.free, n)
	}
}

// learnTraits takes over what a message on a status topic says of its device. What it does
// not say stays as it was.
func (c *core) learnTraits(d *deviceState, m *device.Message) {
	var is traits
	if d.traits != otherTraits {
		is = c.traits.of(d.traits)
	}
	if site, ok := m.Identity("site"); ok {
		is.site = site
	}
	if firmware, ok := m.Identity("firmware"); ok {
		is.firmware = firmware
	}
	d.traits = c.traits.number(is)
}
