package calendar

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Zones are zones by their names, as they are recorded. The fixed ones need not be in it.
type Zones map[string]Zone

// Zone is the zone of a name: one that is recorded, UTC, or a fixed offset such as +05:45.
func (zs Zones) Zone(name string) (*Zone, bool) {
	if z, ok := zs[name]; ok {
		return &z, true
	}
	z, ok := FixedZone(name)
	return &z, ok
}

// Covers reports whether each of the names is recorded, and known up to a time.
func (zs Zones) Covers(names []string, until time.Time) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		z, ok := zs.Zone(name)
		return !ok || !z.IsFixed() && z.until < until.Unix()
	})
}

// Equal reports whether two recordings say the same.
func (zs Zones) Equal(other Zones) bool {
	if len(zs) != len(other) {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(zs)) {
		a := zs[name]
		if b, ok := other[name]; !ok || !a.Equal(&b) {
			return false
		}
	}
	return true
}

// wireZone is a zone as JSON. Each change is two numbers: when, in seconds since 1970, and the
// offset from then on, in seconds.
type wireZone struct {
	From    int64   `json:"from,omitempty"`
	Until   int64   `json:"until,omitempty"`
	Offset  int64   `json:"offset"`
	Changes []int64 `json:"changes,omitempty"`
}

// maxChanges bounds the changes of a zone that is read: four a year, for a century.
const maxChanges = 400

// MarshalJSON writes the same bytes for the same zone.
func (z Zone) MarshalJSON() ([]byte, error) {
	w := wireZone{From: z.from, Until: z.until, Offset: z.offset}
	for _, c := range z.changes {
		w.Changes = append(w.Changes, c.at, c.offset)
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses what is not a zone.
func (z *Zone) UnmarshalJSON(b []byte) error {
	var w wireZone
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("read a zone: %w", err)
	}
	read := Zone{from: w.From, until: w.Until, offset: w.Offset}
	if err := w.check(); err != nil {
		return fmt.Errorf("read a zone: %w", err)
	}
	for i := 0; i < len(w.Changes); i += 2 {
		read.changes = append(read.changes, change{w.Changes[i], w.Changes[i+1]})
	}
	*z = read
	return nil
}

func (w *wireZone) check() error {
	const limit = 190_000_000_000 // about the year 8000, so that sums cannot overflow
	within := func(v, bound int64) bool { return -bound <= v && v <= bound }
	switch {
	case !within(w.Offset, day), !within(w.From, limit), !within(w.Until, limit), w.From > w.Until:
		return fmt.Errorf("its bounds are out of range")
	case len(w.Changes)%2 != 0 || len(w.Changes) > 2*maxChanges:
		return fmt.Errorf("%d numbers of changes: expected two of each, of at most %d", len(w.Changes), maxChanges)
	case len(w.Changes) > 0 && w.From == w.Until:
		return fmt.Errorf("a fixed offset has no changes")
	}
	before := w.From
	for i := 0; i < len(w.Changes); i += 2 {
		if w.Changes[i] <= before || w.Changes[i] >= w.Until || !within(w.Changes[i+1], day) {
			return fmt.Errorf("change %d is out of order or out of range", i/2)
		}
		before = w.Changes[i]
	}
	return nil
}
