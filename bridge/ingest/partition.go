package ingest

import (
	"fmt"
	"hash/fnv"
)

// Partition is one bridge's share of the devices: those whose id's FNV-1a hash
// of 32 bits, modulo Of, is Index-1. The zero value is all of them. Bridges that
// share a fleet subscribe to the same topics, and each of the Of shares must
// have one.
type Partition struct {
	Index, Of int // from 1/1; 1 <= Index <= Of
}

// ParsePartition reads "1/3"; "" is all devices.
func ParsePartition(s string) (Partition, error) {
	if s == "" {
		return Partition{}, nil
	}
	var p Partition
	if n, err := fmt.Sscanf(s, "%d/%d", &p.Index, &p.Of); n != 2 || err != nil || p.String() != s || !p.Valid() {
		return Partition{}, fmt.Errorf("partition %q: expected INDEX/COUNT such as 1/3, the first at most the second, that at most %d", s, maxPartitions)
	}
	return p, nil
}

// UnmarshalText reads what ParsePartition reads.
func (p *Partition) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePartition(string(text))
	return err
}

const maxPartitions = 1000

// Valid reports whether there is such a share.
func (p Partition) Valid() bool {
	return p == Partition{} || 1 <= p.Index && p.Index <= p.Of && p.Of <= maxPartitions
}

// String is the text that ParsePartition reads.
func (p Partition) String() string {
	if p == (Partition{}) {
		return ""
	}
	return fmt.Sprintf("%d/%d", p.Index, p.Of)
}

// Owns reports whether the device of a name belongs to the partition.
func (p Partition) Owns(name string) bool {
	if p.Of <= 1 {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return h.Sum32()%uint32(p.Of) == uint32(p.Index-1)
}
